//go:build real

package readers

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/s2-streamstore/s2-sdk-go/s2"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/sink"
	"kafka-s2-bridge/tests/real/s2lite"
)

// writer writes a stream as the bridge does, and notes the line that a reader should print for each of its records.
type writer struct {
	t      *testing.T
	ctx    context.Context
	id     mapping.Identity
	client *sink.Client
	stream *sink.Stream
	raw    *s2.StreamClient // for what the bridge does not write
	token  string
	fences int64
	next   uint64 // sequence number
	resume int64  // Kafka offset
	lines  []line
}

func newWriter(ctx context.Context, t *testing.T, server *s2lite.Server, name string) *writer {
	t.Helper()
	client, err := sink.New(sink.Config{Endpoint: server.URL(), Basin: server.Basin()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	sdk := s2.New("none", &s2.ClientOptions{
		BaseURL: server.URL() + "/v1", MakeBasinBaseURL: func(string) string { return server.URL() + "/v1" },
	})
	w := &writer{
		t: t, ctx: ctx, id: mapping.Identity{Cluster: "readers", Topic: "orders", TopicID: [16]byte{1}},
		client: client, stream: client.Stream(name, sink.StreamSettings{}), raw: sdk.Basin(server.Basin()).Stream(s2.StreamName(name)),
	}
	if err := w.stream.Create(ctx); err != nil {
		t.Fatal(err)
	}
	return w
}

// own takes the stream over: fence, open marker.
func (w *writer) own() {
	w.t.Helper()
	w.fences++
	token := mapping.NewToken(w.id, w.fences, []byte("0123456789abcdef"))
	seq, err := w.stream.Fence(w.ctx, token, w.token, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	w.token, w.next = token, seq+1
	w.marker("open", mapping.OpenMarker(mapping.Open{
		Cluster: w.id.Cluster, Topic: w.id.Topic, TopicID: w.id.TopicUUID(), Group: "g\u00fc", Bridge: "test", Resume: w.resume, Epoch: -1,
	}))
}

// gap gives up the Kafka offsets up to to.
func (w *writer) gap(to int64) {
	w.t.Helper()
	w.marker("gap", mapping.GapMarker(mapping.Gap{From: w.resume, To: to, Reason: mapping.ReasonRetention, At: 1764000000000}))
	w.resume = to
}

func (w *writer) marker(name string, b *mapping.Batch) {
	w.t.Helper()
	w.lines = append(w.lines, line{Seq: w.next, Marker: name})
	w.send(b)
}

// records writes Kafka records, each with the batches that mapping makes of all of them.
func (w *writer) records(records ...mapping.Record) {
	w.t.Helper()
	var queue []*mapping.Batch
	for i := range records {
		r := &records[i]
		var err error
		if queue, err = mapping.Pack(queue, r, 0); err != nil {
			w.t.Fatal(err)
		}
		// Everything before is in the queue, and r's last S2 record ends it.
		seq := w.next - 1
		for _, b := range queue {
			seq += uint64(b.Count())
		}
		w.lines = append(w.lines, recordLine(seq, r))
		w.resume = r.Offset + 1
	}
	w.send(queue...)
}

// torn writes the first chunks of a record and no more.
func (w *writer) torn(r mapping.Record, chunks int) {
	w.t.Helper()
	queue, err := mapping.Pack(nil, &r, 0)
	if err != nil || len(queue) <= chunks {
		w.t.Fatalf("%d chunks, error %v", len(queue), err)
	}
	w.send(queue[:chunks]...)
}

// foreign appends a record as another program would.
func (w *writer) foreign(name, value, body string) {
	w.t.Helper()
	ack, err := w.raw.Append(w.ctx, &s2.AppendInput{Records: []s2.AppendRecord{{
		Headers: []s2.Header{{Name: []byte(name), Value: []byte(value)}}, Body: []byte(body),
	}}})
	if err != nil {
		w.t.Fatal(err)
	}
	if ack.Start.SeqNum != w.next {
		w.t.Fatalf("appended at %d, not %d", ack.Start.SeqNum, w.next)
	}
	w.next++
}

// send appends batches in a session and waits for their acks.
func (w *writer) send(batches ...*mapping.Batch) {
	w.t.Helper()
	acked, ended := make(chan uint64, len(batches)), make(chan error, 1)
	session := w.stream.Open(w.ctx, sink.Events{
		Acked: func(start, end uint64) { acked <- end },
		Ended: func(err error) { ended <- err },
	})
	for _, b := range batches {
		session.Send(b, w.next, w.token)
		w.next += uint64(b.Count())
	}
	session.Finish()
	err := errors.New("no end of the append session")
	select {
	case err = <-ended:
	case <-time.After(time.Minute):
		session.Abort()
		<-ended
	}
	if err == nil && len(acked) != len(batches) {
		err = fmt.Errorf("%d acks for %d batches", len(acked), len(batches))
	}
	if err != nil {
		w.t.Fatal(err)
	}
	for _, b := range batches {
		b.Release()
	}
}

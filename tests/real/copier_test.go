//go:build real

package real_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/s2-streamstore/s2-sdk-go/s2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
)

// copier is the naive bridge that the harness is tried with: one pass, one partition after the other, unary appends through
// the SDK, the oracle's own encoder. It can do wrong on purpose.
type copier struct {
	world *world
	group string
	// spoil may change what is about to be appended as a partition's n-th batch of records. May be nil.
	spoil func(id oracle.Identity, n int, batch []oracle.Stored, records []oracle.Record) []oracle.Stored
}

// stream is where the copier stands with one partition.
type copyStream struct {
	client *s2.StreamClient
	token  string
	next   uint64
	last   int64
}

func (c *copier) run(ctx context.Context, t *testing.T) {
	t.Helper()
	truth, err := oracle.ReadKafka(ctx, c.world.topics, c.world.brokers()) // for identities and ends
	if err != nil {
		t.Fatal(err)
	}
	url := c.world.s2.URL() + "/v1"
	basin := s2.New("none", &s2.ClientOptions{BaseURL: url, MakeBasinBaseURL: func(string) string { return url }}).Basin(c.world.s2.Basin())
	cl, err := c.world.kafka.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, p := range truth.Partitions {
		st, err := c.partition(ctx, basin, p)
		if err != nil {
			t.Fatalf("copy %s: %v", p.Name(), err)
		}
		meta, err := json.Marshal(map[string]any{"v": 1, "next": st.next, "last": st.last, "parts": c.world.parts(p.Identity.Topic), "id": p.Identity.Hash()})
		if err != nil {
			t.Fatal(err)
		}
		offsets := make(kadm.Offsets)
		offsets.Add(kadm.Offset{Topic: p.Identity.Topic, Partition: p.Identity.Partition, At: p.End, LeaderEpoch: -1, Metadata: string(meta)})
		if err := kadm.NewClient(cl).CommitAllOffsets(ctx, c.group, offsets); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *copier) partition(ctx context.Context, basin *s2.BasinClient, p *oracle.Served) (*copyStream, error) {
	if _, err := basin.Streams.Create(ctx, s2.CreateStreamArgs{Stream: s2.StreamName(p.Name())}); err != nil {
		return nil, err
	}
	st := &copyStream{client: basin.Stream(s2.StreamName(p.Name())), last: p.Start - 1}
	token := oracle.Token(p.Identity, 1, "copiercopier")
	if err := st.append(ctx, []oracle.Stored{oracle.EncodeFence(token)}); err != nil {
		return nil, err
	}
	st.token = token
	if err := st.append(ctx, []oracle.Stored{oracle.EncodeOpen(p.Identity, oracle.OpenMarker{Group: c.group, Resume: p.Start, Epoch: -1})}); err != nil {
		return nil, err
	}
	cl, err := c.world.kafka.Client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{p.Identity.Topic: {p.Identity.Partition: kgo.NewOffset().At(p.Start)}}))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	for at, n := p.Start, 0; at < p.End; n++ {
		fs := cl.PollRecords(ctx, 200)
		if err := fs.Err(); err != nil {
			return nil, err
		}
		var batch []oracle.Stored
		var records []oracle.Record
		for r := range fs.RecordsAll() {
			at = r.Offset + 1
			if r.Attrs.IsControl() {
				continue
			}
			rec := oracle.FromKafka(r)
			parts, err := oracle.Encode(rec)
			if err != nil {
				return nil, err
			}
			for i := range parts {
				parts[i].Timestamp = oracle.Index(rec)
			}
			batch, records = append(batch, parts...), append(records, rec)
		}
		if c.spoil != nil {
			batch = c.spoil(p.Identity, n, batch, records)
		}
		if err := st.append(ctx, batch); err != nil {
			return nil, err
		}
		if len(records) > 0 {
			st.last = records[len(records)-1].Offset
		}
	}
	return st, nil
}

// append sends a batch in pieces that S2 takes.
func (st *copyStream) append(ctx context.Context, batch []oracle.Stored) error {
	for len(batch) > 0 {
		in := &s2.AppendInput{MatchSeqNum: s2.Uint64(st.next)}
		if st.token != "" {
			in.FencingToken = s2.String(st.token)
		}
		size := uint64(0)
		for len(batch) > 0 {
			r := s2.AppendRecord{Timestamp: s2.Uint64(batch[0].Timestamp), Body: batch[0].Body}
			for _, h := range batch[0].Headers {
				r.Headers = append(r.Headers, s2.Header{Name: h.Name, Value: h.Value})
			}
			if size += s2.MeteredPayloadBytes(r); len(in.Records) > 0 && size > 1<<20 {
				break
			}
			in.Records = append(in.Records, r)
			batch = batch[1:]
		}
		ack, err := st.client.Append(ctx, in)
		if err != nil {
			return fmt.Errorf("append at %d: %w", st.next, err)
		}
		st.next = ack.End.SeqNum
	}
	return nil
}

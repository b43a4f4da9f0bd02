package main

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/sink/s2s"
	"kafka-s2-bridge/tests/s2mem"
)

// reel is a stream on an in-memory server that a test writes into, one append
// a call, as a bridge or a stranger would.
type reel struct {
	t      *testing.T
	srv    *s2mem.Server
	stream string
}

func newReel(t *testing.T, stream string) *reel {
	t.Helper()
	srv := s2mem.Start(t, s2mem.Options{})
	srv.Create(stream)
	return &reel{t, srv, stream}
}

func (r *reel) address() string { return "s2://" + s2mem.DefaultBasin + "/" + r.stream }

// run is a command about the stream.
func (r *reel) run(command string, flags ...string) said {
	r.t.Helper()
	return bridge(r.t, append([]string{command, r.address(), "--endpoint", r.srv.URL()}, flags...)...)
}

// want runs a command and compares all that it says.
func (r *reel) want(code int, out, errout, command string, flags ...string) {
	r.t.Helper()
	got := r.run(command, flags...)
	if got.code != code || got.out != out || got.err != errout {
		r.t.Errorf("%s %q: code %d, want %d\nstdout:\n%s\nwant:\n%s\nstderr:\n%s\nwant:\n%s", command, flags, got.code, code, got.out, out, got.err, errout)
	}
}

// append sends encoded records in one append.
func (r *reel) append(records ...[]byte) {
	r.t.Helper()
	target := r.srv.URL() + "/v1/streams/" + url.PathEscape(r.stream) + "/records"
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, target, bytes.NewReader(bytes.Join(records, nil)))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("s2-basin", s2mem.DefaultBasin)
	req.Header.Set("content-type", "application/protobuf")
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		r.t.Fatalf("append: %s %s, %v", resp.Status, text, err)
	}
}

// data appends Kafka records, each in as many appends as it needs.
func (r *reel) data(records ...mapping.Record) {
	r.t.Helper()
	for _, batch := range encode(r.t, records...) {
		r.append(batch)
	}
}

// take is what a bridge does first.
func (r *reel) take(resume int64) {
	r.t.Helper()
	r.append(fence("kb1.token"))
	r.append(opened(resume))
}

// encode returns batches of encoded records.
func encode(t *testing.T, records ...mapping.Record) (batches [][]byte) {
	t.Helper()
	var queue []*mapping.Batch
	for i := range records {
		var err error
		if queue, err = mapping.Pack(queue, &records[i], 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range queue {
		batches = append(batches, bytes.Clone(b.Bytes()))
		b.Release()
	}
	return batches
}

func fence(token string) []byte { return stored("", "fence", token) }

// stored is an S2 record with one header and timestamp 0.
func stored(name, value, body string) []byte {
	return s2s.AppendRecord(nil, []s2s.Header{{Name: []byte(name), Value: []byte(value)}}, []byte(body))
}

func opened(resume int64) []byte {
	b := mapping.OpenMarker(mapping.Open{
		Cluster: "cluster", Topic: "orders", TopicID: mapping.Identity{}.TopicUUID(), Partition: 3,
		Group: "g", Bridge: "v1", Resume: resume, Epoch: -1,
	})
	defer b.Release()
	return bytes.Clone(b.Bytes())
}

func gap(from, to int64, reason string) []byte {
	b := mapping.GapMarker(mapping.Gap{From: from, To: to, Reason: reason, At: 1_764_000_000_000})
	defer b.Release()
	return bytes.Clone(b.Bytes())
}

// plain are records whose value is their offset in words, one second apart.
func plain(offsets ...int64) (records []mapping.Record) {
	for _, o := range offsets {
		records = append(records, mapping.Record{
			Offset: o, LeaderEpoch: -1, Timestamp: 1000 * o, Value: []byte("v" + strings.Repeat("i", int(o%4))),
		})
	}
	return records
}

// offsets is a format that prints the offsets and nothing else.
const offsets = "%o "

// large is a record that needs several chunks.
func large(offset int64) mapping.Record {
	return mapping.Record{Offset: offset, LeaderEpoch: 7, Timestamp: 1000 * offset, Key: []byte("big"), Value: bytes.Repeat([]byte("x"), 5<<19)}
}

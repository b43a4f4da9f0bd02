package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/tests/s2mem"
)

// newClient makes a client that is closed when the test ends.
func newClient(t testing.TB, cfg Config) *Client {
	t.Helper()
	if cfg.Basin == "" {
		cfg.Basin = testBasin
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// mem starts an in-memory server and a client of it.
func mem(t testing.TB, o s2mem.Options) (*s2mem.Server, *Client) {
	t.Helper()
	o.Basin = testBasin
	srv := s2mem.Start(t, o)
	return srv, newClient(t, Config{Endpoint: srv.URL()})
}

// onEachServer runs a test against the in-memory server and s2-lite.
func onEachServer(t *testing.T, test func(t *testing.T, c *Client)) {
	t.Run("s2mem", func(t *testing.T) {
		_, c := mem(t, s2mem.Options{})
		test(t, c)
	})
	t.Run("s2-lite", func(t *testing.T) {
		test(t, liteClient(t))
	})
}

// fenced creates a stream and fences it with the token "t"; next is the
// sequence number behind the fence.
func fenced(t testing.TB, c *Client, name string) (s *Stream, next uint64) {
	t.Helper()
	ctx := deadline(t)
	s = c.Stream(name, StreamSettings{})
	if err := s.Create(ctx); err != nil {
		t.Fatal(err)
	}
	seq, err := s.Fence(ctx, "t", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return s, seq + 1
}

// batch holds records of size bytes, with the Kafka offsets from first on.
func batch(t testing.TB, first, records, size int) *mapping.Batch {
	t.Helper()
	var queue []*mapping.Batch
	for i := range records {
		var err error
		r := mapping.Record{Offset: int64(first + i), Value: bytes.Repeat([]byte{byte(first + i)}, size)}
		if queue, err = mapping.Pack(queue, &r, records*(size+64)); err != nil {
			t.Fatal(err)
		}
	}
	if len(queue) != 1 || queue[0].Count() != records {
		t.Fatalf("%d records of %d bytes do not fit one batch", records, size)
	}
	return queue[0]
}

// recorder keeps what a session reports.
type recorder struct {
	mu      sync.Mutex
	acks    [][2]uint64
	advised int
	changed chan struct{} // closed at the next report
	ended   chan error    // gets the one Ended
	over    bool
	wrong   []string
}

func newRecorder() *recorder {
	return &recorder{changed: make(chan struct{}), ended: make(chan error, 1)}
}

// open starts a session that reports to a recorder.
func open(ctx context.Context, s *Stream) (*Session, *recorder) {
	r := newRecorder()
	return s.Open(ctx, r.events()), r
}

func (r *recorder) events() Events {
	return Events{
		Acked:   func(start, end uint64) { r.report(func() { r.acks = append(r.acks, [2]uint64{start, end}) }) },
		Advised: func() { r.report(func() { r.advised++ }) },
		Ended: func(err error) {
			r.report(func() { r.over = true })
			r.ended <- err // of size 1: a second one would block and fail the test
		},
	}
}

func (r *recorder) report(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		r.wrong = append(r.wrong, "a report after the end")
	}
	change()
	close(r.changed)
	r.changed = make(chan struct{})
}

// awaitAcks returns when n acks are there, and fails if the session ends before.
func (r *recorder) awaitAcks(t testing.TB, ctx context.Context, n int) {
	t.Helper()
	for {
		r.mu.Lock()
		got, over, changed := len(r.acks), r.over, r.changed
		r.mu.Unlock()
		if got >= n {
			return
		}
		if over {
			t.Fatalf("the session ended (%v) after %d of %d acks", <-r.ended, got, n)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%d of %d acks: %v", got, n, ctx.Err())
		}
	}
}

// awaitEnd returns what Ended got.
func (r *recorder) awaitEnd(t testing.TB, ctx context.Context) error {
	t.Helper()
	select {
	case err := <-r.ended:
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, w := range r.wrong {
			t.Error(w)
		}
		return err
	case <-ctx.Done():
		t.Fatalf("the session did not end: %v", ctx.Err())
		return nil
	}
}

// wantAcks checks that there are n acks, of count records each, in a row.
func (r *recorder) wantAcks(t testing.TB, first uint64, n, count int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.acks) != n {
		t.Errorf("%d acks, want %d", len(r.acks), n)
	}
	for _, a := range r.acks {
		if a != [2]uint64{first, first + uint64(count)} {
			t.Fatalf("ack of %d to %d, want %d to %d", a[0], a[1], first, first+uint64(count))
		}
		first += uint64(count)
	}
}

// asError returns the *Error in err.
func asError(t testing.TB, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v (%T), want an *Error", err, err)
	}
	return e
}

// values reads a stream and returns the first byte of each value, commands
// left out.
func values(t testing.TB, ctx context.Context, s *Stream, from uint64, n int) string {
	t.Helper()
	page, err := s.Read(ctx, from, n)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, r := range page {
		if len(r.Headers) == 1 && len(r.Headers[0].Name) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%d ", r.Body[0])
	}
	return b.String()
}

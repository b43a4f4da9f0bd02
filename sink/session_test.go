package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/tests/s2mem"
)

func TestSessionFinishDrains(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client) {
		ctx := deadline(t)
		s, next := fenced(t, c, "orders/0")
		ss, r := open(ctx, s)
		for i := range 200 {
			ss.Send(batch(t, i*3, 3, 700), next+uint64(i*3), "t")
		}
		ss.Finish()
		ss.Send(batch(t, 0, 1, 1), 0, "t") // comes too late: dropped
		if err := r.awaitEnd(t, ctx); err != nil {
			t.Fatal(err)
		}
		r.wantAcks(t, next, 200, 3)
		if got := values(t, ctx, s, 0, 6); got != "0 1 2 3 4 " {
			t.Errorf("the stream begins with %s", got)
		}
	})
}

func TestSessionFinishWithoutAnything(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client) {
		ctx := deadline(t)
		s, _ := fenced(t, c, "orders/0")
		ss, r := open(ctx, s)
		ss.Finish()
		if err := r.awaitEnd(t, ctx); err != nil {
			t.Fatal(err)
		}
		r.wantAcks(t, 0, 0, 0)
	})
}

// Batches of up to the limits arrive byte for byte, over many reads of the body.
func TestSessionSendsBigBatches(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client) {
		ctx := deadline(t)
		s, next := fenced(t, c, "orders/0")
		ss, r := open(ctx, s)
		for i := range 8 {
			ss.Send(batch(t, i, 1, 1<<20-100), next+uint64(i), "t")
		}
		r.awaitAcks(t, ctx, 8)
		ss.Finish()
		if err := r.awaitEnd(t, ctx); err != nil {
			t.Fatal(err)
		}
		for i := range 8 {
			page, err := s.Read(ctx, next+uint64(i), 1)
			if err != nil || len(page) != 1 {
				t.Fatal(len(page), err)
			}
			if body := page[0].Body; len(body) != 1<<20-100 || strings.Trim(string(body), string(rune(i))) != "" {
				t.Errorf("record %d came back changed", i)
			}
		}
	})
}

// A batch in the middle of a pipeline is refused: acks up to it, then the
// error, and nothing behind it lands.
func TestSessionRefusedInMidPipeline(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client) {
		ctx := deadline(t)
		for name, bad := range map[string]func(ss *Session, b *mapping.Batch, seq uint64){
			"sequence number": func(ss *Session, b *mapping.Batch, seq uint64) { ss.Send(b, seq+1, "t") },
			"token":           func(ss *Session, b *mapping.Batch, seq uint64) { ss.Send(b, seq, "other") },
		} {
			s, next := fenced(t, c, "orders/"+name)
			ss, r := open(ctx, s)
			for i := range 10 {
				send := bad
				if i != 5 {
					send = func(ss *Session, b *mapping.Batch, seq uint64) { ss.Send(b, seq, "t") }
				}
				send(ss, batch(t, i, 1, 100), next+uint64(i))
			}
			e := asError(t, r.awaitEnd(t, ctx))
			r.wantAcks(t, next, 5, 1)
			seq, mismatch := e.SeqMismatch()
			token, fenced := e.Fenced()
			switch name {
			case "sequence number":
				if !mismatch || fenced || seq != next+5 {
					t.Errorf("%s: %v; mismatch %v at %d", name, e, mismatch, seq)
				}
			case "token":
				if !fenced || mismatch || token != "t" {
					t.Errorf("%s: %v; fenced %v by %q", name, e, fenced, token)
				}
			}
			if tail, _, _, err := s.Ask(ctx); err != nil || tail != next+5 {
				t.Errorf("%s: the tail is %d, %v", name, tail, err)
			}
		}
	})
}

func TestSessionOfMissingStream(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client) {
		ctx := deadline(t)
		ss, r := open(ctx, c.Stream("nope", StreamSettings{}))
		ss.Send(batch(t, 0, 1, 100), 0, "t")
		if e := asError(t, r.awaitEnd(t, ctx)); !e.NotFound() || e.Status != 404 {
			t.Errorf("got %v, want not found", e)
		}
	})
}

// Ways for a session to end that only an obliging server can show.
func TestSessionEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  s2mem.Fault
		acks   int
		ended  func(e *Error) string // empty: as wanted
		landed uint64                // batches in the stream afterwards
	}{
		{"cleanly, before applying", s2mem.Fault{Op: s2mem.OpBatch, Batch: 3, Do: s2mem.EOF}, 2, nil, 2},
		{"cleanly, after applying", s2mem.Fault{Op: s2mem.OpBatch, Batch: 3, Do: s2mem.ApplyEOF}, 2, nil, 3},
		{"by a reset", s2mem.Fault{Op: s2mem.OpBatch, Batch: 3, Do: s2mem.Reset}, 2, unanswered, 2},
		{"by a reset, after applying", s2mem.Fault{Op: s2mem.OpBatch, Batch: 3, Do: s2mem.ApplyReset}, 2, unanswered, 3},
		{"with half an ack", s2mem.Fault{Op: s2mem.OpBatch, Batch: 3, Do: s2mem.TornAck}, 2, unanswered, 3},
		{"by a cut connection", s2mem.Fault{Op: s2mem.OpBatch, Batch: 3, Do: s2mem.Cut}, -1, unanswered, 2},
		{"at once: reset", s2mem.Fault{Op: s2mem.OpOpen, Do: s2mem.Reset}, 0, unanswered, 0},
		{"at once: clean", s2mem.Fault{Op: s2mem.OpOpen, Do: s2mem.EOF}, 0, nil, 0},
		{"throttled", s2mem.Fault{Op: s2mem.OpBatch, Batch: 3, Do: s2mem.Refuse, Code: "rate_limited"}, 2, status(429, "rate_limited"), 2},
		{"draining", s2mem.Fault{Op: s2mem.OpBatch, Batch: 3, Do: s2mem.ApplyRefuse, Code: "server_draining"}, 2, status(503, "server_draining"), 3},
		{"refused at once", s2mem.Fault{Op: s2mem.OpOpen, Do: s2mem.Refuse, Code: "hot_server"}, 0, status(502, "hot_server"), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv, client := mem(t, s2mem.Options{})
			ctx := deadline(t)
			s, next := fenced(t, client, "orders/0")
			srv.Fault(c.fault)
			ss, r := open(ctx, s)
			for i := range 5 {
				ss.Send(batch(t, i, 1, 1000), next+uint64(i), "t")
			}
			err := r.awaitEnd(t, ctx)
			switch {
			case c.ended == nil && err != nil:
				t.Errorf("ended with %v, want none", err)
			case c.ended != nil:
				if wrong := c.ended(asError(t, err)); wrong != "" {
					t.Errorf("ended with %v: %s", err, wrong)
				}
			}
			if c.acks >= 0 {
				r.wantAcks(t, next, c.acks, 1)
			}
			if tail, _, _, err := s.Ask(ctx); err != nil || tail != next+c.landed {
				t.Errorf("the tail is %d, %v; want %d", tail, err, next+c.landed)
			}
		})
	}
}

func unanswered(e *Error) string {
	if e.Status != 0 || e.Unwrap() == nil || !e.Temporary() {
		return "want a failure without an answer"
	}
	return ""
}

func status(want int, code string) func(*Error) string {
	return func(e *Error) string {
		if e.Status != want || e.Code != code || !e.Temporary() {
			return fmt.Sprintf("want %d %s", want, code)
		}
		return ""
	}
}

func TestSessionPassesOnAdvice(t *testing.T) {
	srv, c := mem(t, s2mem.Options{})
	ctx := deadline(t)
	s, next := fenced(t, c, "orders/0")
	srv.Fault(s2mem.Fault{Op: s2mem.OpBatch, Skip: 1, Count: 2, Do: s2mem.Advise})
	r := newRecorder()
	on := r.events()
	var ss *Session
	on.Advised = func() { // at the second of five
		r.report(func() { r.advised = 10*r.advised + len(r.acks) + 1 })
		ss.Finish()
	}
	started := make(chan struct{})
	acked := on.Acked
	on.Acked = func(start, end uint64) { <-started; acked(start, end) }
	ss = s.Open(ctx, on)
	close(started)
	for i := range 3 {
		ss.Send(batch(t, i, 1, 100), next+uint64(i), "t")
	}
	if err := r.awaitEnd(t, ctx); err != nil {
		t.Fatal(err)
	}
	if r.advised != 2 {
		t.Errorf("advised is %d, want once, before the second ack", r.advised)
	}
	r.wantAcks(t, next, 3, 1)
}

// 10,000 tiny batches do not make the server close the connection for its too
// many small DATA frames; not even if it does nothing while they are sent.
func TestSessionOfTinyBatches(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		t.Run(fmt.Sprintf("stopped=%v", stopped), func(t *testing.T) {
			ctx := deadline(t)
			srv := ownLite(t)
			c := newClient(t, Config{Endpoint: srv.url})
			s, next := fenced(t, c, "orders/0")
			ss, r := open(ctx, s)
			const n = 10_000
			for i := range n {
				switch {
				case i == 1:
					r.awaitAcks(t, ctx, 1)
					if stopped {
						srv.cmd.Process.Signal(syscall.SIGSTOP)
					}
				case i == 4000: // 2,500 would do; longer, and the pings give up
					srv.cmd.Process.Signal(syscall.SIGCONT)
				}
				ss.Send(batch(t, i, 1, 1), next+uint64(i), "t")
				awaitRead(ctx, ss) // or many are read at a time
			}
			ss.Finish()
			if err := r.awaitEnd(t, ctx); err != nil {
				t.Fatal(err)
			}
			r.wantAcks(t, next, n, 1)
		})
	}
}

// awaitRead returns when net/http has read what it may read for now.
func awaitRead(ctx context.Context, ss *Session) {
	for ctx.Err() == nil {
		ss.body.mu.Lock()
		idle := !ss.body.ready() || ss.body.err != nil
		ss.body.mu.Unlock()
		if idle {
			return
		}
		runtime.Gosched()
	}
}

func TestSessionRefusesBadBatches(t *testing.T) {
	_, c := mem(t, s2mem.Options{})
	ctx := deadline(t)
	s, next := fenced(t, c, "orders/0")
	for name, token := range map[string]string{"token": strings.Repeat("x", 37)} {
		ss, r := open(ctx, s)
		ss.Send(batch(t, 0, 1, 10), next, token)
		if err := r.awaitEnd(t, ctx); !errors.Is(err, errBadBatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if tail, _, _, err := s.Ask(ctx); tail != next || err != nil {
		t.Errorf("tail %d, %v", tail, err)
	}
}

func TestErrorsOfSessionsAreNotEOF(t *testing.T) {
	// A TLS handshake or a proxy that ends with EOF must not look like the clean
	// end of a session.
	_, c := mem(t, s2mem.Options{})
	ss := &Session{stream: c.Stream("x", StreamSettings{}), body: newBody()}
	ss.body.close(errEnded)
	if err := ss.blame(t.Context(), io.EOF); err == nil || !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

package sink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/sink/s2s"
	"kafka-s2-bridge/tests/s2mem"
)

// reuse does with aborted batches what an owner does: hands their memory back.
// Under the race detector mapping overwrites it then, so a late read by
// net/http is a reported race.
func reuse(batches []*mapping.Batch) {
	for _, b := range batches {
		b.Release()
	}
}

// The server stops reading: flow control holds net/http in the middle of a
// batch, where only closing the answer wakes it.
func TestAbortWhileTheServerStalls(t *testing.T) {
	srv, c := mem(t, s2mem.Options{})
	ctx := deadline(t)
	s, next := fenced(t, c, "orders/0")
	stall := srv.Fault(s2mem.Fault{Op: s2mem.OpBatch, Batch: 2, Do: s2mem.Stall})
	ss, r := open(ctx, s)
	var sent []*mapping.Batch
	for i := range 8 {
		sent = append(sent, batch(t, i, 1, 1<<20-100))
		ss.Send(sent[i], next+uint64(i), "t")
	}
	if err := stall.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	r.awaitAcks(t, ctx, 1)
	ss.Abort()
	reuse(sent)
	if err := r.awaitEnd(t, ctx); !errors.Is(err, ErrAborted) {
		t.Errorf("ended with %v, want ErrAborted", err)
	}
	// The path and the stream are well: the next session works, behind a fence,
	// because what had arrived of the first one may still be appended.
	stall.Remove()
	fence, err := s.Fence(ctx, "t2", "t", 0)
	if err != nil {
		t.Fatal(err)
	}
	ss, r = open(ctx, s)
	ss.Send(batch(t, 1, 1, 10), fence+1, "t2")
	r.awaitAcks(t, ctx, 1)
	ss.Finish()
	if err := r.awaitEnd(t, ctx); err != nil {
		t.Error(err)
	}
}

// Abort at every moment of a session's life, with the memory reused at once.
func TestAbortAtAnyMoment(t *testing.T) {
	_, c := mem(t, s2mem.Options{})
	ctx := deadline(t)
	s, next := fenced(t, c, "orders/0")
	for round := range 120 {
		ss, r := open(ctx, s)
		var sent []*mapping.Batch
		for i := range 6 {
			sent = append(sent, batch(t, i, 1, 40_000))
		}
		for i, b := range sent {
			ss.Send(b, next+uint64(i), "t")
			if i == 1 && round%3 == 1 {
				for range 10 * round {
					runtime.Gosched()
				}
			}
		}
		switch {
		case round%3 == 2:
			r.awaitAcks(t, ctx, 1+round%5)
		case round%2 == 0:
			awaitRead(ctx, ss)
		}
		ss.Abort()
		reuse(sent)
		ss.Send(batch(t, 0, 1, 10), 0, "t") // does nothing
		ss.Finish()
		if err := r.awaitEnd(t, ctx); err == nil {
			t.Fatal("an aborted session ended well")
		}
		seq, err := s.Fence(ctx, "t", "t", 0)
		if err != nil {
			t.Fatal(err)
		}
		next = seq + 1
	}
}

func TestAbortFromCallbacks(t *testing.T) {
	_, c := mem(t, s2mem.Options{})
	ctx := deadline(t)
	s, next := fenced(t, c, "orders/0")
	r := newRecorder()
	on := r.events()
	var ss *Session
	ready := make(chan struct{})
	acked := on.Acked
	on.Acked = func(start, end uint64) { <-ready; ss.Abort(); acked(start, end) }
	ended := on.Ended
	on.Ended = func(err error) { ss.Abort(); ss.Finish(); ss.Send(batch(t, 0, 1, 1), 0, ""); ended(err) }
	ss = s.Open(ctx, on)
	close(ready)
	ss.Send(batch(t, 0, 1, 10), next, "t")
	if err := r.awaitEnd(t, ctx); !errors.Is(err, ErrAborted) {
		t.Errorf("ended with %v", err)
	}
}

func TestEndOfContextAborts(t *testing.T) {
	srv, c := mem(t, s2mem.Options{})
	s, next := fenced(t, c, "orders/0")
	hold := srv.Fault(s2mem.Fault{Op: s2mem.OpBatch, Do: s2mem.HoldFlush})
	ctx, cancel := context.WithCancel(deadline(t))
	ss, r := open(ctx, s)
	ss.Send(batch(t, 0, 1, 10), next, "t")
	if err := hold.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := r.awaitEnd(t, deadline(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestCloseEndsSessions(t *testing.T) {
	srv, c := mem(t, s2mem.Options{})
	ctx := deadline(t)
	s, next := fenced(t, c, "orders/0")
	hold := srv.Fault(s2mem.Fault{Op: s2mem.OpBatch, Do: s2mem.HoldFlush})
	ss, r := open(ctx, s)
	ss.Send(batch(t, 0, 1, 10), next, "t")
	if err := hold.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	c.Close()
	select {
	case err := <-r.ended:
		if !errors.Is(err, ErrAborted) {
			t.Errorf("ended with %v", err)
		}
	default:
		t.Error("Close returned before the session had ended")
	}
	_, r = open(ctx, s)
	if err := r.awaitEnd(t, ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("opened after Close, ended with %v", err)
	}
	if _, _, _, err := s.Ask(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("asked after Close: %v", err)
	}
	c.Close() // again
}

// An ack for what was not sent yet is no ack.
func TestEarlyAck(t *testing.T) {
	ack := []byte{0x0a, 0x02, 0x08, 0x01, 0x12, 0x02, 0x08, 0x02} // start 1, end 2
	var frame [s2s.HeaderSize]byte
	s2s.PutHeader(&frame, len(ack))
	c := newClient(t, Config{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.Write(append(frame[:], ack...))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})})
	ctx := deadline(t)
	_, r := open(ctx, c.Stream("orders/0", StreamSettings{}))
	err := r.awaitEnd(t, ctx)
	if !errors.Is(err, errEarlyAck) {
		t.Errorf("ended with %v, want errEarlyAck", err)
	}
	r.wantAcks(t, 0, 0, 0)
}

// Answers that are not S2's.
func TestSessionAnswersOfStrangers(t *testing.T) {
	for name, answer := range map[string]string{
		"text":          "<html>hello</html>",
		"terminal of 0": "\x00\x00\x03\x80\x00\x00",
		"torn":          "\x00\x00\x10\x00abc",
		"bad ack":       "\x00\x00\x04\x00abc",
		"length 0":      "\x00\x00\x00\x00",
	} {
		c := newClient(t, Config{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, answer)
		})})
		ctx := deadline(t)
		_, r := open(ctx, c.Stream("orders/0", StreamSettings{}))
		if e := asError(t, r.awaitEnd(t, ctx)); e.Status != 0 || e.Unwrap() == nil {
			t.Errorf("%s: ended with %v", name, e)
		}
	}
}

// serve runs an HTTP/2 server in plain text.
func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	srv.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return "http://" + l.Addr().String()
}

// A path that swallows everything is found by pings: 2 s of silence and 1 s
// without an answer. The next request finds a fresh connection.
func TestPingsFindDeadPaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		srv := s2mem.New(s2mem.Options{Basin: testBasin})
		srv.Start(network)
		defer srv.Close()
		c := newClient(t, Config{Endpoint: "http://s2.test", Dial: network.dial, Connections: 1})
		defer c.Close()
		ctx := t.Context()
		s, next := fenced(t, c, "orders/0")
		ss, r := open(ctx, s)
		ss.Send(batch(t, 0, 1, 10), next, "t")
		r.awaitAcks(t, ctx, 1)

		srv.Freeze()
		began := time.Now()
		ss.Send(batch(t, 1, 1, 10), next+1, "t")
		err := r.awaitEnd(t, ctx)
		if took := time.Since(began); took > 3100*time.Millisecond || asError(t, err).Status != 0 {
			t.Errorf("ended after %v with %v, want some 3 s", took, err)
		}
		// Unary requests find out as well.
		began = time.Now()
		if _, _, _, err := s.Ask(ctx); err == nil || time.Since(began) > 3100*time.Millisecond {
			t.Errorf("asked over the dead path for %v: %v", time.Since(began), err)
		}
		srv.Thaw()
		if _, token, _, err := s.Ask(ctx); err != nil || token != "t" {
			t.Errorf("after the path came back: %q, %v", token, err)
		}
		if n := network.dialed(); n < 2 {
			t.Errorf("%d connections were made", n)
		}
	})
}

// The same with a real server that is stopped, and with real time.
func TestPingsFindStoppedServer(t *testing.T) {
	srv := ownLite(t)
	c := newClient(t, Config{Endpoint: srv.url})
	ctx := deadline(t)
	s, next := fenced(t, c, "orders/0")
	ss, r := open(ctx, s)
	ss.Send(batch(t, 0, 1, 10), next, "t")
	r.awaitAcks(t, ctx, 1)
	began := time.Now()
	srv.cmd.Process.Signal(syscall.SIGSTOP)
	ss.Send(batch(t, 1, 1, 10), next+1, "t")
	if e := asError(t, r.awaitEnd(t, ctx)); e.Status != 0 || !e.Temporary() {
		t.Errorf("ended with %v", e)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("found out after %v", took)
	}
	srv.cmd.Process.Signal(syscall.SIGCONT)
	if _, _, _, err := s.Ask(ctx); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

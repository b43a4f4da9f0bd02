package s2mem_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"kafka-s2-bridge/tests/s2mem"
)

// What each action does to a unary append, and whether the record is there.
func TestFaultUnary(t *testing.T) {
	for _, c := range []struct {
		do      s2mem.Action
		answer  string // beginning of it; "error" for none
		applied bool
	}{
		{s2mem.Refuse, `429 {"code":"rate_limited","message":"slow down"}`, false},
		{s2mem.Reset, "error", false},
		{s2mem.Cut, "error", false},
		{s2mem.EOF, "200 ", false},
		{s2mem.ApplyReset, "error", true},
		{s2mem.ApplyCut, "error", true},
		{s2mem.ApplyEOF, "200 ", true},
		{s2mem.ApplyRefuse, `429 {"code":"rate_limited","message":"slow down"}`, true},
		{s2mem.TornAck, "error", true},
		{s2mem.WrongAck, `200 {"start":{"seq_num":3,`, true},
		{s2mem.GoAway, `200 {"start":{"seq_num":0,`, true},
		{s2mem.Observe, `200 {"start":{"seq_num":0,`, true},
	} {
		versions(t, s2mem.Options{}, func(t *testing.T, srv *s2mem.Server, cl *client) {
			h := srv.Fault(s2mem.Fault{Op: s2mem.OpAppend, Do: c.do, Code: "rate_limited", Message: "slow down", ShiftStart: 3, ShiftEnd: 4})
			status, body, err := cl.append(limit(t), "a")
			answer := "error"
			if err == nil {
				answer = strings.TrimSpace(strings.Join([]string{strconv.Itoa(status), body}, " ")) + " "
			}
			if !strings.HasPrefix(answer, c.answer) || h.Hits() != 1 {
				t.Fatalf("action %d: answer %s, want %s; %d hits", c.do, answer, c.answer, h.Hits())
			}
			if c.do == s2mem.WrongAck && !strings.Contains(body, `"end":{"seq_num":5,`) {
				t.Fatalf("answer %s", body)
			}
			if got := bodies(srv, "s"); (got == "a") != c.applied {
				t.Fatalf("action %d: stream holds %q", c.do, got)
			}
			if status, _, err := cl.append(limit(t), "b"); err != nil || status != 200 {
				t.Fatalf("action %d: the next append: %d %v", c.do, status, err)
			}
		})
	}
}

// What each action does to the third batch of five in a session.
func TestFaultSession(t *testing.T) {
	for _, c := range []struct {
		do     s2mem.Action
		frames string
		stream string
	}{
		{s2mem.Refuse, `ack 0-1, ack 1-2, end 503 {"code":"server_draining","message":"injected by the test"}, eof`, "a b"},
		{s2mem.Reset, "ack 0-1, ack 1-2, error", "a b"},
		{s2mem.EOF, "ack 0-1, ack 1-2, eof", "a b"},
		{s2mem.ApplyReset, "ack 0-1, ack 1-2, error", "a b c"},
		{s2mem.ApplyEOF, "ack 0-1, ack 1-2, eof", "a b c"},
		{s2mem.ApplyRefuse, `ack 0-1, ack 1-2, end 503 {"code":"server_draining","message":"injected by the test"}, eof`, "a b c"},
		{s2mem.TornAck, "ack 0-1, ack 1-2, error", "a b c"},
		{s2mem.WrongAck, "ack 0-1, ack 1-2, ack 1-3, ack 3-4, ack 4-5, eof", "a b c d e"},
		{s2mem.Advise, "ack 0-1, ack 1-2, ack 2-3 flag 10, ack 3-4, ack 4-5, eof", "a b c d e"},
		{s2mem.Observe, "ack 0-1, ack 1-2, ack 2-3, ack 3-4, ack 4-5, eof", "a b c d e"},
	} {
		versions(t, s2mem.Options{}, func(t *testing.T, srv *s2mem.Server, cl *client) {
			h := srv.Fault(s2mem.Fault{Op: s2mem.OpBatch, Batch: 3, Do: c.do, Code: "server_draining", ShiftStart: -1})
			x := cl.session(t)
			x.send(0, "a", "b", "c", "d", "e")
			x.w.Close()
			if got := x.all(); got != c.frames || h.Hits() != 1 {
				t.Fatalf("action %d: frames %s; want %s; %d hits", c.do, got, c.frames, h.Hits())
			}
			if got := bodies(srv, "s"); got != c.stream {
				t.Fatalf("action %d: stream holds %q, want %q", c.do, got, c.stream)
			}
		})
	}
}

// A cut connection takes the acks with it that were on their way.
func TestFaultSessionCut(t *testing.T) {
	for do, want := range map[s2mem.Action]string{s2mem.Cut: "a b", s2mem.ApplyCut: "a b c"} {
		versions(t, s2mem.Options{}, func(t *testing.T, srv *s2mem.Server, cl *client) {
			srv.Fault(s2mem.Fault{Op: s2mem.OpBatch, Batch: 3, Do: do})
			x := cl.session(t)
			x.send(0, "a", "b", "c", "d", "e")
			if got := x.all(); !strings.HasSuffix(got, "error") {
				t.Fatalf("frames %s", got)
			}
			if got := bodies(srv, "s"); got != want {
				t.Fatalf("stream holds %q, want %q", got, want)
			}
		})
	}
}

// Not in HTTP/1.1: Go's client does not notice a closed connection while it
// waits for more of the body to send.
func TestFaultOpen(t *testing.T) {
	version(t, "h2c", s2mem.Options{}, func(t *testing.T, srv *s2mem.Server, cl *client) {
		open := func() string {
			x, err := cl.open(limit(t))
			if err != nil {
				return "error"
			}
			defer x.end()
			if x.resp.StatusCode != 200 {
				return strconv.Itoa(x.resp.StatusCode)
			}
			x.send(-100, "a")
			x.w.Close()
			return x.all()
		}
		for _, c := range []struct {
			do   s2mem.Action
			want string
		}{
			{s2mem.Refuse, "503"}, {s2mem.Reset, "error"}, {s2mem.Cut, "error"}, {s2mem.ApplyEOF, "eof"}, {s2mem.ApplyReset, "error"},
		} {
			srv.Fault(s2mem.Fault{Op: s2mem.OpOpen, Do: c.do})
			if got := open(); got != c.want {
				t.Fatalf("action %d: %s, want %s", c.do, got, c.want)
			}
		}
		if got := open(); got != "ack 0-1, eof" {
			t.Fatal("without a fault:", got)
		}
	})
}

// A request that its client has given up is applied when it is released.
func TestHoldDeliversLate(t *testing.T) {
	versions(t, s2mem.Options{}, func(t *testing.T, srv *s2mem.Server, cl *client) {
		landed := make(chan string, 10)
		srv.OnAppend(func(a s2mem.Append) { landed <- string(a.Records[0].Body) })
		h := srv.Fault(s2mem.Fault{Op: s2mem.OpAppend, Do: s2mem.Hold})
		ctx, cancel := context.WithCancel(limit(t))
		gone := make(chan error)
		go func() {
			_, _, err := cl.append(ctx, "late")
			gone <- err
		}()
		if err := h.Wait(limit(t), 1); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if status, _, err := cl.append(limit(t), "next"); err != nil || status != 200 {
			t.Fatal(status, err)
		}
		h.Release()
		if first, second := <-landed, <-landed; first != "next" || second != "late" {
			t.Fatal(first, second)
		}
	})
}

func TestHoldInSession(t *testing.T) {
	versions(t, s2mem.Options{}, func(t *testing.T, srv *s2mem.Server, cl *client) {
		landed := make(chan string, 10)
		srv.OnAppend(func(a s2mem.Append) { landed <- string(a.Records[0].Body) })
		h := srv.Fault(s2mem.Fault{Op: s2mem.OpBatch, Batch: 2, Do: s2mem.Hold})
		x := cl.session(t)
		x.send(0, "a", "b")
		if got := x.next(); got != "ack 0-1" {
			t.Fatal(got)
		}
		if err := h.Wait(limit(t), 1); err != nil {
			t.Fatal(err)
		}
		x.end()
		h.Release()
		if first, second := <-landed, <-landed; first != "a" || second != "b" {
			t.Fatal(first, second)
		}
	})
}

func TestHoldAnswer(t *testing.T) {
	versions(t, s2mem.Options{}, func(t *testing.T, srv *s2mem.Server, cl *client) {
		landed := make(chan int, 10)
		srv.OnAppend(func(a s2mem.Append) { landed <- a.Batch })
		h := srv.Fault(s2mem.Fault{Op: s2mem.OpBatch, Batch: 2, Do: s2mem.HoldAnswer})
		x := cl.session(t)
		x.send(0, "a", "b", "c")
		for want := 1; want <= 3; want++ { // the third is applied behind the held ack
			if got := <-landed; got != want {
				t.Fatal(got)
			}
		}
		if got := x.next(); got != "ack 0-1" {
			t.Fatal(got)
		}
		h.Release()
		x.send(3, "d")
		x.w.Close()
		if got := x.all(); got != "ack 1-2, ack 2-3, ack 3-4, eof" {
			t.Fatal(got)
		}
	})
}

// A stalled batch is lost if the client gives up, and the window fills: the
// client's writes block.
func TestStall(t *testing.T) {
	versions(t, s2mem.Options{}, func(t *testing.T, srv *s2mem.Server, cl *client) {
		for _, f := range []s2mem.Fault{{Op: s2mem.OpBatch, Batch: 1, Do: s2mem.Stall}, {Op: s2mem.OpOpen, Do: s2mem.Stall}} {
			h := srv.Fault(f)
			x := cl.session(t)
			wrote := make(chan error)
			go func() {
				big := frame(strings.Repeat("x", 1<<20-8), -1, "")
				for range 64 {
					if _, err := x.w.Write(big); err != nil {
						wrote <- err
						return
					}
				}
				wrote <- nil
			}()
			if err := h.Wait(limit(t), 1); err != nil {
				t.Fatal(err)
			}
			x.cancel()
			x.resp.Body.Close() // the cancel alone does not wake a write that waits for window
			if err := <-wrote; err == nil {
				t.Fatal("64 MiB were taken by a stalled session")
			}
			x.end()
			if tail, _ := srv.Tail("s"); tail.Seq != 0 {
				t.Fatal(tail)
			}
		}
	})
}

func TestStallReleased(t *testing.T) {
	versions(t, s2mem.Options{}, func(t *testing.T, srv *s2mem.Server, cl *client) {
		h := srv.Fault(s2mem.Fault{Op: s2mem.OpBatch, Batch: 2, Do: s2mem.Stall})
		x := cl.session(t)
		x.send(0, "a", "b", "c")
		x.w.Close()
		if got := x.next(); got != "ack 0-1" {
			t.Fatal(got)
		}
		h.Release()
		if got := x.all(); got != "ack 1-2, ack 2-3, eof" {
			t.Fatal(got)
		}
	})
}

// HoldFlush: accepted but not durable. The tail does not count it, the next
// sequence number does; what refuses because of it waits for it.
func TestHoldFlush(t *testing.T) {
	versions(t, s2mem.Options{}, func(t *testing.T, srv *s2mem.Server, cl *client) {
		h := srv.Fault(s2mem.Fault{Op: s2mem.OpBatch, Batch: 1, Do: s2mem.HoldFlush})
		x := cl.session(t)
		x.send(0, "a")
		if err := h.Wait(limit(t), 1); err != nil {
			t.Fatal(err)
		}
		second := make(chan string)
		go func() {
			status, answer, _ := cl.do(limit(t), "POST", "/v1/streams/s/records", `{"records":[{"body":"b"}],"match_seq_num":0}`)
			second <- strconv.Itoa(status) + " " + answer
		}()
		if got := cl.must(t, "GET", "/v1/streams/s/records/tail", ""); !strings.HasPrefix(got, `{"tail":{"seq_num":0,`) {
			t.Fatal("tail", got)
		}
		if status, got, _ := cl.do(limit(t), "GET", "/v1/streams/s/records?seq_num=0", ""); status != 416 {
			t.Fatal("read", got)
		}
		select {
		case got := <-second:
			t.Fatal("refused before what it depends on is durable:", got)
		default:
		}
		h.Release()
		if got := <-second; got != `412 {"seq_num_mismatch":1}` {
			t.Fatal(got)
		}
		if got := x.next(); got != "ack 0-1" {
			t.Fatal(got)
		}
	})
}

func TestFaultSelects(t *testing.T) {
	srv := s2mem.Start(t, s2mem.Options{CreateStreamOnAppend: true})
	cl := dial(t, srv, "http1")
	post := func(stream, body string) int {
		status, _, err := cl.do(limit(t), "POST", "/v1/streams/"+stream+"/records", body)
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	const one, ask = `{"records":[{"body":"x"}]}`, `{"records":[{}],"match_seq_num":4611686018427387904,"fencing_token":"?"}`
	check := func(f s2mem.Fault, wants ...int) {
		t.Helper()
		f.Code = "unavailable"
		h := srv.Fault(f)
		hits := 0
		for i, r := range []struct{ stream, body string }{{"t%2F0", one}, {"t%2F1", one}, {"u%2F0", one}, {"t%2F0", ask}, {"t%2F0", one}} {
			if got := post(r.stream, r.body); got != wants[i] {
				t.Errorf("%+v: request %d: %d, want %d", f, i, got, wants[i])
			}
			if wants[i] == 503 {
				hits++
			}
		}
		if h.Hits() != hits {
			t.Errorf("%+v: %d hits, want %d", f, h.Hits(), hits)
		}
		h.Remove()
	}
	check(s2mem.Fault{Op: s2mem.OpAppend}, 503, 200, 200, 412, 200)
	check(s2mem.Fault{Op: s2mem.OpAppend, Count: -1}, 503, 503, 503, 412, 503)
	check(s2mem.Fault{Op: s2mem.OpAppend, Count: 2, Skip: 1}, 200, 503, 503, 412, 200)
	check(s2mem.Fault{Op: s2mem.OpAsk, Count: -1}, 200, 200, 200, 503, 200)
	check(s2mem.Fault{Count: -1}, 503, 503, 503, 503, 503)
	check(s2mem.Fault{Stream: "t/0", Count: -1}, 503, 200, 200, 503, 503)
	check(s2mem.Fault{Prefix: "t/", Count: -1}, 503, 503, 200, 503, 503)
	check(s2mem.Fault{Op: s2mem.OpTail, Count: -1}, 200, 200, 200, 412, 200)
	check(s2mem.Fault{Count: -1, When: func(c s2mem.Call) bool { return c.Token != nil && *c.Token == "?" && c.Match != nil }}, 200, 200, 200, 503, 200)
	check(s2mem.Fault{Count: -1, When: func(c s2mem.Call) bool { return string(c.Records()[0].Body) == "x" }}, 503, 503, 503, 412, 503)
	check(s2mem.Fault{Batch: 1, Count: -1}, 200, 200, 200, 412, 200)

	// The first that matches acts alone.
	a, b := srv.Fault(s2mem.Fault{Do: s2mem.Observe, Count: -1}), srv.Fault(s2mem.Fault{Code: "unavailable"})
	if post("t%2F0", one) != 200 || a.Hits() != 1 || b.Hits() != 0 {
		t.Error("the second fault acted")
	}
	a.Remove()
	if post("t%2F0", one) != 503 || b.Hits() != 1 {
		t.Error("the second fault did not act")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Wait(ctx, 2); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Close ends what is held, and leaves no goroutine (TestMain looks).
func TestCloseWhileHeld(t *testing.T) {
	for _, do := range []s2mem.Action{s2mem.Hold, s2mem.Stall, s2mem.HoldAnswer, s2mem.HoldFlush} {
		versions(t, s2mem.Options{}, func(t *testing.T, srv *s2mem.Server, cl *client) {
			h := srv.Fault(s2mem.Fault{Do: do, Op: s2mem.OpAppend})
			hs := srv.Fault(s2mem.Fault{Do: do, Op: s2mem.OpBatch})
			gone := make(chan error)
			go func() {
				_, _, err := cl.append(limit(t), "x")
				gone <- err
			}()
			if err := h.Wait(limit(t), 1); err != nil {
				t.Fatal(err)
			}
			x := cl.session(t)
			x.w.Write(frame("y", -1, ""))
			if err := hs.Wait(limit(t), 1); err != nil {
				t.Fatal(err)
			}
			srv.Close()
			if err := <-gone; err == nil {
				t.Fatal("a held request was answered")
			}
			if got := x.all(); got != "error" {
				t.Fatal(got)
			}
			h.Release()
			srv.Close()
		})
	}
}

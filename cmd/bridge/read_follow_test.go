package main

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"kafka-s2-bridge/tests/s2mem"
)

// watched is an output on which a test can wait for a text.
type watched struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newWatched() *watched { return &watched{changed: make(chan struct{})} }

func (s *watched) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return s.text.Write(b)
}

func (s *watched) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await returns when the text is there.
func (s *watched) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		have, changed := s.text.String(), s.changed
		s.mu.Unlock()
		if strings.Contains(have, text) {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%q does not come; there is %q", text, have)
		}
	}
}

// following is a `bridge read` that runs.
type following struct {
	out, err *watched
	stop     context.CancelFunc
	code     chan int
}

func (r *reel) follow(flags ...string) *following { return r.begin(append(flags, "--follow")...) }

// begin starts a `bridge read` without waiting for its end.
func (r *reel) begin(flags ...string) *following {
	r.t.Helper()
	ctx, stop := context.WithCancel(r.t.Context())
	f := &following{newWatched(), newWatched(), stop, make(chan int, 1)}
	args := append([]string{"read", r.address(), "--endpoint", r.srv.URL(), "-f", offsets}, flags...)
	go func() { f.code <- run(ctx, args, strings.NewReader(""), f.out, f.err) }()
	r.t.Cleanup(stop)
	return f
}

// end stops it and compares what it said.
func (f *following) end(t *testing.T, code int, out, errout string) {
	t.Helper()
	f.stop()
	f.want(t, code, out, errout)
}

// want waits until it ends by itself.
func (f *following) want(t *testing.T, code int, out, errout string) {
	t.Helper()
	if got := <-f.code; got != code || f.out.String() != out || f.err.String() != errout {
		t.Errorf("code %d, want %d; %q, want %q\n%s\nwant\n%s", got, code, f.out, out, f.err, errout)
	}
}

func TestReadFollow(t *testing.T) {
	r := newReel(t, "orders/3")
	r.take(0)
	r.data(plain(0, 1)...)
	all, last, later, counted := r.follow(), r.follow("--last", "0"), r.follow("--from-offset", "3"), r.follow("--count", "3")
	all.out.await(t, "0 1 ")
	counted.out.await(t, "0 1 ")
	r.data(plain(2)...)
	counted.want(t, exitDone, "0 1 2 ", "")
	all.out.await(t, "2 ")
	r.append(stored("x", "", ""))
	all.err.await(t, "sequence number 5: not written")
	r.take(3)
	parts := encode(t, large(3))
	for _, part := range parts {
		r.append(part)
	}
	r.data(plain(4)...)
	for _, f := range []*following{all, last, later} {
		f.out.await(t, "3 4 ")
	}
	foreign := "sequence number 5: not written by a bridge: first header is \"x\"\n"
	verdict := "error: the stream \"orders/3\" is not as a bridge writes it: 1 record, told above\n"
	all.end(t, exitFailed, "0 1 2 3 4 ", foreign+verdict)
	later.stop()
	last.stop()
	<-later.code
	<-last.code
	if got := later.out.String(); got != "3 4 " {
		t.Errorf("from an offset that was yet to come: %q", got)
	}
}

// From an empty stream on, and over trouble of S2.
func TestReadFollowThroughTrouble(t *testing.T) {
	r := newReel(t, "orders/3")
	f := r.follow()
	trouble := r.srv.Fault(s2mem.Fault{Op: s2mem.OpRead, Skip: 1, Do: s2mem.Refuse}) // the first read looks at the beginning
	if err := trouble.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	r.take(0)
	r.data(plain(0)...)
	f.out.await(t, "0 ")
	r.srv.CutConnections()
	r.data(plain(1)...)
	f.out.await(t, "1 ")
	f.end(t, exitDone, "0 1 ", "")
}

// A stream that is made anew has other records under the same numbers.
func TestReadFollowsNoOtherStream(t *testing.T) {
	r := newReel(t, "orders/3")
	r.take(0)
	r.data(plain(0, 1)...)
	f := r.follow()
	f.out.await(t, "1 ")
	r.srv.Rewind(r.stream, 2)
	r.srv.CutConnections() // a read that waits goes on waiting
	f.want(t, exitFailed, "0 1 ", "error: "+errShrunk.Error()+"\n")

	// Without --follow: the tail was asked for before, the page comes after.
	r.data(plain(0, 1)...)
	held := r.srv.Fault(s2mem.Fault{Op: s2mem.OpRead, Skip: 1, Do: s2mem.Hold})
	f = r.begin("--from-offset", "1", "--count", "1")
	if err := held.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	r.srv.Rewind(r.stream, 0)
	held.Release()
	f.want(t, exitFailed, "", "error: "+errShrunk.Error()+"\n")
}

// Between two pages the records behind the first one are trimmed.
func TestReadOvertakenByATrim(t *testing.T) {
	for _, flags := range [][]string{nil, {"--follow"}} {
		r := newReel(t, "orders/3")
		r.take(0)
		for first := range int64(3) {
			for _, batch := range encode(t, plain(thousand(1000*first)...)...) {
				r.append(batch)
			}
		}
		// The origin is looked at with one read, then come the pages.
		held := r.srv.Fault(s2mem.Fault{Op: s2mem.OpRead, Skip: 2, Do: s2mem.Hold})
		f := r.begin(flags...)
		if err := held.Wait(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		r.srv.Trim(r.stream, 3001)
		held.Release()
		told := "sequence numbers 1000 to 3000: trimmed before they could be read\n"
		f.out.await(t, " 2999 ")
		f.err.await(t, told)
		if len(flags) > 0 {
			f.stop()
		}
		if code := <-f.code; code != exitFailed || strings.Contains(f.out.String(), " 2998 ") {
			t.Errorf("code %d, %s", code, f.err)
		}
	}
}

// thousand are the offsets from first on.
func thousand(first int64) []int64 {
	out := make([]int64, 1000)
	for i := range out {
		out[i] = first + int64(i)
	}
	return out
}

// Without --follow, an interrupt is not the end of the stream.
func TestReadInterrupted(t *testing.T) {
	r := newReel(t, "orders/3")
	r.take(0)
	ctx, stop := context.WithCancel(t.Context())
	held := r.srv.Fault(s2mem.Fault{Op: s2mem.OpRead, Skip: 1, Do: s2mem.Hold})
	go func() {
		_ = held.Wait(t.Context(), 1)
		stop()
	}()
	for _, command := range []string{"read", "gaps"} {
		var out, errout bytes.Buffer
		code := run(ctx, []string{command, r.address(), "--endpoint", r.srv.URL()}, strings.NewReader(""), &out, &errout)
		if code != exitUnknown || !strings.Contains(errout.String(), errInterruptedRead.Error()) {
			t.Errorf("%s: %d %s", command, code, errout.String())
		}
	}
}

// Trouble that does not pass ends a reading; one that does, does not.
func TestReadThroughTrouble(t *testing.T) {
	r := newReel(t, "orders/3")
	r.take(0)
	r.data(plain(0)...)
	r.srv.Fault(s2mem.Fault{Op: s2mem.OpRead, Do: s2mem.Cut})
	r.want(exitDone, "0 ", "", "read", "-f", offsets)
	r.srv.Fault(s2mem.Fault{Op: s2mem.OpRead, Do: s2mem.Refuse, Status: 400, Code: "invalid"})
	if got := r.run("read"); got.code != exitUnknown || !strings.Contains(got.err, "400 invalid") {
		t.Errorf("%+v", got)
	}
}

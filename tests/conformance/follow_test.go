package conformance

import (
	"fmt"
	"testing"
	"time"
)

// later runs f while something else waits for it; the returned function waits
// for f's end.
func later(f func()) (done func()) {
	ch := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() { defer close(ch); f() })
	return func() { <-ch }
}

var waitCases = []testCase{
	{name: "waiting read ends empty", run: func(t *testing.T, p *peer) {
		wantBody(t, p.read(t, "seq_num=0&wait=1"), 200, `{"records":[]}`)
		wantBody(t, p.read(t, "seq_num=5&clamp=true&wait=1"), 200, `{"records":[]}`)
		want416(t, p.read(t, "seq_num=5&wait=1"), 0)
		want416(t, p.read(t, "seq_num=0&wait=0"), 0)
	}},
	{name: "waiting read returns what is there", run: func(t *testing.T, p *peer) {
		p.fill(t, "a", "b")
		if got := wantPage(t, p.read(t, "seq_num=0&wait=5"), "0:a 1:b"); got.Tail != nil {
			t.Fatalf("tail %v", got.Tail)
		}
		wantPage(t, p.read(t, "tail_offset=1&wait=5&count=1"), "1:b")
	}},
	{name: "waiting read returns what comes", run: func(t *testing.T, p *peer) {
		p.fill(t, "a")
		done := later(func() { p.fill(t, "b", "c") })
		got := wantPage(t, p.read(t, "wait=10"), "1:b 2:c")
		if got.Tail == nil || got.Tail.Seq != 3 {
			t.Fatalf("tail %v", got.Tail)
		}
		done()
		done = later(func() { p.fill(t, "d", "e") })
		got = wantPage(t, p.read(t, "seq_num=3&wait=10&count=1"), "3:d")
		done()
		if got.Tail == nil || got.Tail.Seq != 5 {
			t.Fatalf("tail %v", got.Tail)
		}
	}},
}

// wantBatch reads a frame of a read session: "seq:body" words and the tail, -1
// for none.
func (s *session) wantBatch(t *testing.T, records string, tail int) {
	t.Helper()
	flag, payload := s.next(t)
	if payload == nil || flag != 0 {
		t.Fatalf("frame with flag %#x %q, want records %q", flag, payload, records)
	}
	got, at := decodeBatch(t, payload)
	text := ""
	for i, r := range got {
		if i > 0 {
			text += " "
		}
		text += fmt.Sprintf("%d:%s", r.Seq, r.body)
	}
	seq := -1
	if at != nil {
		seq = int(at.Seq)
	}
	if text != records || seq != tail {
		t.Fatalf("batch %q with tail %d, want %q with %d", text, seq, records, tail)
	}
}

var followCases = []testCase{
	{name: "read session with a limit", run: func(t *testing.T, p *peer) {
		p.fill(t, "a", "b", "c")
		s := p.follow(t, "seq_num=0&count=2")
		s.wantBatch(t, "0:a 1:b", -1)
		s.wantEOF(t)
		s = p.follow(t, "seq_num=1&count=99") // a limit, and no waiting: what there is
		s.wantBatch(t, "1:b 2:c", -1)
		s.wantEOF(t)
		s = p.follow(t, "seq_num=0&bytes=9")
		s.wantBatch(t, "0:a", -1)
		s.wantEOF(t)
	}},
	{name: "read session follows", run: func(t *testing.T, p *peer) {
		p.fill(t, "a")
		s := p.follow(t, "seq_num=0")
		s.wantBatch(t, "0:a", -1)
		s.wantBatch(t, "", 1) // caught up
		p.fill(t, "b", "c")
		s.wantBatch(t, "1:b 2:c", 3)
		p.fill(t, "d")
		s.wantBatch(t, "3:d", 4)
		s.resp.Body.Close()
	}},
	{name: "read session ends at its count while it follows", run: func(t *testing.T, p *peer) {
		s := p.follow(t, "seq_num=0&count=3&wait=10")
		s.wantBatch(t, "", 0)
		p.fill(t, "a", "b")
		s.wantBatch(t, "0:a 1:b", 2)
		p.fill(t, "c", "d")
		s.wantBatch(t, "2:c", 4)
		s.wantEOF(t)
	}},
	{name: "read session ends when nothing comes", run: func(t *testing.T, p *peer) {
		p.fill(t, "a")
		s := p.follow(t, "seq_num=0&wait=1")
		s.wantBatch(t, "0:a", -1)
		s.wantBatch(t, "", 1)
		s.wantEOF(t)
	}},
	{name: "read session from the tail", run: func(t *testing.T, p *peer) {
		p.fill(t, "a")
		s := p.follow(t, "")
		s.wantBatch(t, "", 1)
		p.fill(t, "b")
		s.wantBatch(t, "1:b", 2)
		s.resp.Body.Close()
	}},
	{name: "read session refused", run: func(t *testing.T, p *peer) {
		p.fill(t, "a")
		want416(t, p.follow(t, "seq_num=2").refused(t), 1)
		want416(t, p.follow(t, "seq_num=1&count=1").refused(t), 1)
		wantCode(t, p.follow(t, "seq_num=x").refused(t), 400, "bad_query", "")
		s := p.follow(t, "seq_num=2&clamp=true")
		s.wantBatch(t, "", 1)
		s.resp.Body.Close()
	}},
	{name: "read session cuts pages of 1000 records", run: func(t *testing.T, p *peer) {
		want(t, p.proto(t, bodies(1000, 1)), 200, nil)
		want(t, p.proto(t, bodies(500, 1)), 200, nil)
		s := p.follow(t, "seq_num=0&wait=0")
		total := 0
		for range 2 {
			flag, payload := s.next(t)
			got, tail := decodeBatch(t, payload)
			if flag != 0 || tail != nil || len(got) > 1000 || len(got) == 0 || got[0].Seq != uint64(total) {
				t.Fatalf("flag %#x, %d records, tail %v", flag, len(got), tail)
			}
			total += len(got)
		}
		if total != 1500 {
			t.Fatalf("%d records", total)
		}
		s.wantEOF(t)
	}},
}

package conformance

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

var sessionCases = []testCase{
	{name: "session acknowledges in order", run: func(t *testing.T, p *peer) {
		s := p.open(t)
		var all []batch
		for i := range 50 {
			all = append(all, one(fmt.Sprint(i)).at(uint64(i)))
		}
		s.send(all...)
		for i := range uint64(50) {
			a := s.wantAck(t, i, i+1)
			if a.Start.Timestamp == 0 || a.Tail.Timestamp < a.End.Timestamp {
				t.Fatalf("ack %+v", a)
			}
		}
		p.wantTail(t, 50)
	}},
	{name: "session waits for nothing to open", run: func(t *testing.T, p *peer) {
		s := p.open(t) // returns with the headers, before any frame
		if s.resp.StatusCode != 200 {
			t.Fatalf("status %d", s.resp.StatusCode)
		}
		s.w.Close()
		s.wantEOF(t)
	}},
	{name: "half-close drains the acks", run: func(t *testing.T, p *peer) {
		s := p.open(t)
		var all []batch
		for i := range 200 {
			all = append(all, one("x").at(uint64(i)))
		}
		s.send(all...)
		s.w.Close()
		for i := range uint64(200) {
			s.wantAck(t, i, i+1)
		}
		s.wantEOF(t)
		p.wantTail(t, 200)
	}},
	poisoned("sequence number", one("bad").at(99), 412, `{"seq_num_mismatch":5}`),
	poisoned("token", one("bad").with("nope"), 412, `{"fencing_token_mismatch":""}`),
	poisoned("empty header name", batch{records: []rec{{headers: [][2]string{{"", ""}, {"a", ""}}}}}, 422, `{"code":"invalid","message":"invalid header: empty name"}`),
	poisoned("unknown command", batch{records: []rec{{headers: [][2]string{{"", "x"}}}}}, 422, `{"code":"invalid","message":"unknown command"}`),
	poisoned("empty batch", batch{}, 422, `{"code":"invalid","message":"record batch must not be empty"}`),
	{name: "session goes on behind unary appends", run: func(t *testing.T, p *peer) {
		s := p.open(t)
		s.send(one("a"))
		s.wantAck(t, 0, 1)
		p.fill(t, "b", "c")
		s.send(one("d"))
		s.wantAck(t, 3, 4)
		s.send(one("e").at(4))
		s.wantAck(t, 4, 5)
		wantPage(t, p.read(t, "seq_num=0"), "0:a 1:b 2:c 3:d 4:e")
	}},
	{name: "two sessions on a stream", run: func(t *testing.T, p *peer) {
		a, b := p.open(t), p.open(t)
		a.send(one("a").at(0))
		a.wantAck(t, 0, 1)
		b.send(one("b").at(1))
		b.wantAck(t, 1, 2)
		a.send(one("late").at(1), one("behind"))
		a.wantEnd(t, 412, `{"seq_num_mismatch":2}`)
		b.send(one("c").at(2))
		b.wantAck(t, 2, 3)
	}},
	{name: "frame cut into pieces", run: func(t *testing.T, p *peer) {
		s := p.open(t)
		for _, c := range frame(0, one("a").encode()) {
			s.w.Write([]byte{c})
		}
		s.wantAck(t, 0, 1)
	}},
	{name: "compressed frames", run: func(t *testing.T, p *peer) {
		s := p.open(t)
		text := strings.Repeat("abc", 1000)
		s.w.Write(frame(1<<5, zipZstd(t, one(text).encode())))
		s.wantAck(t, 0, 1)
		s.w.Write(frame(2<<5, zipGzip(t, one(text).encode())))
		s.wantAck(t, 1, 2)
		s.send(one(text))
		s.wantAck(t, 2, 3)
		wantPage(t, p.read(t, "seq_num=0"), "0:"+text+" 1:"+text+" 2:"+text)
	}},
	{name: "compressed unary body", run: func(t *testing.T, p *peer) {
		path := stream(p.name) + "/records"
		r := p.post(t, path, string(zipZstd(t, one("a").encode())), "Content-Type", "application/protobuf", "Content-Encoding", "zstd")
		wantAck(t, r, 0, 1, 1)
		r = p.post(t, path, string(zipGzip(t, []byte(`{"records":[{"body":"b"}]}`))), "Content-Encoding", "gzip")
		wantAck(t, r, 1, 2, 2)
	}},
	{name: "unknown flag bits are ignored", run: func(t *testing.T, p *peer) {
		s := p.open(t)
		for i, flag := range []byte{0x10, 0x08, 0x01, 0x1f} {
			s.w.Write(frame(flag, one("a").encode()))
			s.wantAck(t, uint64(i), uint64(i+1))
		}
	}},
}

// poisoned is the case of a pipeline whose sixth batch of ten is bad: five
// acks, one terminal frame, the end; nothing behind lands.
func poisoned(name string, bad batch, status int, body string) testCase {
	return testCase{name: "session poisoned by " + name, run: func(t *testing.T, p *peer) {
		s := p.open(t)
		all := []batch{}
		for i := range 10 {
			if i == 5 {
				all = append(all, bad)
			}
			all = append(all, one("x"))
		}
		s.send(all...)
		for i := range uint64(5) {
			s.wantAck(t, i, i+1)
		}
		s.wantEnd(t, status, body)
		p.wantTail(t, 5)
	}}
}

func zipZstd(t *testing.T, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(b, nil)
}

func zipGzip(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

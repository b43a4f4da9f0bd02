package conformance

import (
	"strings"
	"testing"
)

// violation is the case of bytes that are no frame behind a good batch.
func violation(name string, bytes []byte, message string) testCase {
	return testCase{name: "violation " + name, run: func(t *testing.T, p *peer) {
		s := p.open(t)
		s.send(one("good"))
		s.w.Write(append(append([]byte(nil), bytes...), frame(0, one("behind").encode())...))
		s.wantAck(t, 0, 1)
		if message == "" {
			s.wantEnd(t, 400, "bad_frame")
		} else {
			s.wantEnd(t, 400, `{"code":"bad_frame","message":"`+message+`"}`)
		}
		p.wantTail(t, 1)
	}}
}

var violationCases = []testCase{
	violation("protobuf", frame(0, []byte("garbage")), ""),
	violation("token not UTF-8", frame(0, []byte("\x0a\x00\x1a\x01\xff")), ""),
	violation("terminal frame", frame(0x80, []byte("\x01\x90{}")), "Unexpected terminal frame as input"),
	violation("short terminal frame", frame(0x80, []byte("\x01")), "terminal message missing status code"),
	violation("unknown compression", frame(3<<5, one("x").encode()), "unknown compression algorithm"),
	violation("bad zstd", frame(1<<5, []byte("garbage")), ""),
	violation("bad gzip", frame(2<<5, []byte("garbage")), ""),
	violation("empty frame", []byte{0, 0, 0}, "empty frame payload"),
	violation("long frame", []byte{0x20, 0, 1, 0}, "frame exceeds decode limit"),
	{name: "violation frame of 2 MiB", run: func(t *testing.T, p *peer) {
		// As large as a frame may be; its content is too much for a batch.
		b := bodies(1, 2*mebibyte-1-12)
		s := p.open(t)
		s.w.Write(frame(0, b.encode()))
		s.wantEnd(t, 422, `{"code":"invalid","message":"`+recordLimit+`"}`)
	}},
	{name: "violation decompressed above 2 MiB", run: func(t *testing.T, p *peer) {
		s := p.open(t)
		s.w.Write(frame(1<<5, zipZstd(t, []byte(strings.Repeat("x", 3*mebibyte)))))
		s.wantEnd(t, 400, `{"code":"bad_frame","message":"decompressed payload exceeds limit"}`)
	}},
	{name: "violation end inside a frame", run: func(t *testing.T, p *peer) {
		for _, cut := range []int{1, 3, 4, 6} {
			s := p.open(t)
			s.w.Write(frame(0, one("x").encode())[:cut])
			s.w.Close()
			s.wantEnd(t, 400, `{"code":"bad_frame","message":"bytes remaining on stream"}`)
		}
		p.wantTail(t, 0)
	}},
}

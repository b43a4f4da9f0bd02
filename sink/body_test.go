package sink

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	pb "github.com/s2-streamstore/s2-sdk-go/generated"
	"google.golang.org/protobuf/proto"

	"kafka-s2-bridge/sink/s2s"
)

// However the body is read, it is the frames that were added, and a frame
// counts as sent when its last byte was read.
func TestBodyIsTheFrames(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		b := newBody()
		var want []int // records a frame
		var got bytes.Buffer
		read := func() error {
			p := make([]byte, 1+rng.IntN(300)*rng.IntN(300))
			n, err := b.Read(p)
			got.Write(p[:n])
			return err
		}
		for i := range 1 + rng.IntN(30) {
			records := 1 + rng.IntN(5)
			if err := b.add(batch(t, i, records, rng.IntN(2000)).Bytes(), uint64(i), "token"); err != nil {
				t.Fatal(err)
			}
			want = append(want, records)
			for b.ready() && rng.IntN(3) > 0 {
				if err := read(); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.finish()
		var err error
		for err == nil {
			err = read()
		}
		if err != io.EOF || b.sent != uint64(len(want)) || b.pending != 0 {
			t.Fatalf("%v; %d frames of %d sent, %d bytes pending", err, b.sent, len(want), b.pending)
		}
		frames := s2s.NewReader(&got)
		for i, records := range want {
			f, err := frames.Next()
			if err != nil {
				t.Fatal(err)
			}
			var input pb.AppendInput
			if err := proto.Unmarshal(f.Body, &input); err != nil {
				t.Fatal(err)
			}
			if len(input.Records) != records || input.GetMatchSeqNum() != uint64(i) || input.GetFencingToken() != "token" {
				t.Fatalf("frame %d is %d records at %d", i, len(input.Records), input.GetMatchSeqNum())
			}
		}
		if _, err := frames.Next(); err != io.EOF {
			t.Fatal(err)
		}
	}
}

// One Read takes many frames.
func TestBodyFillsTheBuffer(t *testing.T) {
	b := newBody()
	for i := range 1000 {
		if err := b.add(batch(t, i, 1, 20).Bytes(), uint64(i), "t"); err != nil {
			t.Fatal(err)
		}
	}
	p := make([]byte, 16<<10)
	if n, err := b.Read(p); n != len(p) || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	if b.sent < 200 {
		t.Errorf("%d frames in 16 KiB", b.sent)
	}
}

// After some tiny reads without an ack, the next one waits for an ack, for
// more to send, or for the end.
func TestBodyHoldsTinyReadsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBody()
		type result struct {
			n   int
			err error
		}
		reads := make(chan result)
		go func() {
			p := make([]byte, 16<<10)
			for {
				n, err := b.Read(p)
				reads <- result{n, err}
				if err != nil {
					close(reads)
					return
				}
			}
		}()
		seq := uint64(0)
		add := func() {
			if err := b.add(batch(t, 0, 1, 1).Bytes(), seq, "t"); err != nil {
				t.Fatal(err)
			}
			seq++
			synctest.Wait()
		}
		got := func() int { // the size of a read that has ended, or 0
			synctest.Wait()
			select {
			case r := <-reads:
				if r.err != nil {
					t.Fatal(r.err)
				}
				return r.n
			default:
				return 0
			}
		}
		for i := range maxTiny {
			if add(); got() == 0 {
				t.Fatalf("tiny read %d waits", i)
			}
		}
		if add(); got() != 0 {
			t.Fatal("one more does not wait")
		}
		if !b.ack() || got() == 0 {
			t.Fatal("it waits after an ack")
		}
		n := 0
		for ; n == 0 && seq < 100; n = got() {
			add()
		}
		if n < tinyRead || n > 2*tinyRead {
			t.Errorf("then read %d bytes", n)
		}
		if add(); got() != 0 {
			t.Fatal("what follows does not wait")
		}
		b.finish()
		if r := <-reads; r.n == 0 || r.err != nil {
			t.Errorf("at the end: %d, %v", r.n, r.err)
		}
		if r := <-reads; r.err != io.EOF {
			t.Errorf("behind the end: %v", r.err)
		}
		for b.ack() {
		}
		if b.acked != seq {
			t.Errorf("%d acks were taken for %d frames", b.acked, seq)
		}
	})
}

func TestBodyClose(t *testing.T) {
	b := newBody()
	if err := b.add(batch(t, 0, 1, 1).Bytes(), 0, "t"); err != nil {
		t.Fatal(err)
	}
	b.Close() // net/http's
	if b.ack() {
		t.Error("an ack for a frame that was never read")
	}
	b.close(ErrAborted)
	b.close(errors.New("later"))
	if n, err := b.Read(make([]byte, 10)); n != 0 || err != ErrAborted {
		t.Errorf("read %d, %v", n, err)
	}
	if err := b.add(batch(t, 0, 1, 1).Bytes(), 0, "t"); err != nil || b.pending != 0 {
		t.Errorf("added behind the end: %v, %d pending", err, b.pending)
	}
	empty := newBody()
	if err := empty.add(nil, 0, "t"); err != errBadBatch || empty.cause() != errBadBatch {
		t.Errorf("an empty batch: %v", err)
	}
	huge := newBody()
	if err := huge.add(make([]byte, s2s.MaxBody), 0, "t"); err != errBadBatch {
		t.Errorf("a batch above the frame limit: %v", err)
	}
}

// Sending allocates nothing once the queue has its size.
func TestBodyDoesNotAllocate(t *testing.T) {
	b := newBody()
	data := batch(t, 0, 10, 1000).Bytes()
	p := make([]byte, 16<<10)
	turn := func() {
		for range 8 {
			if err := b.add(data, 1<<40, "kb1.abcdefgh.1.0123456789"); err != nil {
				t.Fatal(err)
			}
		}
		for b.pending > 0 {
			if _, err := b.Read(p); err != nil {
				t.Fatal(err)
			}
		}
		for b.ack() {
		}
	}
	turn()
	if n := testing.AllocsPerRun(20, turn); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

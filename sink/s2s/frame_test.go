package s2s

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
)

// raw is a frame with any flag.
func raw(flag byte, body []byte) []byte {
	n := len(body) + 1
	return append([]byte{byte(n >> 16), byte(n >> 8), byte(n), flag}, body...)
}

func zstded(t testing.TB, plain []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(plain, nil)
}

func gzipped(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPutHeader(t *testing.T) {
	for _, n := range []int{1, 255, 256, 65535, 65536, MaxBody} {
		var h [HeaderSize]byte
		PutHeader(&h, n)
		if want := raw(0, make([]byte, n))[:HeaderSize]; !bytes.Equal(h[:], want) {
			t.Errorf("header of a body of %d bytes is %x, want %x", n, h, want)
		}
	}
}

// What is read of a row of frames does not depend on how the bytes arrive.
func TestReaderSplits(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	var wire []byte
	wire = append(wire, raw(0, []byte("first"))...)
	wire = append(wire, raw(0, nil)...)
	wire = append(wire, raw(0x20, zstded(t, big))...)
	wire = append(wire, raw(0x40|0x10, gzipped(t, big))...)
	wire = append(wire, raw(0x1f, []byte("advised, and reserved bits"))...)
	wire = append(wire, raw(0, big)...)
	wire = append(wire, raw(0x80, append([]byte{0x01, 0x9c}, `{"seq_num_mismatch":7}`...))...)

	check := func(t *testing.T, src io.Reader) {
		t.Helper()
		r := NewReader(src)
		want := []Frame{
			{Body: []byte("first")}, {Body: []byte{}}, {Body: big}, {Advised: true, Body: big},
			{Advised: true, Body: []byte("advised, and reserved bits")}, {Body: big},
			{Terminal: true, Status: 412, Body: []byte(`{"seq_num_mismatch":7}`)},
		}
		for i, w := range want {
			f, err := r.Next()
			if err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
			if !bytes.Equal(f.Body, w.Body) || f.Terminal != w.Terminal || f.Advised != w.Advised || f.Status != w.Status {
				t.Fatalf("frame %d is %v %v %d with %d bytes, want %v %v %d with %d", i,
					f.Terminal, f.Advised, f.Status, len(f.Body), w.Terminal, w.Advised, w.Status, len(w.Body))
			}
		}
		for range 2 {
			if _, err := r.Next(); err != io.EOF {
				t.Fatalf("behind the last frame: %v, want EOF", err)
			}
		}
	}
	t.Run("whole", func(t *testing.T) { check(t, bytes.NewReader(wire)) })
	t.Run("byte by byte", func(t *testing.T) { check(t, iotest.OneByteReader(bytes.NewReader(wire))) })
	t.Run("halves", func(t *testing.T) { check(t, iotest.HalfReader(bytes.NewReader(wire))) })
	t.Run("EOF with data", func(t *testing.T) { check(t, iotest.DataErrReader(bytes.NewReader(wire))) })
}

func TestReaderRefuses(t *testing.T) {
	bomb := make([]byte, MaxBody+1)
	for name, c := range map[string]struct {
		wire []byte
		want error
	}{
		"nothing":               {nil, io.EOF},
		"torn header":           {[]byte{0}, io.ErrUnexpectedEOF},
		"torn before flag":      {[]byte{0, 0, 1}, io.ErrUnexpectedEOF},
		"torn body":             {raw(0, []byte("abc"))[:6], io.ErrUnexpectedEOF},
		"length 0":              {[]byte{0, 0, 0, 0, 0}, ErrFrameLength},
		"length above 2 MiB":    {[]byte{0x20, 0, 1, 0}, ErrFrameLength},
		"longest length":        {[]byte{0xff, 0xff, 0xff, 0}, ErrFrameLength},
		"terminal without any":  {raw(0x80, nil), ErrTerminal},
		"terminal with 1 byte":  {raw(0x80, []byte{1}), ErrTerminal},
		"unknown compression":   {raw(0x60, []byte("abc")), ErrCompression},
		"zstd bomb":             {raw(0x20, zstded(t, bomb)), ErrTooLarge},
		"gzip bomb":             {raw(0x40, gzipped(t, bomb)), ErrTooLarge},
		"rubbish as zstd":       {raw(0x20, []byte("rubbish")), zstd.ErrMagicMismatch},
		"rubbish as gzip":       {raw(0x40, []byte("rubbish...")), gzip.ErrHeader},
		"torn gzip":             {raw(0x40, gzipped(t, []byte("abc"))[:15]), io.ErrUnexpectedEOF},
		"gzip of 1 MiB of gzip": {raw(0x40, gzipped(t, bytes.Repeat(bomb, 8))), ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(bytes.NewReader(c.wire))
			for range 2 { // the error stays
				if _, err := r.Next(); !errors.Is(err, c.want) {
					t.Fatalf("got %v, want %v", err, c.want)
				}
			}
		})
	}
}

func TestReaderTakesTheLargestFrame(t *testing.T) {
	body := bytes.Repeat([]byte{7}, MaxBody)
	r := NewReader(io.MultiReader(bytes.NewReader(raw(0, body)), bytes.NewReader(raw(0x20, zstded(t, body)))))
	for i := range 2 {
		f, err := r.Next()
		if err != nil || !bytes.Equal(f.Body, body) {
			t.Fatalf("frame %d: %d bytes, %v", i, len(f.Body), err)
		}
	}
}

// A length is not believed: memory comes with the bytes.
func TestReaderAllocatesAsBytesArrive(t *testing.T) {
	r := NewReader(strings.NewReader("\x20\x00\x00" + strings.Repeat("x", 1000)))
	if _, err := r.Next(); err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	if len(r.buf) > 4096 {
		t.Errorf("the buffer has %d bytes after 1,003 arrived", len(r.buf))
	}
}

func TestReaderPassesOnErrors(t *testing.T) {
	broken := errors.New("broken")
	r := NewReader(io.MultiReader(bytes.NewReader(raw(0, []byte("one"))), iotest.ErrReader(broken)))
	if f, err := r.Next(); err != nil || string(f.Body) != "one" {
		t.Fatalf("%q, %v", f.Body, err)
	}
	if _, err := r.Next(); err != broken {
		t.Fatalf("got %v, want what the source said", err)
	}
}

// Reading acks costs nothing once the buffer is there.
func TestReaderDoesNotAllocate(t *testing.T) {
	wire := bytes.Repeat(raw(0, make([]byte, 30)), 1000)
	src := bytes.NewReader(wire)
	r := NewReader(src)
	if n := testing.AllocsPerRun(10, func() {
		src.Reset(wire)
		for range 1000 {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
	}); n > 0 {
		t.Errorf("1,000 frames cost %v allocations", n)
	}
}

// FuzzFrameReader: whatever the bytes and however they are cut, frames are the
// same, nothing panics, no frame passes the limit, and errors stay.
func FuzzFrameReader(f *testing.F) {
	f.Add(raw(0, []byte("first")), uint8(1))
	f.Add(append(raw(0x10, nil), raw(0x80, []byte{1, 0x9c, '{', '}'})...), uint8(3))
	f.Add(raw(0x20, zstded(f, bytes.Repeat([]byte("z"), 5000))), uint8(0))
	f.Add(raw(0x40, gzipped(f, bytes.Repeat([]byte("z"), 5000))), uint8(200))
	f.Add(raw(0x20, zstded(f, make([]byte, MaxBody+1))), uint8(9))
	f.Add([]byte{0x20, 0, 1, 0}, uint8(0))
	f.Add([]byte{0, 0, 0, 0}, uint8(2))
	f.Fuzz(func(t *testing.T, wire []byte, cut uint8) {
		whole := NewReader(bytes.NewReader(wire))
		parts := NewReader(&chunks{wire, int(cut)})
		for {
			a, errA := whole.Next()
			b, errB := parts.Next()
			if (errA == nil) != (errB == nil) || errA != nil && errA.Error() != errB.Error() {
				t.Fatalf("whole says %v, in parts %v", errA, errB)
			}
			if errA != nil {
				if _, again := whole.Next(); again != errA {
					t.Fatalf("the error %v became %v", errA, again)
				}
				return
			}
			if len(a.Body) > MaxBody || !bytes.Equal(a.Body, b.Body) || a.Terminal != b.Terminal || a.Status != b.Status || a.Advised != b.Advised {
				t.Fatalf("whole gives %+v, in parts %+v", a, b)
			}
			if a.Terminal {
				continue
			}
			if ack, err := ParseAppendAck(a.Body); err != nil && !errors.Is(err, ErrMessage) {
				t.Fatalf("ack %+v: %v", ack, err)
			}
			if page, err := ParseReadBatch(a.Body); err == nil && len(page.Records) > MaxRecords {
				t.Fatalf("%d records", len(page.Records))
			}
		}
	})
}

// chunks hands out n+1 bytes a time.
type chunks struct {
	data []byte
	n    int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.n+1)], c.data)
	c.data = c.data[n:]
	return n, nil
}

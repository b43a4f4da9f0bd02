package s2s

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// FuzzFrameSplit builds a row of right frames out of a script, and hands it to
// a Reader in pieces of any sizes, whole or cut off at any byte, with one bad
// frame behind it or without.
//
// Each frame comes back as it was put in; a cut between two frames is an end,
// one within a frame is not; the bad frame is refused for its reason; nothing
// is ever handed out behind it.
func FuzzFrameSplit(f *testing.F) {
	f.Add([]byte("abc"), []byte{0, 1, 2, 3}, []byte{1, 2, 3, 4, 5}, uint16(0), uint8(0))
	f.Add([]byte{}, []byte{4, 0, 4}, []byte{1}, uint16(3), uint8(1))
	f.Add(bytes.Repeat([]byte("z"), 3000), []byte{0x81, 2, 0x41, 1}, []byte{255, 0, 1}, uint16(9000), uint8(2))
	f.Add([]byte("0123456789"), []byte{5, 5, 5}, []byte{7}, uint16(1), uint8(3))
	f.Add([]byte("bomb"), []byte{0}, []byte{3}, uint16(0), uint8(4))
	f.Add([]byte("bomb"), []byte{1}, []byte{200}, uint16(0), uint8(5))
	f.Add([]byte("torn"), []byte{2}, []byte{200, 1}, uint16(0), uint8(6))
	bad := map[uint8]struct {
		wire []byte
		want error
	}{
		1: {[]byte{0, 0, 0, 0}, ErrFrameLength},
		2: {[]byte{0x20, 0, 1, 0}, ErrFrameLength},
		3: {raw(0x80, []byte{4}), ErrTerminal},
		4: {raw(0x20, zstded(f, make([]byte, MaxBody+1))), ErrTooLarge},
		5: {raw(0x40, gzipped(f, make([]byte, MaxBody+1))), ErrTooLarge},
		6: {raw(0x60, []byte("x")), ErrCompression},
	}
	f.Fuzz(func(t *testing.T, text, shapes, pieces []byte, cut uint16, spoil uint8) {
		text = text[:min(len(text), 1<<14)]
		var wire []byte
		var want []Frame
		var ends []int // of the frames in wire
		for _, shape := range shapes[:min(len(shapes), 40)] {
			body := text[:len(text)*int(shape>>3)/31]
			frame := Frame{Body: body, Advised: shape&4 != 0}
			flag := byte(0)
			if frame.Advised {
				flag = flagAdvised
			}
			switch shape & 3 {
			case 0:
				wire = append(wire, raw(flag, body)...)
			case 1:
				wire = append(wire, raw(flag|compressionZstd<<compressionShift, zstded(t, body))...)
			case 2:
				wire = append(wire, raw(flag|compressionGzip<<compressionShift, gzipped(t, body))...)
			case 3:
				frame.Terminal, frame.Status = true, 400+int(shape)
				wire = append(wire, raw(flag|flagTerminal, append([]byte{byte(frame.Status >> 8), byte(frame.Status)}, body...))...)
			}
			want, ends = append(want, frame), append(ends, len(wire))
		}
		finally := io.EOF
		if b, is := bad[spoil%8]; is {
			wire, finally = append(wire, b.wire...), b.want
		} else if int(cut) < len(wire) {
			wire = wire[:cut]
			for len(ends) > 0 && ends[len(ends)-1] > len(wire) {
				ends, want = ends[:len(ends)-1], want[:len(want)-1]
			}
			if whole := append([]int{0}, ends...); whole[len(whole)-1] != len(wire) {
				finally = io.ErrUnexpectedEOF
			}
		}
		r := NewReader(&inPieces{wire, pieces, 0})
		for i, w := range want {
			f, err := r.Next()
			if err != nil || f.Terminal != w.Terminal || f.Status != w.Status || f.Advised != w.Advised || !bytes.Equal(f.Body, w.Body) {
				t.Fatalf("frame %d: %v %v %d, %d bytes, %v; want %v %v %d, %d bytes", i, f.Terminal, f.Advised, f.Status, len(f.Body), err,
					w.Terminal, w.Advised, w.Status, len(w.Body))
			}
		}
		for range 2 {
			if f, err := r.Next(); !errors.Is(err, finally) || finally == io.EOF && err != io.EOF || f.Body != nil {
				t.Fatalf("behind %d frames: %d bytes, %v; want %v", len(want), len(f.Body), err, finally)
			}
		}
	})
}

// inPieces hands out a byte, then as many as the next piece says, and so on.
type inPieces struct {
	data, pieces []byte
	i            int
}

func (p *inPieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := 1
	if len(p.pieces) > 0 {
		n += int(p.pieces[p.i%len(p.pieces)])
		p.i++
	}
	n = copy(b[:min(len(b), n)], p.data)
	p.data = p.data[n:]
	return n, nil
}

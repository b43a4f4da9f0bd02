package s2mem

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// An S2S frame:
//
//	length u24 | flag u8 | payload         length counts flag and payload
//	flag: T CC R 0000   T terminal, CC 0 none 1 zstd 2 gzip, R reconnect advised
//	terminal payload: status u16 | JSON
const (
	flagTerminal  = 0x80
	flagReconnect = 0x10
)

// errFrame is a fault of the client's framing; its text goes into bad_frame.
type errFrame string

func (e errFrame) Error() string { return string(e) }

// frameReader takes frames off a session's body.
type frameReader struct {
	r     *bufio.Reader
	buf   []byte // reused payload, if reuse
	reuse bool
	plain zstdReader
}

// zstdReader holds a decoder once it is needed.
type zstdReader struct{ d *zstd.Decoder }

// next returns the payload of the next frame, decompressed. io.EOF is the
// clean end of the body; errFrame a violation; other errors come from below.
func (f *frameReader) next() ([]byte, error) {
	head, err := f.r.Peek(3)
	if len(head) == 0 && err != nil {
		return nil, err
	}
	if err != nil {
		return nil, torn(err)
	}
	n := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	switch {
	case n > MaxFrameBytes:
		return nil, errFrame("frame exceeds decode limit")
	case n == 0:
		return nil, errFrame("empty frame payload")
	}
	if _, err := f.r.Discard(3); err != nil {
		return nil, torn(err)
	}
	flag, err := f.r.ReadByte()
	if err != nil {
		return nil, torn(err)
	}
	n-- // the flag
	var payload []byte
	if f.reuse && cap(f.buf) >= n {
		payload = f.buf[:n]
	} else {
		payload = make([]byte, n)
		f.buf = payload
	}
	if _, err := io.ReadFull(f.r, payload); err != nil {
		return nil, torn(err)
	}
	if flag&flagTerminal != 0 {
		if n < 2 {
			return nil, errFrame("terminal message missing status code")
		}
		return nil, errFrame("Unexpected terminal frame as input")
	}
	return f.plain.decompress(payload, flag>>5&3)
}

// torn turns an end inside a frame into the violation that it is.
func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errFrame("bytes remaining on stream")
	}
	return err
}

func (z *zstdReader) decompress(b []byte, how byte) ([]byte, error) {
	var r io.Reader
	switch how {
	case 0:
		return b, nil
	case 1:
		if z.d == nil {
			d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(8*MaxFrameBytes))
			if err != nil {
				return nil, err
			}
			z.d = d
		}
		if err := z.d.Reset(bytes.NewReader(b)); err != nil {
			return nil, errFrame(err.Error())
		}
		r = z.d
	case 2:
		g, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, errFrame(err.Error())
		}
		r = g
	default:
		return nil, errFrame("unknown compression algorithm")
	}
	out, err := io.ReadAll(io.LimitReader(r, MaxFrameBytes))
	if err != nil {
		return nil, errFrame(err.Error())
	}
	if len(out) >= MaxFrameBytes {
		return nil, errFrame("decompressed payload exceeds limit")
	}
	return out, nil
}

func (z *zstdReader) close() {
	if z.d != nil {
		z.d.Close()
	}
}

// appendFrame appends a regular frame whose payload fill appends.
func appendFrame(b []byte, flag byte, fill func([]byte) []byte) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, flag)
	b = fill(b)
	n := len(b) - at - 3
	b[at], b[at+1], b[at+2] = byte(n>>16), byte(n>>8), byte(n)
	return b
}

// appendTerminal appends the frame that ends a session.
func appendTerminal(b []byte, r *refusal) []byte {
	return appendFrame(b, flagTerminal, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint16(b, uint16(r.status))
		return append(b, r.body...)
	})
}

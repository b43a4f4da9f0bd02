package s2s

import (
	"errors"
	"io"
)

// MaxFrame bounds flag and body of one frame, in bytes, on the wire and again
// after decompression. It is S2's own limit.
const MaxFrame = 2 << 20

// HeaderSize is the number of bytes before a frame's body: length and flag.
const HeaderSize = 4

// MaxBody is the largest body that fits a frame.
const MaxBody = MaxFrame - 1

const (
	flagTerminal    = 0x80
	flagCompression = 0x60
	flagAdvised     = 0x10

	compressionShift = 5
)

// Errors of a frame that is not what the protocol allows. Nothing can be read
// behind such a frame: where the next one begins is not known.
var (
	ErrFrameLength = errors.New("frame length is 0 or above 2 MiB")
	ErrTerminal    = errors.New("terminal frame without a status")
	ErrCompression = errors.New("frame compression is unknown")
	ErrTooLarge    = errors.New("frame is above 2 MiB when decompressed")
)

// Frame is one frame as it was received.
type Frame struct {
	// Terminal says that this frame ends the session; then Status is the HTTP
	// status and Body the JSON text of the error. Otherwise Status is 0 and
	// Body is a protobuf message, already decompressed.
	Terminal bool
	Status   int
	// Advised says that the server asks the client to reconnect soon.
	Advised bool
	// Body is valid until the next call of Reader.Next.
	Body []byte
}

// PutHeader writes the header of an uncompressed regular frame whose body has
// n bytes. n above MaxBody does not fit the protocol; the caller checks it.
func PutHeader(dst *[HeaderSize]byte, n int) {
	length := n + 1
	dst[0], dst[1], dst[2], dst[3] = byte(length>>16), byte(length>>8), byte(length), 0
}

// readBuffer is what a Reader starts with. An ack takes some 30 bytes, and a
// process may have 10,000 sessions.
const readBuffer = 512

// Reader cuts a response body into frames. It allocates as bytes arrive, not
// as a length field promises, so a lying length costs nothing.
type Reader struct {
	src        io.Reader
	buf        []byte
	start, end int // buf[start:end] was read from src and not yet handed out
	err        error
}

// NewReader returns a Reader of the frames in src. It reads ahead.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src, buf: make([]byte, readBuffer)}
}

// Next returns the next frame. The error is io.EOF where src ended between two
// frames, io.ErrUnexpectedEOF where it ended within one, what src returned, or
// one of this package's errors. After an error every further call returns it.
func (r *Reader) Next() (Frame, error) {
	if r.err != nil {
		return Frame{}, r.err
	}
	f, err := r.next()
	if err != nil {
		r.err = err
	}
	return f, err
}

func (r *Reader) next() (Frame, error) {
	if err := r.need(HeaderSize - 1); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) && r.start == r.end {
			err = io.EOF
		}
		return Frame{}, err
	}
	h := r.buf[r.start:]
	length := int(h[0])<<16 | int(h[1])<<8 | int(h[2])
	if length == 0 || length > MaxFrame {
		return Frame{}, ErrFrameLength
	}
	if err := r.need(HeaderSize - 1 + length); err != nil {
		return Frame{}, err
	}
	flag := r.buf[r.start+HeaderSize-1]
	body := r.buf[r.start+HeaderSize : r.start+HeaderSize-1+length]
	r.start += HeaderSize - 1 + length
	return decode(flag, body)
}

// need makes n unread bytes available at buf[start:].
func (r *Reader) need(n int) error {
	for r.end-r.start < n {
		if r.end == len(r.buf) {
			r.room(n)
		}
		got, err := r.src.Read(r.buf[r.end:])
		r.end += got
		if r.end-r.start >= n {
			return nil // src will say its error again
		}
		switch {
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
	return nil
}

// room frees space behind end: by moving the unread bytes to the front, and if
// they fill half of the buffer, by doubling it, up to what n bytes ask for.
func (r *Reader) room(n int) {
	unread := r.buf[r.start:r.end]
	if 2*len(unread) <= len(r.buf) && r.start > 0 {
		r.end = copy(r.buf, unread)
		r.start = 0
		return
	}
	bigger := make([]byte, max(min(2*len(r.buf), n), len(unread)+readBuffer))
	r.end = copy(bigger, unread)
	r.start = 0
	r.buf = bigger
}

func decode(flag byte, body []byte) (Frame, error) {
	f := Frame{Advised: flag&flagAdvised != 0}
	if flag&flagTerminal != 0 {
		if len(body) < 2 {
			return Frame{}, ErrTerminal
		}
		f.Terminal = true
		f.Status = int(body[0])<<8 | int(body[1])
		f.Body = body[2:]
		return f, nil
	}
	plain, err := decompress(int(flag&flagCompression)>>compressionShift, body)
	if err != nil {
		return Frame{}, err
	}
	f.Body = plain
	return f, nil
}

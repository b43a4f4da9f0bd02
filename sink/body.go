package sink

import (
	"errors"
	"io"
	"sync"

	"kafka-s2-bridge/sink/s2s"
)

// An HTTP/2 server charges every DATA frame below 256 bytes against a budget
// of its connection until the application has read it, and kills the whole
// connection, with all its streams, when 512 KiB are used up (hyper's h2: some
// 2,000 such frames). Filling each Read from several frames keeps them rare;
// and while maxTiny of a session's tiny reads may still lie unread on the
// server's side, the next one waits for an ack or for more to send. So 200
// sessions on a connection stay below the budget, however long S2 stalls.
const (
	tinyRead = 256
	maxTiny  = 8
)

var errEnded = errors.New("append session has ended")

// body is the request body of an append session: a queue of frames that
// net/http reads as fast as flow control lets it.
//
//	Send -> | header | batch bytes | trailer | header | batch bytes | ...
//	          `---------- one Read fills net/http's buffer ----------'
//
// A batch's bytes are touched only under mu and only before close: after close
// has returned, the caller may use them for something else.
type body struct {
	mu       sync.Mutex
	wake     sync.Cond
	queue    []frame // queue[head:] is not wholly read yet
	head     int
	offset   int // bytes of queue[head] that were read
	pending  int // bytes in the queue still to be read
	finished bool
	err      error // why nothing is read any more

	sent  uint64          // frames wholly read
	acked uint64          // frames that S2 acknowledged
	tiny  [maxTiny]uint64 // sent after each tiny read that is not acknowledged
	ntiny int
}

// frame is one AppendInput: what precedes and what follows the batch's bytes
// is its own, the batch's bytes are the owner's.
type frame struct {
	batch  []byte
	header [s2s.HeaderSize]byte
	ntail  uint8
	tail   [s2s.MaxTrailer]byte
}

func newBody() *body {
	b := &body{}
	b.wake.L = &b.mu
	return b
}

// add queues one frame. It reports an error, and ends the body with it, if the
// frame cannot be one of S2's. What comes after the end is dropped.
func (b *body) add(batch []byte, seq uint64, token string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil || b.finished {
		return nil
	}
	if len(batch) == 0 || len(token) > s2s.MaxToken {
		b.end(errBadBatch)
		return errBadBatch
	}
	if b.head > 0 && len(b.queue) == cap(b.queue) {
		n := copy(b.queue, b.queue[b.head:])
		clear(b.queue[n:])
		b.queue, b.head = b.queue[:n], 0
	}
	b.queue = append(b.queue, frame{batch: batch})
	f := &b.queue[len(b.queue)-1]
	f.ntail = uint8(len(s2s.AppendTrailer(f.tail[:0], seq, token)))
	size := len(batch) + int(f.ntail)
	if size > s2s.MaxBody {
		b.end(errBadBatch)
		return errBadBatch
	}
	s2s.PutHeader(&f.header, size)
	b.pending += s2s.HeaderSize + size
	b.wake.Signal()
	return nil
}

var errBadBatch = errors.New("batch is empty, above S2's frame limit of 2 MiB, or has a token above 36 bytes")

// finish lets Read end after what is queued.
func (b *body) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finished = true
	b.wake.Signal()
}

// close makes Read return err from now on, or what another close gave before.
func (b *body) close(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end(err)
}

func (b *body) end(err error) {
	if b.err == nil || errors.Is(b.err, errEnded) {
		b.err = err
	}
	b.queue, b.head, b.offset, b.pending = nil, 0, 0, 0
	b.wake.Signal()
}

// cause is the error that the body was ended with, or nil.
func (b *body) cause() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// ack counts an acknowledged frame. It reports false if no frame that was
// wholly read awaits one.
func (b *body) ack() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.acked == b.sent {
		return false
	}
	b.acked++
	n := 0
	for n < b.ntiny && b.tiny[n] <= b.acked {
		n++
	}
	if n > 0 {
		b.ntiny = copy(b.tiny[:], b.tiny[n:b.ntiny])
		b.wake.Signal()
	}
	return true
}

// Read fills p with as many queued frames as fit and waits only if there is
// none, or as the comment on tinyRead says.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.err == nil && !b.ready() && !(b.finished && b.pending == 0) {
		b.wake.Wait()
	}
	switch {
	case b.err != nil:
		return 0, b.err
	case b.pending == 0:
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && b.pending > 0 {
		n += b.readFrame(p[n:])
	}
	if n < tinyRead && b.ntiny < maxTiny {
		b.tiny[b.ntiny] = b.sent
		b.ntiny++
	}
	return n, nil
}

func (b *body) ready() bool {
	return b.pending >= tinyRead || b.pending > 0 && (b.ntiny < maxTiny || b.finished)
}

// readFrame copies from the queue's first frame, and drops it when it has been
// copied whole.
func (b *body) readFrame(p []byte) int {
	f := &b.queue[b.head]
	n, at := 0, b.offset
	for _, part := range [...][]byte{f.header[:], f.batch, f.tail[:f.ntail]} {
		if at < len(part) {
			c := copy(p[n:], part[at:])
			n += c
			if at+c < len(part) {
				b.offset += n
				b.pending -= n
				return n
			}
			at = len(part)
		}
		at -= len(part)
	}
	b.pending -= n
	b.offset = 0
	b.sent++
	*f = frame{} // let the batch go
	b.head++
	if b.head == len(b.queue) {
		b.queue, b.head = b.queue[:0], 0
	}
	return n
}

// Close is net/http's: the request is over.
func (b *body) Close() error {
	b.close(errEnded)
	return nil
}

package sink

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipes is a network that works in a synctest bubble: a listener, and a dial
// that connects to it. Its connections have buffers without end, unlike
// net.Pipe's: net/http holds a mutex while it writes, and who waits for a mutex
// stops the bubble's time.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	count int
}

func newPipes() *pipes {
	return &pipes{accept: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	up, down := newStream(), newStream()
	select {
	case p.accept <- &pipeConn{in: up, out: down}:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.count++
		return &pipeConn{in: down, out: up}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) dialed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// byteStream is one direction of a connection.
type byteStream struct {
	mu     sync.Mutex
	wake   sync.Cond
	data   []byte
	err    error
	passed time.Time // reads fail from then on, if set and in the past
}

func newStream() *byteStream {
	s := &byteStream{}
	s.wake.L = &s.mu
	return s
}

func (s *byteStream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.wake.Broadcast()
}

type pipeConn struct{ in, out *byteStream }

func (c *pipeConn) Read(p []byte) (int, error) {
	s := c.in
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.data) == 0 && s.err == nil {
		if !s.passed.IsZero() && !s.passed.After(time.Now()) {
			return 0, os.ErrDeadlineExceeded
		}
		s.wake.Wait()
	}
	if len(s.data) == 0 {
		return 0, s.err
	}
	n := copy(p, s.data)
	s.data = s.data[n:]
	return n, nil
}

func (c *pipeConn) Write(p []byte) (int, error) {
	s := c.out
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, io.ErrClosedPipe
	}
	s.data = append(s.data, p...)
	s.wake.Broadcast()
	return len(p), nil
}

func (c *pipeConn) Close() error {
	c.in.end(io.ErrClosedPipe)
	c.out.end(io.EOF)
	return nil
}

// SetReadDeadline wakes readers only for a time in the past, which is what
// net/http uses to interrupt them.
func (c *pipeConn) SetReadDeadline(t time.Time) error {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.passed = t
	c.in.wake.Broadcast()
	return nil
}

func (c *pipeConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *pipeConn) SetWriteDeadline(time.Time) error { return nil }
func (c *pipeConn) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (c *pipeConn) RemoteAddr() net.Addr             { return c.LocalAddr() }

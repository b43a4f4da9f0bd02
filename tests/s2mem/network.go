package s2mem

import (
	"net"
	"sync"
	"sync/atomic"
)

// network is the gate that all connections of a server pass: closed, it is a
// path that has gone dead without a word.
type network struct {
	frozen atomic.Bool
	mu     sync.Mutex
	open   chan struct{} // closed at the thaw
	conns  map[*gatedConn]struct{}
}

func (n *network) init() { n.conns = map[*gatedConn]struct{}{} }

// Freeze stops all bytes on all connections, in both directions, as a dead path
// or a stopped process would: no error, no answer, no ping. Thaw lets them go on.
func (s *Server) Freeze() {
	n := &s.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.frozen.Swap(true) {
		n.open = make(chan struct{})
	}
}

// Thaw ends a Freeze; what was held up goes on where it was.
func (s *Server) Thaw() { s.network.thaw() }

func (n *network) thaw() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.frozen.Swap(false) {
		close(n.open)
	}
}

// CutConnections closes all connections of clients.
func (s *Server) CutConnections() {
	n := &s.network
	n.mu.Lock()
	var all []*gatedConn
	for c := range n.conns {
		all = append(all, c)
	}
	n.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}

// Connections is the number of open connections.
func (s *Server) Connections() int {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	return len(s.network.conns)
}

// gate is closed when the next thaw has come.
func (n *network) gate() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open
}

type gatedListener struct {
	net.Listener
	network *network
}

func (l *gatedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g := &gatedConn{Conn: c, network: l.network, closed: make(chan struct{})}
	l.network.mu.Lock()
	l.network.conns[g] = struct{}{}
	l.network.mu.Unlock()
	return g, nil
}

type gatedConn struct {
	net.Conn
	network *network
	once    sync.Once
	closed  chan struct{}
}

// pass returns when bytes may flow.
func (c *gatedConn) pass() error {
	if !c.network.frozen.Load() {
		return nil
	}
	select {
	case <-c.network.gate():
		return nil
	case <-c.closed:
		return net.ErrClosed
	}
}

func (c *gatedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if gone := c.pass(); gone != nil {
		return 0, gone
	}
	return n, err
}

func (c *gatedConn) Write(b []byte) (int, error) {
	if err := c.pass(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *gatedConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.network.mu.Lock()
		delete(c.network.conns, c)
		c.network.mu.Unlock()
	})
	return c.Conn.Close()
}

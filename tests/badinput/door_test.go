package badinput

import (
	"net"
	"strconv"
	"sync"
	"testing"

	"kafka-s2-bridge/tests/real/proc"
)

// door is a listener on a fixed port of 127.0.0.1 that can be shut, with all its connections, and opened again, while the
// server behind it knows nothing of that. Shut, the port refuses connections.
type door struct {
	port int

	mu       sync.Mutex
	listener net.Listener  // nil: shut
	moved    chan struct{} // closed at the next change of listener
	closed   bool
	conns    map[*doorConn]struct{}
	accepted int
	frozen   chan struct{} // closed at the thaw; nil: bytes flow
}

var _ net.Listener = (*door)(nil)

func newDoor(t *testing.T) *door {
	t.Helper()
	d := &door{moved: make(chan struct{}), conns: map[*doorConn]struct{}{}}
	for range 20 { // somebody else may take the port in between
		port, err := proc.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if d.listener, err = net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			d.port = port
			t.Cleanup(func() { _ = d.Close() })
			return d
		}
	}
	t.Fatal("no port to listen on")
	return nil
}

// address is host:port.
func (d *door) address() string { return "127.0.0.1:" + strconv.Itoa(d.port) }

func (d *door) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: d.port} }

func (d *door) Accept() (net.Conn, error) {
	for {
		d.mu.Lock()
		listener, moved, closed := d.listener, d.moved, d.closed
		d.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		if listener == nil {
			<-moved
			continue
		}
		c, err := listener.Accept()
		if err != nil {
			continue // shut meanwhile
		}
		if c := d.enter(c, listener); c != nil {
			return c, nil
		}
	}
}

// enter counts a connection in, unless the door was shut meanwhile.
func (d *door) enter(c net.Conn, from net.Listener) net.Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.accepted++
	if d.listener != from {
		_ = c.Close()
		return nil
	}
	in := &doorConn{Conn: c, door: d}
	d.conns[in] = struct{}{}
	return in
}

// shut closes the port and cuts all connections.
func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listener != nil {
		_ = d.listener.Close()
		d.listener = nil
		d.change()
	}
	for c := range d.conns {
		_ = c.Conn.Close()
	}
}

// cut closes all connections and leaves the port open.
func (d *door) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		_ = c.Conn.Close()
	}
}

// open listens on the same port again.
func (d *door) open(t *testing.T) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	listener, err := net.Listen("tcp4", d.address())
	if err != nil {
		t.Fatalf("open the door again: %v", err)
	}
	d.listener = listener
	d.change()
}

func (d *door) change() {
	close(d.moved)
	d.moved = make(chan struct{})
}

func (d *door) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.thaw()
	d.shut()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.change()
	return nil
}

// freeze lets no byte through any more, in no direction; connections stay, and new ones are taken.
func (d *door) freeze() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = make(chan struct{})
}

func (d *door) thaw() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.frozen != nil {
		close(d.frozen)
		d.frozen = nil
	}
}

// pass returns when bytes may flow.
func (d *door) pass() {
	d.mu.Lock()
	frozen := d.frozen
	d.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

// doorConn leaves the door's list when it is closed.
type doorConn struct {
	net.Conn
	door *door
}

func (c *doorConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.door.pass()
	return n, err
}

func (c *doorConn) Write(b []byte) (int, error) {
	c.door.pass()
	return c.Conn.Write(b)
}

func (c *doorConn) Close() error {
	c.door.mu.Lock()
	delete(c.door.conns, c)
	c.door.mu.Unlock()
	return c.Conn.Close()
}

// mute is a server that takes connections and says nothing.
type mute struct{ *door }

func newMute(t *testing.T) mute {
	t.Helper()
	d := newDoor(t)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			if _, err := d.Accept(); err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		_ = d.Close()
		accepting.Wait()
	})
	return mute{d}
}

// untouched fails the test if anybody has connected. It connects itself to know that everybody before it was counted.
func (m mute) untouched(t *testing.T, who string) {
	t.Helper()
	probe, err := net.Dial("tcp4", m.address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = probe.Close() }()
	await(t, patient, func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.accepted == 0 {
			return errWaiting
		}
		if m.accepted > 1 {
			return proc.Final(errTouched)
		}
		return nil
	}, "contact of %s", who)
}

// visited waits until somebody has connected.
func (m mute) visited(t *testing.T) {
	t.Helper()
	await(t, patient, func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.accepted == 0 {
			return errWaiting
		}
		return nil
	}, "nobody connects")
}

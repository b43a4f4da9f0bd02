//go:build synctests

package bubble

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// network is the wires of one bubble. Listeners have ports; who dials is a
// host, and all links of a host can be cut or frozen together, as those of a
// machine that dies or loses its network for a while.
//
//	host "bridge 0" --link--> port 9001 (Kafka)
//	                --link--> port 4443 (S2)
//
// A link has buffers without end, unlike net.Pipe: who writes never waits.
// net/http writes while it holds a mutex, and whoever waits for a mutex stops
// the bubble's time.
type network struct {
	mu        sync.Mutex
	listeners map[int]*listener
	nextPort  int
}

func newNetwork() *network { return &network{listeners: map[int]*listener{}, nextPort: 20_000} }

// Listen is what kfake wants in the place of net.Listen.
func (n *network) Listen(_, address string) (net.Listener, error) {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if port == 0 {
		n.nextPort++
		port = n.nextPort
	}
	if n.listeners[port] != nil {
		return nil, fmt.Errorf("port %d: %w", port, syscall.EADDRINUSE)
	}
	l := &listener{network: n, port: port, arrived: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[port] = l
	return l, nil
}

func (n *network) at(address string) *listener {
	_, text, _ := net.SplitHostPort(address)
	port, _ := strconv.Atoi(text)
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.listeners[port]
}

type listener struct {
	network *network
	port    int
	arrived chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.arrived:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.network.mu.Lock()
		defer l.network.mu.Unlock()
		delete(l.network.listeners, l.port)
	})
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: l.port} }

// host is a machine that dials.
type host struct {
	name    string
	network *network
	delay   func(port int) time.Duration // of a new link, in each direction

	mu     sync.Mutex
	down   bool
	frozen map[int]bool   // ports that cannot be reached; 0: none can
	links  map[*link]bool // open, or closed
	thawed chan struct{}  // closed at the next change of frozen
}

func (n *network) host(name string, delay func(port int) time.Duration) *host {
	return &host{name: name, network: n, delay: delay, frozen: map[int]bool{}, links: map[*link]bool{}, thawed: make(chan struct{})}
}

var errDown = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ENETUNREACH}

// Dial is what the bridge wants in the place of net.Dialer.DialContext.
func (h *host) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	l := h.network.at(address)
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	for {
		h.mu.Lock()
		down, cold, thawed := h.down, h.cold(l.port), h.thawed
		h.mu.Unlock()
		if down {
			return nil, errDown
		}
		if !cold {
			break
		}
		select {
		case <-thawed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	near, far := h.connect(l.port)
	select {
	case l.arrived <- far:
		return near, nil
	case <-l.closed:
		near.link.cut(true)
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		near.link.cut(true)
		return nil, ctx.Err()
	}
}

func (h *host) connect(port int) (near, far *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delay := h.delay(port)
	k := &link{host: h, port: port, up: newFlow(delay), down: newFlow(delay)}
	if h.down {
		k.sever(true)
	} else {
		h.links[k] = true
	}
	return &conn{link: k, in: k.down, out: k.up}, &conn{link: k, in: k.up, out: k.down}
}

func (h *host) cold(port int) bool { return h.frozen[port] || h.frozen[0] }

// die cuts all links and lets no new one come. What was written before still
// arrives, unless lost says that it does not.
func (h *host) die(lost bool) {
	h.mu.Lock()
	h.down = true
	close(h.thawed)
	h.thawed = make(chan struct{})
	h.mu.Unlock()
	h.cut(0, lost)
}

// cut ends the links to a port (0: to all).
func (h *host) cut(port int, lost bool) (n int) {
	h.mu.Lock()
	var all []*link
	for k, open := range h.links {
		if open && (port == 0 || k.port == port) {
			all = append(all, k)
		}
	}
	h.mu.Unlock()
	for _, k := range all {
		k.cut(lost)
	}
	return len(all)
}

// freeze keeps back whatever is under way to and from a port (0: all), in both
// directions, until thaw. Nobody gets an error: only silence.
func (h *host) freeze(port int) (n int) { return h.setFrozen(port, true) }

func (h *host) thaw(port int) { h.setFrozen(port, false) }

func (h *host) setFrozen(port int, frozen bool) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frozen[port] = frozen
	close(h.thawed)
	h.thawed = make(chan struct{})
	for k, open := range h.links {
		if open && (port == 0 || k.port == port) {
			n++
		}
		k.up.freeze(h.cold(k.port))
		k.down.freeze(h.cold(k.port))
	}
	return n
}

// link is one connection: two flows of bytes.
type link struct {
	host     *host
	port     int
	up, down *flow
}

// forget takes a link out of the open ones. It is kept: what was written before
// may still be frozen.
func (k *link) forget() {
	k.host.mu.Lock()
	defer k.host.mu.Unlock()
	k.host.links[k] = false
}

// open is the number of links that our side has not closed.
func (h *host) open() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, open := range h.links {
		if open {
			n++
		}
	}
	return n
}

// cut ends both directions. Not lost: what was written before still arrives.
func (k *link) cut(lost bool) {
	k.sever(lost)
	k.forget()
}

func (k *link) sever(lost bool) {
	for _, f := range [...]*flow{k.up, k.down} {
		f.end(syscall.ECONNRESET, lost)
		f.refuse(syscall.EPIPE)
	}
}

// conn is one end of a link.
type conn struct {
	link    *link
	in, out *flow
}

func (c *conn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *conn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close lets the other side read what was written, and then the end.
func (c *conn) Close() error {
	c.out.end(io.EOF, false)
	c.out.refuse(net.ErrClosed)
	c.in.end(net.ErrClosed, true)
	c.in.refuse(syscall.EPIPE)
	c.link.forget()
	return nil
}

func (c *conn) SetDeadline(t time.Time) error {
	c.in.setDeadline(t)
	return nil // who writes never waits
}
func (c *conn) SetReadDeadline(t time.Time) error { c.in.setDeadline(t); return nil }
func (c *conn) SetWriteDeadline(time.Time) error  { return nil }
func (c *conn) LocalAddr() net.Addr               { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (c *conn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: c.link.port}
}

package network

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// harm is what becomes of a connection.
type harm uint8

const (
	none       harm = iota
	cutUp           // reset when so many bytes have gone up
	cutDown         // reset when so many bytes have come down
	deafServer      // the server's side is closed, the client hears nothing of it
	deafClient      // the client's side is closed, the server hears nothing of it
	silent          // nothing passes any more, in both directions; nobody is told
	mute            // nothing comes down any more; what goes up arrives
	delayed         // everything takes longer
	sliced          // everything comes in small pieces
	harms
)

var harmNames = [harms]string{"none", "cut after bytes up", "cut after bytes down", "half open: server closed", "half open: client closed",
	"silent", "nothing comes down", "delayed", "in slices"}

// fate is the harm of one connection, and when it comes.
type fate struct {
	harm  harm
	after int           // bytes, in the direction of the harm, or in both together
	delay time.Duration // of delayed, for each piece
	slice int           // of sliced
}

// proxy passes connections on to a target.
type proxy struct {
	name     string
	target   string
	listener net.Listener
	done     sync.WaitGroup
	struck   func(name string) // a harm came

	mu     sync.Mutex
	rng    *rand.Rand // nil: no more harm
	share  float64    // of connections that are harmed
	low    int        // bytes before the harm
	high   int
	links  map[*link]struct{}
	closed bool
}

func newProxy(name, target string, rng *rand.Rand, share float64, low, high int, struck func(string)) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{name: name, target: target, listener: l, rng: rng, share: share, low: low, high: high, struck: struck, links: map[*link]struct{}{}}
	p.done.Go(p.accept)
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.serve(c.(*net.TCPConn)) })
	}
}

// fate decides what becomes of the next connection.
func (p *proxy) fate() fate {
	if p.rng == nil || p.rng.Float64() >= p.share {
		return fate{}
	}
	f := fate{harm: 1 + harm(p.rng.IntN(int(harms)-1))}
	low, high := p.low, p.high
	if f.harm == cutDown || f.harm == mute {
		low, high = p.low/2, p.high/50 // acks are small
	}
	// As many of one order of magnitude as of the next.
	f.after = low
	for f.after < high && p.rng.IntN(4) > 0 {
		f.after = f.after*2 + p.rng.IntN(f.after)
	}
	f.delay = time.Duration(1+p.rng.IntN(40)) * time.Millisecond
	f.slice = 1 + p.rng.IntN(60)
	return f
}

func (p *proxy) serve(client *net.TCPConn) {
	up, err := net.Dial("tcp", p.target)
	if err != nil {
		client.Close()
		return
	}
	k := &link{proxy: p, client: client, server: up.(*net.TCPConn), quiet: make(chan struct{}), gone: make(chan struct{})}
	p.mu.Lock()
	k.fate = p.fate()
	p.links[k] = struct{}{}
	closed := p.closed
	p.mu.Unlock()
	if closed {
		k.reset()
	}
	var both sync.WaitGroup
	both.Go(func() { k.pump(k.client, k.server, true) })
	both.Go(func() { k.pump(k.server, k.client, false) })
	both.Wait()
	k.client.Close()
	k.server.Close()
	p.mu.Lock()
	delete(p.links, k)
	p.mu.Unlock()
}

// cutAll resets all connections, and only those that come to harm if harmed.
func (p *proxy) cutAll(harmed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.links {
		if !harmed || k.fate.harm != none {
			k.reset()
		}
	}
}

// heal lets all connections be from now on.
func (p *proxy) heal() {
	p.mu.Lock()
	p.rng = nil
	p.mu.Unlock()
	p.cutAll(true)
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.listener.Close()
	p.cutAll(false)
	p.done.Wait()
}

// link is one connection through a proxy.
type link struct {
	proxy          *proxy
	client, server *net.TCPConn
	fate           fate
	quiet          chan struct{} // closed when the harm has come
	gone           chan struct{} // closed when the link is reset
	once, over     sync.Once

	mu     sync.Mutex
	passed [2]int // bytes down, up
}

// reset ends both sides with RST, so that nobody takes it for a clean end.
func (k *link) reset() {
	k.over.Do(func() {
		close(k.gone)
		for _, c := range [...]*net.TCPConn{k.client, k.server} {
			_ = c.SetLinger(0) // it fails only where the side is closed already
			c.Close()
		}
	})
}

// strike brings the harm about.
func (k *link) strike() {
	k.once.Do(func() {
		k.proxy.struck(k.proxy.name + ": " + harmNames[k.fate.harm])
		close(k.quiet)
		switch k.fate.harm {
		case cutUp, cutDown:
			k.reset()
		case deafServer:
			k.server.Close()
		case deafClient:
			k.client.Close()
		}
	})
}

// due says how many of n bytes may still pass before the harm comes.
func (k *link) due(n int, up bool) (pass int, strikes bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	count := k.passed[0] + k.passed[1]
	direction := 0
	if up {
		direction = 1
	}
	switch f := k.fate; {
	case f.harm == none, f.harm == cutUp && !up, (f.harm == cutDown || f.harm == mute) && up:
		return n, false
	case f.harm == cutUp, f.harm == cutDown, f.harm == mute:
		count = k.passed[direction]
	}
	pass = min(n, max(k.fate.after-count, 0))
	k.passed[direction] += pass
	return pass, pass < n
}

// pump passes bytes on in one direction until an end, or the harm.
func (k *link) pump(from, to *net.TCPConn, up bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		data := buf[:n]
		pass, strikes := k.due(n, up)
		if strikes && k.fate.harm < delayed {
			_, _ = to.Write(data[:pass]) // it ends here anyway
			k.strike()
			k.swallow(from, up)
			return
		}
		if k.write(to, data, strikes) != nil {
			k.swallow(from, up)
			return
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				_ = to.CloseWrite() // the same
			} else if !k.struckQuietly() {
				k.reset()
			}
			return
		}
	}
}

// write passes data on, slowly if that is the harm.
func (k *link) write(to *net.TCPConn, data []byte, harmed bool) error {
	if harmed {
		k.strike()
	}
	for len(data) > 0 {
		n := len(data)
		if harmed {
			pause := k.fate.delay
			if k.fate.harm == sliced {
				n, pause = min(n, k.fate.slice), 50*time.Microsecond
				if len(data) > 4096 {
					n = len(data) - 4096 // the end of a large piece is enough
				}
			}
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-k.gone:
				timer.Stop()
				return net.ErrClosed
			}
		}
		if _, err := to.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func (k *link) struckQuietly() bool {
	select {
	case <-k.quiet:
		return k.fate.harm != none
	default:
		return false
	}
}

// swallow keeps a side open that is not answered any more. A silent one is not
// even read: what it writes fills the buffers, as on a dead path.
func (k *link) swallow(from *net.TCPConn, up bool) {
	if k.fate.harm == silent || k.fate.harm == mute && !up {
		<-k.gone
		return
	}
	_, _ = io.Copy(io.Discard, from) // until it ends
}

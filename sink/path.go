package sink

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// suspectAge is the least age at which a connection is suspected. Where S2
// itself stalls, every connection looks dead: then they are replaced once a
// second, and not as fast as they can be dialed.
const suspectAge = time.Second

// ErrClosed is the error of everything asked of a closed Client.
var ErrClosed = errors.New("S2 client is closed")

// path is one slot of the pool: the connections that its streams share. There
// is one, and a further one when S2's limit of requests on it is reached.
//
//	live:    new requests use these
//	retired: suspected, or said goodbye; what runs on them may end, then they
//	         are closed
type path struct {
	transport *http.Transport
	scheme    string
	address   string // host:port
	metrics   *Metrics

	running sync.WaitGroup // of dials and closings

	mu      sync.Mutex
	closed  bool
	live    []*conn
	retired map[*conn]struct{}
	dialing *dial // the one dial under way, or nil
}

// conn is a connection and the number of requests that use it. Its fields are
// guarded by path.mu.
type conn struct {
	*http.ClientConn
	born    time.Time
	users   int
	retired bool
}

// dial is one attempt to connect, shared by all who wait for a connection.
type dial struct {
	cancel context.CancelFunc
	done   chan struct{} // closed after err is set
	err    error
}

func newPath(transport *http.Transport, endpoint *url.URL, m *Metrics) *path {
	port := endpoint.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[endpoint.Scheme]
	}
	return &path{
		transport: transport, scheme: endpoint.Scheme, metrics: m,
		address: net.JoinHostPort(endpoint.Hostname(), port),
		retired: map[*conn]struct{}{},
	}
}

// reserve returns a connection with room for one request, and dials if there
// is none. One RoundTrip and one release must follow. If a dial fails, all who
// wait for it get its error; nobody dials again on his own.
func (p *path) reserve(ctx context.Context) (*conn, error) {
	for {
		c, d := p.take(ctx)
		if c != nil {
			return c, nil
		}
		if d == nil {
			return nil, ErrClosed
		}
		select {
		case <-d.done:
			if d.err != nil {
				return nil, d.err
			}
			// Others may take all its room first: then dial another one.
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// take returns a connection, or the dial to wait for, or neither if closed.
func (p *path) take(ctx context.Context) (*conn, *dial) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil
	}
	for i := 0; i < len(p.live); {
		c := p.live[i]
		if c.Err() != nil {
			p.live = slices.Delete(p.live, i, i+1)
			p.retire(c)
			continue
		}
		if c.Reserve() == nil {
			c.users++
			return c, nil
		}
		i++
	}
	if p.dialing == nil {
		// Others may wait for this dial when ctx has ended; close cancels it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dialTimeout)
		p.dialing = &dial{cancel: cancel, done: make(chan struct{})}
		p.running.Add(1)
		go p.connect(ctx, p.dialing)
	}
	return nil, p.dialing
}

func (p *path) connect(ctx context.Context, d *dial) {
	defer p.running.Done()
	defer d.cancel()
	cc, err := p.transport.NewClientConn(ctx, p.scheme, p.address)

	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing = nil
	d.err = err
	switch {
	case err == nil && p.closed:
		d.err = ErrClosed
		p.drop(&conn{ClientConn: cc})
	case err == nil:
		p.live = append(p.live, &conn{ClientConn: cc, born: time.Now()})
	case p.closed:
		d.err = ErrClosed
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		d.err = &net.OpError{Op: "dial", Net: "tcp", Err: errDialTimeout}
	}
	close(d.done)
}

var errDialTimeout = errors.New("no connection within " + dialTimeout.String())

// release gives back what reserve gave. The last user of a retired connection
// closes it.
func (p *path) release(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.users--
	if c.retired && c.users == 0 && !p.closed {
		delete(p.retired, c)
		p.drop(c)
	}
}

// retire takes c, which is not in live any more, out of use. p.mu is held.
func (p *path) retire(c *conn) {
	c.retired = true
	if c.users == 0 {
		p.drop(c)
		return
	}
	p.retired[c] = struct{}{}
}

// drop closes c. In TLS on a dead path that takes a while, for which nobody
// should have to wait. p.mu is held.
func (p *path) drop(c *conn) {
	p.running.Add(1)
	go func() {
		defer p.running.Done()
		c.Close()
	}()
}

// suspect makes new requests use another connection than c, or, if c is nil,
// than any there is. What runs on the old ones goes on until it ends by itself:
// it may be well. All streams on c suspect it at the same time, and only the
// first of them replaces it.
func (p *path) suspect(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live = slices.DeleteFunc(p.live, func(l *conn) bool {
		if c != nil && l != c || time.Since(l.born) < suspectAge {
			return false
		}
		p.retire(l)
		p.metrics.replaced.Inc()
		return true
	})
}

// close ends all connections and what runs on them, and waits until they and
// the dials have gone.
func (p *path) close() {
	p.mu.Lock()
	p.closed = true
	for _, c := range p.live {
		p.drop(c)
	}
	for c := range p.retired {
		p.drop(c)
	}
	p.live, p.retired = nil, map[*conn]struct{}{}
	if p.dialing != nil {
		p.dialing.cancel()
	}
	p.mu.Unlock()
	p.running.Wait()
}

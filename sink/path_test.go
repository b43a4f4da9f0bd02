package sink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kafka-s2-bridge/tests/s2mem"
)

// countingDial counts the connections made.
type countingDial struct {
	mu sync.Mutex
	n  int
}

func (d *countingDial) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.mu.Lock()
	d.n++
	d.mu.Unlock()
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, address)
}

func (d *countingDial) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

// 64 requests that find no connection make one, not 64.
func TestOneDialForAll(t *testing.T) {
	srv := s2mem.Start(t, s2mem.Options{Basin: testBasin})
	var d countingDial
	c := newClient(t, Config{Endpoint: srv.URL(), Connections: 1, Dial: d.dial})
	ctx := deadline(t)
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			if _, _, _, err := c.Stream(fmt.Sprint(i), StreamSettings{}).Ask(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if d.count() != 1 {
		t.Errorf("%d connections", d.count())
	}
}

func TestStreamsSpreadOverPaths(t *testing.T) {
	srv := s2mem.Start(t, s2mem.Options{Basin: testBasin})
	var d countingDial
	c := newClient(t, Config{Endpoint: srv.URL(), Connections: 3, Dial: d.dial})
	ctx := deadline(t)
	for i := range 30 {
		for range 2 {
			if _, _, _, err := c.Stream(fmt.Sprint("topic/", i), StreamSettings{}).Ask(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	if d.count() != 3 {
		t.Errorf("%d connections, want 3", d.count())
	}
}

// S2 allows 200 requests on a connection at a time; session 201 gets another.
func TestMoreSessionsThanOneConnectionTakes(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client) {
		ctx := deadline(t)
		p := c.paths[0]
		c.paths = c.paths[:1]
		var all sync.WaitGroup
		for i := range 450 {
			all.Go(func() {
				if err := c.Stream(fmt.Sprint("orders/", i), StreamSettings{}).Create(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		var sessions []*Session
		var recorders []*recorder
		for i := range 450 {
			ss, r := open(ctx, c.Stream(fmt.Sprint("orders/", i), StreamSettings{}))
			ss.Send(batch(t, i%100, 1, 10), 0, "")
			sessions, recorders = append(sessions, ss), append(recorders, r)
		}
		for _, r := range recorders {
			r.awaitAcks(t, ctx, 1)
		}
		p.mu.Lock()
		n := len(p.live)
		p.mu.Unlock()
		if n < 3 || n > 5 { // 100 until the server's limit is known
			t.Errorf("450 sessions use %d connections, want 3", n)
		}
		for i, ss := range sessions {
			ss.Finish()
			if err := recorders[i].awaitEnd(t, ctx); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A suspected connection gets nothing new, keeps what it has, and is closed
// when that has ended.
func TestSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		srv := s2mem.New(s2mem.Options{Basin: testBasin})
		srv.Start(network)
		defer srv.Close()
		c := newClient(t, Config{Endpoint: "http://s2.test", Dial: network.dial, Connections: 1})
		defer c.Close()
		ctx := t.Context()
		s, next := fenced(t, c, "orders/0")
		ss, r := open(ctx, s)
		ss.Send(batch(t, 0, 1, 10), next, "t")
		r.awaitAcks(t, ctx, 1)

		s.Suspect() // too young
		if _, _, _, err := s.Ask(ctx); err != nil || network.dialed() != 1 {
			t.Fatalf("%d connections, %v", network.dialed(), err)
		}
		other := c.Stream("orders/1", StreamSettings{})
		if _, _, _, err := other.Ask(ctx); err != nil {
			t.Fatal(err)
		}
		<-time.After(suspectAge)
		for range 5 {
			s.Suspect()
			other.Suspect() // the same connection: it is gone already
		}
		if _, _, _, err := s.Ask(ctx); err != nil || network.dialed() != 2 {
			t.Fatalf("%d connections, %v; want a second one", network.dialed(), err)
		}
		other.Suspect()
		if _, _, _, err := other.Ask(ctx); err != nil || network.dialed() != 2 {
			t.Errorf("%d connections, %v; want no third one", network.dialed(), err)
		}
		// The session goes on over the old connection.
		ss.Send(batch(t, 1, 1, 10), next+1, "t")
		r.awaitAcks(t, ctx, 2)
		if n := srv.Connections(); n != 2 {
			t.Errorf("%d connections are open", n)
		}
		ss.Finish()
		if err := r.awaitEnd(t, ctx); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := srv.Connections(); n != 1 {
			t.Errorf("%d connections are open when the session has ended", n)
		}
		if n := int(metric(t, c.metrics.replaced)); n != 1 {
			t.Errorf("%d connections were counted as replaced", n)
		}

		// A Stream that made no request means the whole path.
		<-time.After(suspectAge)
		c.Stream("orders/0", StreamSettings{}).Suspect()
		c.Stream("orders/0", StreamSettings{}).Suspect()
		if _, _, _, err := s.Ask(ctx); err != nil || network.dialed() != 3 {
			t.Errorf("%d connections, %v; want a third one", network.dialed(), err)
		}
		c.Stream("orders/0", StreamSettings{}).Suspect() // too young
		if _, _, _, err := s.Ask(ctx); err != nil || network.dialed() != 3 {
			t.Errorf("%d connections, %v; want still three", network.dialed(), err)
		}
	})
}

// After GOAWAY the old connection gets nothing new, and what it has goes on.
func TestGoAway(t *testing.T) {
	srv, c := mem(t, s2mem.Options{})
	ctx := deadline(t)
	s, next := fenced(t, c, "orders/0")
	ss, r := open(ctx, s)
	ss.Send(batch(t, 0, 1, 10), next, "t")
	r.awaitAcks(t, ctx, 1)
	srv.Fault(s2mem.Fault{Op: s2mem.OpTail, Do: s2mem.GoAway})
	for range 3 {
		if _, _, _, err := s.Ask(ctx); err != nil && !asError(t, err).Temporary() {
			t.Fatal(err)
		}
	}
	ss.Send(batch(t, 1, 1, 10), next+1, "t")
	r.awaitAcks(t, ctx, 2)
	ss.Finish()
	if err := r.awaitEnd(t, ctx); err != nil {
		t.Error(err)
	}
}

func TestConnectionRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var address atomic.Value // where S2 is: nobody listens there, until it is back
	address.Store(l.Addr().String())
	l.Close()
	c := newClient(t, Config{Endpoint: "http://127.0.0.1:1", Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address.Load().(string))
	}})
	ctx := deadline(t)
	s := c.Stream("orders/0", StreamSettings{})
	_, _, _, err = s.Ask(ctx)
	if e := asError(t, err); e.Status != 0 || !e.Temporary() || e.Denied() || e.NotFound() {
		t.Errorf("got %v", e)
	}
	_, r := open(ctx, s)
	if e := asError(t, r.awaitEnd(t, ctx)); e.Status != 0 || !e.Temporary() {
		t.Errorf("the session got %v", e)
	}
	s.Suspect() // never had a connection
	// Nothing is remembered: when S2 is back, the next request works.
	srv := s2mem.Start(t, s2mem.Options{Basin: testBasin})
	address.Store(strings.TrimPrefix(srv.URL(), "http://"))
	if _, _, exists, err := s.Ask(ctx); err != nil || exists {
		t.Error(exists, err)
	}
}

// A dial that never ends holds up nobody longer than he wants, and Close not
// at all.
func TestHangingDial(t *testing.T) {
	dialing := make(chan struct{}, 100)
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
		dialing <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	synctest.Test(t, func(t *testing.T) {
		dialing = make(chan struct{}, 100)
		c := newClient(t, Config{Endpoint: "http://s2.test", Dial: hang, Connections: 1, RequestTimeout: time.Second})
		s := c.Stream("orders/0", StreamSettings{})
		began := time.Now()
		_, _, _, err := s.Ask(t.Context())
		if took := time.Since(began); took != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("asked for %v: %v", took, err)
		}
		ss, r := open(t.Context(), s)
		ss.Abort()
		if err := r.awaitEnd(t, t.Context()); !errors.Is(err, ErrAborted) {
			t.Error(err)
		}
		_, r = open(t.Context(), s)
		<-time.After(dialTimeout)
		if err := r.awaitEnd(t, t.Context()); !errors.Is(err, errDialTimeout) {
			t.Error(err)
		}
		_, r = open(t.Context(), s)
		for range len(dialing) {
			<-dialing
		}
		<-dialing
		began = time.Now()
		c.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v", took)
		}
		if err := r.awaitEnd(t, t.Context()); err == nil {
			t.Error("a session without a connection ended well")
		}
	})
}

// A request without an answer ends after RequestTimeout, and says so.
func TestRequestTimeout(t *testing.T) {
	c := newClient(t, Config{RequestTimeout: 50 * time.Millisecond, Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	})})
	ctx := deadline(t)
	_, err := c.Stream("orders/0", StreamSettings{}).Fence(ctx, "t", "", 0)
	e := asError(t, err)
	if !errors.Is(err, context.DeadlineExceeded) || !e.Temporary() || e.Error() != `S2 fence of stream "orders/0": no answer within 50ms` {
		t.Errorf("got %v", err)
	}
}

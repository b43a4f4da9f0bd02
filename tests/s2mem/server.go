package s2mem

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// Server is an S2 server. It is an http.Handler; Start and Listen serve it
// with the settings of s2-lite.
type Server struct {
	opts     Options
	faults   faults
	sessions atomic.Int64 // numbers of append sessions given out
	requests [len(opNames)]atomic.Int64
	calls    sync.WaitGroup // requests being served
	serving  sync.WaitGroup // Serve loops and connections
	closing  chan struct{}  // closed by Close
	web      *http.Server
	network  network

	mu        sync.Mutex
	closed    bool
	url       string
	basins    map[string]*basin
	observers []func(Append)
	open      map[int]*session
	tokens    map[string]bool // access tokens: true every right, false none
	anyToken  bool
	undrain   []context.CancelFunc
}

// TB is the part of testing.TB that Start needs.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// New makes a server that serves nothing yet. Use it as an http.Handler, or
// call Start or Listen; Close it in any case.
func New(o Options) *Server {
	s := &Server{
		opts:    o.withDefaults(),
		closing: make(chan struct{}),
		basins:  map[string]*basin{},
		open:    map[int]*session{},
	}
	s.network.init()
	s.SetAccessTokens(o.AccessTokens, o.DeniedTokens)
	s.basins[s.opts.Basin] = &basin{
		srv: s, name: s.opts.Basin, created: s.opts.Now(), streams: map[string]*stream{},
		config: basinConfig{CreateStreamOnAppend: o.CreateStreamOnAppend, CreateStreamOnRead: o.CreateStreamOnRead},
	}
	s.web = &http.Server{
		Handler:   s,
		ErrorLog:  log.New(io.Discard, "", 0), // resets are the purpose here
		Protocols: new(http.Protocols),
		// s2-lite's values (hyper's, and 200 streams).
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          200,
			MaxReadFrameSize:              16 << 10,
			MaxReceiveBufferPerConnection: 1 << 20,
			MaxReceiveBufferPerStream:     1 << 20,
		},
		MaxHeaderBytes: 16<<10 - 320, // net/http announces 320 more
		ConnContext:    func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ConnState:      s.connState,
	}
	s.web.Protocols.SetHTTP1(true)
	s.web.Protocols.SetUnencryptedHTTP2(true)
	s.web.Protocols.SetHTTP2(true)
	return s
}

// Start makes a server, serves it on a free port of 127.0.0.1 and closes it
// when the test ends.
func Start(t TB, o Options) *Server {
	t.Helper()
	s := New(o)
	t.Cleanup(s.Close)
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatalf("s2mem: %v", err)
	}
	return s
}

// Listen serves on a TCP address until Close. It returns at once.
func (s *Server) Listen(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	s.Start(l)
	return nil
}

// Start serves on a listener until Close, in TLS if Options.TLS is set. It
// returns at once. A server may have several listeners; URL is the first one's.
func (s *Server) Start(l net.Listener) {
	scheme := "http"
	address := l.Addr().String()
	l = &gatedListener{Listener: l, network: &s.network}
	if s.opts.TLS != nil {
		scheme = "https"
		c := s.opts.TLS.Clone()
		if len(c.NextProtos) == 0 {
			c.NextProtos = []string{"h2", "http/1.1"}
		}
		l = tls.NewListener(l, c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		l.Close()
		return
	}
	if s.url == "" {
		s.url = scheme + "://" + address
	}
	s.serving.Add(1)
	go func() {
		defer s.serving.Done()
		if err := s.web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			l.Close()
		}
	}()
}

// URL is the base of the first listener, like "http://127.0.0.1:40123", without
// a path.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

// Close ends everything at once: listeners, connections, held calls. It returns
// when no goroutine of the server is left. Inspection still works.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.closing)
	for _, b := range s.basins {
		for _, st := range b.streams {
			if st.timer != nil {
				st.timer.Stop()
			}
			st.wake()
		}
	}
	for _, cancel := range s.undrain {
		cancel()
	}
	s.mu.Unlock()
	s.network.thaw()
	s.web.Close()
	s.calls.Wait()
	s.serving.Wait()
}

// Drain ends like a server that is told to stop: no new connections, GOAWAY to
// the clients; open sessions go on until they end or Close. It returns at once.
func (s *Server) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.undrain = append(s.undrain, cancel)
	s.serving.Add(1)
	go func() {
		defer s.serving.Done()
		defer cancel()
		s.web.Shutdown(ctx)
	}()
}

// Requests is the number of calls of a kind so far, faulted ones included;
// OpAny: of all kinds.
func (s *Server) Requests(op Op) int {
	if op != OpAny {
		return int(s.requests[op].Load())
	}
	n := 0
	for i := range s.requests {
		n += int(s.requests[i].Load())
	}
	return n
}

// connState counts connections so that Close can wait for them.
func (s *Server) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.serving.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.serving.Done()
	}
}

// begin counts a request in, unless the server is closed.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.calls.Add(1)
	}
	return !s.closed
}

type connKey struct{}

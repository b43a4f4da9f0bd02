package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxErrorBody  = 64 << 10
	maxAnswerBody = 4 << 20 // a page of 1 MiB metered encodes to less than twice that
)

// Client is the way to the streams of one basin.
type Client struct {
	cfg         Config
	base        *url.URL
	credentials *credentials
	paths       []*path
	governor    *Governor
	metrics     *Metrics
	logger      *slog.Logger
	spoke       atomic.Bool // somebody answered in HTTP/2 once

	mu       sync.Mutex
	closed   bool
	sessions map[*Session]struct{}
	running  sync.WaitGroup // of sessions
}

// New makes a client. It reads the files that cfg names, but connects nowhere.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	base, err := cfg.endpoint()
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	creds, err := newCredentials(cfg)
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(cfg, base.Scheme)
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, base: base, credentials: creds, metrics: cfg.Metrics, logger: cfg.Logger,
		governor: NewGovernor(cfg.BatchesPerSecond),
		sessions: map[*Session]struct{}{},
	}
	for range cfg.Connections {
		c.paths = append(c.paths, newPath(transport, base, cfg.Metrics))
	}
	if base.Scheme == "http" && creds.current() != "" && !loopback(base.Hostname()) {
		c.logger.Warn("the access token travels unencrypted: the endpoint is http://", "host", base.Host)
	}
	return c, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Close aborts all sessions, waits until their Ended callbacks have returned,
// and closes all connections. It must not be called from a callback.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	open := make([]*Session, 0, len(c.sessions))
	for ss := range c.sessions {
		open = append(open, ss)
	}
	c.mu.Unlock()
	for _, ss := range open {
		ss.Abort()
	}
	c.running.Wait()
	for _, p := range c.paths {
		p.close()
	}
}

// enter counts a session in; false if the client is closed.
func (c *Client) enter(ss *Session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.sessions[ss] = struct{}{}
	c.running.Add(1)
	c.metrics.sessions.Inc()
	return true
}

func (c *Client) leave(ss *Session) {
	c.mu.Lock()
	delete(c.sessions, ss)
	c.mu.Unlock()
	c.metrics.sessions.Dec()
	c.running.Done()
}

// Reserve takes the permit for one append batch and says how long to wait
// before sending it; 0 is now. The permits of all streams are one supply.
func (c *Client) Reserve() time.Duration { return c.governor.Reserve() }

// path is the slot of the pool for a stream: always the same one, so that its
// requests keep their order on one connection.
func (c *Client) path(stream string) *path {
	h := fnv.New32a()
	_, _ = io.WriteString(h, stream) // a hash takes everything
	return c.paths[h.Sum32()%uint32(len(c.paths))]
}

// request makes a request with the headers that all have. used is the access
// token in it.
func (c *Client) request(ctx context.Context, method string, u *url.URL, body io.Reader) (req *http.Request, used string, err error) {
	req, err = http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, "", err
	}
	used = c.credentials.current()
	if used != "" {
		req.Header.Set("authorization", "Bearer "+used)
	}
	if c.cfg.Endpoint != "" {
		req.Header.Set("s2-basin", c.cfg.Basin)
	}
	req.Header.Set("user-agent", c.cfg.UserAgent)
	return req, used, nil
}

// call is a request whose whole answer is wanted.
type call struct {
	op     string
	stream *Stream
	method string
	url    *url.URL
	header map[string]string
	body   []byte
	also   int // a status that is no error, besides 200
}

// noAnswerError is the cause when RequestTimeout ended a request, and not the
// caller's ctx. It is a context.DeadlineExceeded all the same.
type noAnswerError struct{ after time.Duration }

func (e noAnswerError) Error() string { return "no answer within " + e.after.String() }

func (e noAnswerError) Is(target error) bool { return target == context.DeadlineExceeded }

// do sends a call, once, and returns status and body of its answer.
func (c *Client) do(ctx context.Context, q call) (status int, answer []byte, err error) {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.RequestTimeout, noAnswerError{c.cfg.RequestTimeout})
	defer cancel()
	status, answer, err = c.exchange(ctx, q)
	if e := (*Error)(nil); err != nil && !errors.As(err, &e) {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		err = c.failed(q.op, q.stream.name, err)
	}
	c.metrics.request(q.op, err, time.Since(began))
	return status, answer, err
}

func (c *Client) exchange(ctx context.Context, q call) (int, []byte, error) {
	var body io.Reader
	if q.body != nil {
		body = bytes.NewReader(q.body)
	}
	req, used, err := c.request(ctx, q.method, q.url, body)
	if err != nil {
		return 0, nil, err
	}
	for name, value := range q.header {
		req.Header.Set(name, value)
	}
	conn, err := q.stream.reserve(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer q.stream.path.release(conn)
	resp, err := conn.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		return 0, nil, errHTTP1
	}
	c.spoke.Store(true)
	good := resp.StatusCode == http.StatusOK || resp.StatusCode == q.also
	limit := int64(maxAnswerBody)
	if !good {
		limit = maxErrorBody
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	switch {
	case !good: // what was read of the text is enough
		return 0, nil, c.answered(q.op, q.stream.name, resp.StatusCode, resp.Header, answer, used)
	case err != nil:
		return 0, nil, err
	case int64(len(answer)) == limit:
		return 0, nil, errors.New("answer is longer than 4 MiB")
	}
	return resp.StatusCode, answer, nil
}

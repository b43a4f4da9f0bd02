package sink

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"kafka-s2-bridge/sink/s2s"
)

// The question for a fencing token is an append that cannot succeed: no stream
// is that long. S2 looks at the token first, so its answer names the token; if
// it names the sequence number, the token is the one of the question.
const (
	questionToken = "kb1.?"
	questionSeq   = uint64(1) << 62
)

var (
	errAnswer  = errors.New("answer makes no sense")
	errNotSent = errors.New("request was not sent")
)

// StreamSettings are given to S2 when a stream is created, all of them, since
// S2's defaults lose data after 7 days. An existing stream keeps its own.
type StreamSettings struct {
	// Retention is how long S2 keeps records; 0 is for ever. S2 counts seconds:
	// parts of one are rounded up.
	Retention time.Duration
	// StorageClass is express or standard; empty is express.
	StorageClass string
}

// Stream is one stream of the basin. It holds nothing that S2 says.
type Stream struct {
	client  *Client
	path    *path
	name    string
	create  StreamSettings
	records *url.URL
	tail    *url.URL
	last    atomic.Pointer[conn] // of the latest request
}

// Stream returns the stream of that name, which need not exist.
func (c *Client) Stream(name string, create StreamSettings) *Stream {
	return &Stream{
		client: c, path: c.path(name), name: name, create: create,
		records: c.url("streams", name, "records"),
		tail:    c.url("streams", name, "records", "tail"),
	}
}

// url is the base URL with escaped path elements: a slash in a stream's name
// does not part elements.
func (c *Client) url(elements ...string) *url.URL {
	u := *c.base
	u.RawPath = u.EscapedPath()
	for _, e := range elements {
		u.Path += "/" + e
		u.RawPath += "/" + url.PathEscape(e)
	}
	return &u
}

// Suspect says that the way to S2 looks dead: the connection of this Stream's
// latest request gets no new ones, of any stream. A Stream that has made no
// request yet means all connections of its path. What is open on them is left
// alone. A connection younger than a second is not given up.
func (s *Stream) Suspect() { s.path.suspect(s.last.Load()) }

// reserve takes a connection for one request, and remembers it.
func (s *Stream) reserve(ctx context.Context) (*conn, error) {
	c, err := s.path.reserve(ctx)
	if err == nil {
		s.last.Store(c)
	}
	return c, err
}

// Ask returns the tail, that is the next sequence number, and the fencing token
// of the stream. It never creates the stream, unless it is deleted between the
// two questions in a basin that creates streams when they are appended to.
// A missing stream is no error: exists is false, and the rest zero.
func (s *Stream) Ask(ctx context.Context) (tail uint64, token string, exists bool, err error) {
	tail, err = s.askTail(ctx)
	if err == nil {
		token, err = s.askToken(ctx)
	}
	if e := (*Error)(nil); errors.As(err, &e) && e.NotFound() {
		return 0, "", false, nil
	}
	if err != nil {
		return 0, "", false, err
	}
	return tail, token, true, nil
}

func (s *Stream) askTail(ctx context.Context) (uint64, error) {
	// This answer is JSON whatever is asked for.
	_, answer, err := s.client.do(ctx, call{
		op: opTail, stream: s, method: http.MethodGet, url: s.tail,
	})
	if err != nil {
		return 0, err
	}
	var said struct {
		Tail struct {
			SeqNum *uint64 `json:"seq_num"`
		}
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return 0, s.client.failed(opTail, s.name, fmt.Errorf("%w: %w", errAnswer, err))
	}
	if said.Tail.SeqNum == nil {
		return 0, s.client.failed(opTail, s.name, fmt.Errorf("%w: no sequence number in it", errAnswer))
	}
	return *said.Tail.SeqNum, nil
}

func (s *Stream) askToken(ctx context.Context) (string, error) {
	// A marker of unknown kind, which readers would ignore if it ever landed.
	input := s2s.AppendRecord(nil, []s2s.Header{{Name: []byte("~!"), Value: []byte("question")}}, nil)
	input = s2s.AppendTrailer(input, questionSeq, questionToken)
	_, err := s.append(ctx, opQuestion, input)
	var e *Error
	switch {
	case err == nil:
		return "", s.client.failed(opQuestion, s.name, fmt.Errorf("%w: an append that cannot succeed did", errAnswer))
	case !errors.As(err, &e):
		return "", err
	}
	if token, ok := e.Fenced(); ok {
		return token, nil
	}
	if _, ok := e.SeqMismatch(); ok {
		return questionToken, nil
	}
	return "", err
}

// Create makes the stream with its settings. That it exists already is no
// error, and changes nothing.
func (s *Stream) Create(ctx context.Context) error {
	body, err := s.create.request(s.name)
	if err != nil {
		return s.client.failed(opCreate, s.name, err)
	}
	_, _, err = s.client.do(ctx, call{
		op: opCreate, stream: s, method: http.MethodPost, url: s.client.url("streams"),
		header: map[string]string{"content-type": "application/json", "s2-request-token": rand.Text()},
		body:   body, also: http.StatusCreated,
	})
	if e := (*Error)(nil); errors.As(err, &e) && e.Status == http.StatusConflict && e.Code == codeExists {
		return nil
	}
	return err
}

// request is the body of a create request. s2-lite accepts anything in it, so
// it is checked here.
func (s StreamSettings) request(name string) ([]byte, error) {
	retention := map[string]any{"infinite": struct{}{}}
	switch {
	case s.Retention < 0:
		return nil, fmt.Errorf("%w: stream retention of %s is negative", errNotSent, s.Retention)
	case s.Retention > 0:
		retention = map[string]any{"age": uint64((s.Retention-1)/time.Second) + 1}
	}
	class := s.StorageClass
	switch class {
	case "":
		class = "express"
	case "express", "standard":
	default:
		return nil, fmt.Errorf("%w: storage class %q: S2 has express and standard", errNotSent, class)
	}
	return json.Marshal(map[string]any{
		"stream": name,
		"config": map[string]any{
			"storage_class":    class,
			"retention_policy": retention,
			"timestamping":     map[string]any{"mode": "client-prefer", "uncapped": false},
			"delete_on_empty":  map[string]any{"min_age_secs": 0},
		},
	})
}

// Fence appends the command that sets the fencing token to token, on condition
// that it is seen; if seen is empty, also that the stream ends at tail. It
// returns the sequence number of the command.
func (s *Stream) Fence(ctx context.Context, token, seen string, tail uint64) (seq uint64, err error) {
	if token == "" || len(token) > s2s.MaxToken {
		return 0, s.client.failed(opFence, s.name, fmt.Errorf("%w: fencing token %q must have 1 to %d bytes", errNotSent, token, s2s.MaxToken))
	}
	input := s2s.AppendRecord(nil, []s2s.Header{{Value: []byte("fence")}}, []byte(token))
	if seen == "" {
		input = s2s.AppendTrailer(input, tail, seen)
	} else {
		input = s2s.AppendToken(input, seen)
	}
	ack, err := s.append(ctx, opFence, input)
	if err != nil {
		return 0, err
	}
	if ack.End.SeqNum-ack.Start.SeqNum != 1 || seen == "" && ack.Start.SeqNum != tail {
		return 0, s.client.failed(opFence, s.name, fmt.Errorf("%w: one command got the sequence numbers %d to %d",
			errAnswer, ack.Start.SeqNum, ack.End.SeqNum))
	}
	return ack.Start.SeqNum, nil
}

// append sends one AppendInput by itself.
func (s *Stream) append(ctx context.Context, op string, input []byte) (s2s.AppendAck, error) {
	_, answer, err := s.client.do(ctx, call{
		op: op, stream: s, method: http.MethodPost, url: s.records,
		header: map[string]string{"content-type": "application/protobuf", "accept": "application/protobuf"},
		body:   input,
	})
	if err != nil {
		return s2s.AppendAck{}, err
	}
	ack, err := s2s.ParseAppendAck(answer)
	if err != nil {
		return s2s.AppendAck{}, s.client.failed(op, s.name, err)
	}
	return ack, nil
}

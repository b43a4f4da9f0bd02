package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/sink/s2s"
)

var (
	errEarlyAck = errors.New("S2 acknowledged an append that was not sent yet")
	errHTTP1    = errors.New("the endpoint speaks HTTP/1.1; HTTP/2 is needed")
)

// Session is one append session: a POST whose body is a row of batches and
// whose answer is a row of acks. It has one goroutine, from Open until a
// little after Ended, besides the one that net/http starts for a request.
//
//	Send ---> body ---> net/http ---> S2
//	                                  |
//	Acked <-- goroutine <-- frames ---+
//	Ended <--'
//
// All methods may be called from any goroutine and from the callbacks, and
// none blocks. After the session's end they do nothing.
type Session struct {
	stream *Stream
	on     Events
	body   *body
	cancel context.CancelFunc
}

// Events are the callbacks of a session. They run on its goroutine, one at a
// time, and must not block. Advised may be nil.
type Events struct {
	// Acked comes for every ack, in order: the batch that was sent first and is
	// not acknowledged yet has the sequence numbers start to end - 1. Whether
	// these are the expected ones is for the owner to check.
	Acked func(start, end uint64)
	// Advised comes at most once, before the Acked of the same frame: S2 is
	// about to go away and asks for a reconnect. The owner may Finish, wait for
	// Ended(nil), call Suspect so that the next session gets another
	// connection, and go on. Nothing is wrong with this session until it ends.
	Advised func()
	// Ended comes exactly once and last, also after Abort and when the client
	// is closed. By then no byte of any batch is read any more. nil is a clean
	// end of the answer: after Finish all is well if every batch was
	// acknowledged. Batches without an ack have an unknown outcome, whatever
	// the error says.
	Ended func(error)
}

// Open starts an append session. It returns at once; dialing and everything
// else happens in the session's goroutine. If ctx ends, that is an Abort.
func (s *Stream) Open(ctx context.Context, on Events) *Session {
	ctx, cancel := context.WithCancel(ctx)
	ss := &Session{stream: s, on: on, body: newBody(), cancel: cancel}
	open := s.client.enter(ss)
	go ss.run(ctx, open)
	return ss
}

// Send queues a batch, to be appended at sequence number seq on condition that
// the stream's fencing token is token. It never blocks: how much is in flight
// is for the caller to bound. The batch's bytes are read until its ack, or
// until Abort has returned, or until Ended; the batch must not change before.
func (ss *Session) Send(b *mapping.Batch, seq uint64, token string) {
	if ss.body.add(b.Bytes(), seq, token) != nil {
		ss.cancel()
	}
}

// Finish ends the request after what was sent. The acks still come, then
// Ended(nil). S2 need not answer: the caller bounds the wait, with Abort.
func (ss *Session) Finish() { ss.body.finish() }

// Abort gives the session up. When it has returned, no byte of any batch is
// read again, so buffers may be used for something else. What was sent may
// still be appended by S2, even later than another request sees the tail. An
// Acked may be running or come; Ended comes soon, with ErrAborted or with what
// went wrong before.
func (ss *Session) Abort() {
	ss.body.close(ErrAborted)
	ss.cancel()
}

// run is the session's goroutine.
func (ss *Session) run(ctx context.Context, open bool) {
	began := time.Now()
	tidy, err := func() {}, ErrClosed
	if open {
		tidy, err = ss.exchange(ctx)
	}
	// net/http may still be about to read: from here on it gets no byte.
	ss.body.close(errEnded)
	err = ss.blame(ctx, err)
	ss.cancel()
	ss.stream.client.metrics.request(opSession, err, time.Since(began))
	ss.on.Ended(err)
	tidy()
	if open {
		ss.stream.client.leave(ss)
	}
}

// blame picks the error to report: what ended the session on our side is the
// cause of whatever net/http said then.
func (ss *Session) blame(ctx context.Context, err error) error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return err
	}
	if cause := ss.body.cause(); !errors.Is(cause, errEnded) {
		err = cause
	} else if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		return nil
	}
	return ss.stream.client.failed(opSession, ss.stream.name, err)
}

// exchange sends the request and reads the answer to its end; the error is nil
// if that was a clean one. tidy must be called afterwards. It may take as long
// as pings need to find a dead path, for which Ended should not have to wait.
func (ss *Session) exchange(ctx context.Context) (tidy func(), err error) {
	s := ss.stream
	nothing := func() {}
	req, used, err := s.client.request(ctx, http.MethodPost, s.records, ss.body)
	if err != nil {
		return nothing, err
	}
	req.ContentLength = -1
	req.Header.Set("content-type", "s2s/proto")
	c, err := s.reserve(ctx)
	if err != nil {
		return nothing, err
	}
	resp, err := c.RoundTrip(req)
	if err != nil {
		return func() { s.path.release(c) }, err
	}
	// Nobody in net/http watches ctx while it waits to be allowed to send more;
	// closing the answer wakes it, and our reading.
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		resp.Body.Close()
	})
	tidy = func() {
		if stop() {
			resp.Body.Close()
		} else {
			<-closed
		}
		s.path.release(c)
	}
	if resp.ProtoMajor != 2 {
		return tidy, errHTTP1
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		return tidy, s.client.answered(opSession, s.name, resp.StatusCode, resp.Header, text, used)
	}
	return tidy, ss.listen(resp.Body, used)
}

// listen reads frames until there are no more. The error is nil if the answer
// ended between two of them and without a terminal one.
func (ss *Session) listen(answer io.Reader, used string) error {
	frames := s2s.NewReader(answer)
	advised := false
	for {
		f, err := frames.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if f.Terminal {
			return ss.stream.client.answered(opSession, ss.stream.name, f.Status, nil, f.Body, used)
		}
		if f.Advised && !advised && ss.on.Advised != nil {
			advised = true
			ss.on.Advised()
		}
		ack, err := s2s.ParseAppendAck(f.Body)
		if err != nil {
			return err
		}
		if !ss.body.ack() {
			return fmt.Errorf("%w: sequence numbers %d to %d", errEarlyAck, ack.Start.SeqNum, ack.End.SeqNum)
		}
		ss.on.Acked(ack.Start.SeqNum, ack.End.SeqNum)
	}
}

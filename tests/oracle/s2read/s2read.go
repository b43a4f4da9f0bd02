// Package s2read reads S2 streams for the oracle through S2's own Go SDK, an implementation that shares no code with the
// bridge's sink.
//
//	Reader --Stream(name)--> CheckTail --> ReadSession ... until the tail --> oracle.Stored, one by one
//	                                          ^      |
//	                                          +------+ ended early: a plain EOF looks like "done" in this SDK
//
// It is a package of its own so that the oracle itself does not pull the SDK in.
package s2read

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/s2-streamstore/s2-sdk-go/s2"

	"kafka-s2-bridge/tests/oracle"
)

// Reader reads the streams of a basin.
type Reader struct {
	basin *s2.BasinClient
}

// New is a reader of a basin on a server that answers account and basin calls at one URL (no path), as s2-lite does. An
// empty token is replaced: s2-lite looks at none, and the SDK panics without one.
func New(url, basin, token string) *Reader {
	if token == "" {
		token = "none"
	}
	client := s2.New(token, &s2.ClientOptions{
		BaseURL:          url + "/v1",
		MakeBasinBaseURL: func(string) string { return url + "/v1" },
		RequestTimeout:   30 * time.Second,
	})
	return &Reader{basin: client.Basin(basin)}
}

// Tail is the sequence number behind a stream's last record.
func (r *Reader) Tail(ctx context.Context, stream string) (uint64, error) {
	tail, err := r.basin.Stream(s2.StreamName(stream)).CheckTail(ctx)
	if err != nil {
		return 0, fmt.Errorf("tail of stream %s: %w", stream, err)
	}
	return tail.Tail.SeqNum, nil
}

// Stream is every record from the first surviving one to the tail of the moment. A missing stream is empty. It yields an
// error, once and last, when reading fails, when it stops making progress, or when somebody still writes.
func (r *Reader) Stream(ctx context.Context, stream string) iter.Seq2[oracle.Stored, error] {
	return func(yield func(oracle.Stored, error) bool) {
		tail, err := r.Tail(ctx, stream)
		var missing *s2.S2Error
		if errors.As(err, &missing) && missing.Status == 404 {
			return
		}
		next, idle := uint64(0), 0
		for err == nil && next < tail {
			before := next
			var more bool
			if next, more, err = r.session(ctx, stream, next, tail, yield); !more {
				return
			}
			if idle++; next > before {
				idle = 0
			}
			if err == nil && idle == 3 {
				err = fmt.Errorf("stream %s: three read sessions ended at %d without a record; the tail is %d", stream, next, tail)
			}
		}
		if err == nil {
			var now uint64
			if now, err = r.Tail(ctx, stream); err == nil && now != tail {
				err = fmt.Errorf("stream %s: the tail moved from %d to %d while it was read", stream, tail, now)
			}
		}
		if err != nil {
			yield(oracle.Stored{}, err)
		}
	}
}

// session yields the records of one read session; more is false when the consumer has enough.
func (r *Reader) session(ctx context.Context, stream string, from, tail uint64, yield func(oracle.Stored, error) bool) (next uint64, more bool, err error) {
	count := tail - from
	session, err := r.basin.Stream(s2.StreamName(stream)).ReadSession(ctx, &s2.ReadOptions{SeqNum: &from, Count: &count})
	if err != nil {
		return from, true, fmt.Errorf("read stream %s from %d: %w", stream, from, err)
	}
	defer func() { _ = session.Close() }()
	next = from
	for next < tail && session.Next() {
		rec := session.Record()
		if rec.SeqNum >= tail {
			return next, true, fmt.Errorf("stream %s: record %d at or behind the tail %d", stream, rec.SeqNum, tail)
		}
		headers := make([]oracle.StoredHeader, len(rec.Headers))
		for i, h := range rec.Headers {
			headers[i] = oracle.StoredHeader{Name: h.Name, Value: h.Value}
		}
		if !yield(oracle.Stored{Seq: rec.SeqNum, Timestamp: rec.Timestamp, Headers: headers, Body: rec.Body}, nil) {
			return next, false, nil
		}
		next = rec.SeqNum + 1
	}
	if err := session.Err(); err != nil && ctx.Err() == nil {
		return next, true, fmt.Errorf("read stream %s at %d: %w", stream, next, err)
	}
	if ctx.Err() != nil {
		return next, true, context.Cause(ctx)
	}
	return next, true, nil
}

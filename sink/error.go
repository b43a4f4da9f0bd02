package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Codes of S2's errors that a caller may act on.
const (
	codeStreamNotFound = "stream_not_found"
	codeBasinNotFound  = "basin_not_found"
	codeExists         = "resource_already_exists"
	codeDeleting       = "stream_deletion_pending"
	codeConflict       = "transaction_conflict"
	codeQuota          = "quota_exhausted"
)

// maxErrorText bounds what is quoted of an answer, in bytes.
const maxErrorText = 512

// ErrAborted is the cause that a session gives after Abort.
var ErrAborted = errors.New("append session was aborted")

// Error is every failure of a request or session. Whether the request had an
// effect is unknown, except where a method says that S2 refused it. What came
// from the other side is quoted on one line, cut, and without access tokens.
type Error struct {
	// Op is tail, question, fence, read, create, list or session.
	Op string
	// Stream is the stream's name; empty for list.
	Stream string
	// Status is the HTTP status, of the answer or of a terminal frame; 0 if
	// there was no answer.
	Status int
	// Code and Message are S2's; empty if the answer was not S2's.
	Code, Message string

	token      *string // of a 412
	seq        *uint64 // of a 412
	denied     bool
	retryAfter time.Duration
	cause      error
	text       string // of the cause or the 412, fit to be logged
}

// Error says what was asked and what came back.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("S2 " + e.Op)
	if e.Stream != "" {
		fmt.Fprintf(&b, " of stream %q", e.Stream)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": answered %d", e.Status)
	}
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.text != "" {
		b.WriteString(": " + e.text)
	}
	return b.String()
}

// Unwrap returns what went wrong on our side of the answer, or nil.
func (e *Error) Unwrap() error { return e.cause }

// NotFound says that the stream does not exist. A missing basin is not meant.
func (e *Error) NotFound() bool {
	return e.Status == http.StatusNotFound && e.Code == codeStreamNotFound
}

// Beyond says that a place in the stream was asked for that lies behind its tail.
func (e *Error) Beyond() bool { return e.Status == http.StatusRequestedRangeNotSatisfiable }

// Fenced says that S2 refused the append because the stream's fencing token is
// another one, and which.
func (e *Error) Fenced() (token string, ok bool) {
	if e.token == nil {
		return "", false
	}
	return *e.token, true
}

// SeqMismatch says that S2 refused the append because its first record would
// have got another sequence number, and which.
func (e *Error) SeqMismatch() (seq uint64, ok bool) {
	if e.seq == nil {
		return 0, false
	}
	return *e.seq, true
}

// Denied says that S2 refused the access token, and that a next request would
// carry the same one. It is false when the token's file has a new one by now.
func (e *Error) Denied() bool { return e.denied }

// Temporary is a hint that the same request may succeed later by itself.
func (e *Error) Temporary() bool {
	switch {
	case e.denied, e.token != nil, e.seq != nil:
		return false
	case errors.Is(e.cause, errNotSent), errors.Is(e.cause, errBadBatch), errors.Is(e.cause, ErrClosed):
		return false
	case e.Status == 0:
		return true
	case e.Status == http.StatusNotImplemented:
		return false
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return true // not denied: there is a new token
	case e.Status == http.StatusConflict:
		return e.Code == codeConflict || e.Code == codeDeleting
	default:
		return e.Status >= 500 || e.Status == http.StatusRequestTimeout || e.Status == http.StatusTooManyRequests
	}
}

// RetryAfter is how long S2 asked to wait, or 0.
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

// outcome is the metrics label of the result of a request.
func outcome(err error) string {
	var e *Error
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrAborted), errors.Is(err, ErrClosed), errors.Is(err, context.Canceled):
		return "closed"
	case !errors.As(err, &e), e.Status < 300:
		return "no_answer"
	case e.Status == http.StatusPreconditionFailed:
		return "condition"
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return "denied"
	case e.Status == http.StatusNotFound:
		return "not_found"
	case e.Status == http.StatusTooManyRequests:
		return "throttled"
	case e.Status < 500:
		return "rejected"
	default:
		return "server_error"
	}
}

// failed makes the Error of a request without a usable answer.
func (c *Client) failed(op, stream string, cause error) *Error {
	return &Error{Op: op, Stream: stream, cause: cause, text: c.quote(cause.Error())}
}

// answered makes the Error of an answer that is not what was asked for. used
// is the access token that the request carried; header may be nil.
func (c *Client) answered(op, stream string, status int, header http.Header, body []byte, used string) *Error {
	e := &Error{Op: op, Stream: stream, Status: status}
	if status == 0 {
		e.cause = errors.New("terminal frame with status 0")
		e.text = e.cause.Error()
		return e
	}
	if status == http.StatusPreconditionFailed {
		e.token, e.seq = parseCondition(body)
		if e.token != nil {
			e.text = c.quote(fmt.Sprintf("the stream's fencing token is %q", *e.token))
			return e
		}
		if e.seq != nil {
			e.text = fmt.Sprintf("the stream's next sequence number is %d", *e.seq)
			return e
		}
	}
	var said struct{ Code, Message string }
	if json.Unmarshal(body, &said) == nil {
		e.Code, e.Message = c.quote(said.Code), c.quote(said.Message)
	}
	if e.Code == "" && e.Message == "" {
		e.Message = c.quote(string(body))
	}
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		e.denied = e.Code != codeQuota && !c.credentials.refused(used)
	}
	if ms, err := strconv.ParseUint(header.Get("retry-after-ms"), 10, 31); err == nil {
		e.retryAfter = time.Duration(ms) * time.Millisecond
	} else if s, err := strconv.ParseUint(header.Get("retry-after"), 10, 21); err == nil {
		e.retryAfter = time.Duration(s) * time.Second
	}
	return e
}

// parseCondition reads the body of a 412, which names either the token or the
// sequence number. Anything else gives neither: a 412 for an unknown reason.
func parseCondition(body []byte) (token *string, seq *uint64) {
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // or a sequence number becomes a float64, inexact above 2^53
	if d.Decode(&fields) != nil || len(fields) != 1 {
		return nil, nil
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, nil
	}
	if s, ok := fields["fencing_token_mismatch"].(string); ok {
		return &s, nil
	}
	if n, ok := fields["seq_num_mismatch"].(json.Number); ok {
		if v, err := strconv.ParseUint(n.String(), 10, 64); err == nil {
			return nil, &v
		}
	}
	return nil, nil
}

// quote makes foreign text fit for one log line: no token, no line breaks, no
// broken UTF-8, not endless.
func (c *Client) quote(text string) string {
	text = c.credentials.redact(text)
	cut := len(text) > maxErrorText
	if cut {
		text = text[:maxErrorText]
		for i := 0; i < utf8.UTFMax && len(text) > 0; i++ {
			if r, _ := utf8.DecodeLastRuneInString(text); r != utf8.RuneError {
				break
			}
			text = text[:len(text)-1]
		}
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	text = strings.TrimSpace(text)
	if cut {
		text += "..."
	}
	return text
}

package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// class is what whoever asked may conclude from an error; one of these and no
// other. Everything that is not known for sure is unknown.
func class(err error) []string {
	var all []string
	var e interface {
		NotFound() bool
		Fenced() (string, bool)
		SeqMismatch() (uint64, bool)
		Denied() bool
	}
	if !errors.As(err, &e) {
		return []string{"unknown"}
	}
	if e.NotFound() {
		all = append(all, "not found")
	}
	if _, ok := e.Fenced(); ok {
		all = append(all, "fenced")
	}
	if _, ok := e.SeqMismatch(); ok {
		all = append(all, "another number")
	}
	if e.Denied() {
		all = append(all, "denied")
	}
	if len(all) == 0 {
		all = append(all, "unknown")
	}
	return all
}

// What Go says when there is no answer.
var causes = []error{
	context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, os.ErrDeadlineExceeded, net.ErrClosed,
	ErrClosed, ErrAborted, errNotSent, errBadBatch, errHTTP1, errEarlyAck,
	&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true},
	syscall.ECONNRESET, http.ErrServerClosed, errors.New("http2: client connection lost"),
}

var outcomes = []string{"ok", "closed", "no_answer", "condition", "denied", "not_found", "throttled", "rejected", "server_error"}

// FuzzErrorClass: whatever comes back (a status with a code or with bytes of
// any kind, a 412 of either kind with any number, or no answer but one of Go's
// errors, bare or wrapped), it is of exactly one class, the same one however
// often it is wrapped, and of a class that changes what the owner does only
// where S2 said just that. An error of Go's own is never more than unknown.
func FuzzErrorClass(f *testing.F) {
	f.Add(uint8(0), 412, "", `{"seq_num_mismatch":18446744073709551615}`, uint64(1<<53+1), uint8(1))
	f.Add(uint8(1), 412, "", "", uint64(1<<63+1), uint8(0))
	f.Add(uint8(2), 412, "kb1.abcdefgh.1.0123456789", "", uint64(0), uint8(2))
	f.Add(uint8(3), 404, "stream_not_found", "no such stream", uint64(0), uint8(0))
	f.Add(uint8(3), 404, "basin_not_found", "", uint64(0), uint8(3))
	f.Add(uint8(3), 401, "authn", "", uint64(0), uint8(0))
	f.Add(uint8(3), 503, "stream_not_found", "", uint64(0), uint8(0))
	f.Add(uint8(4), 7, "", "", uint64(0), uint8(1))
	f.Add(uint8(4), 3, "", "", uint64(0), uint8(0))
	f.Fuzz(func(t *testing.T, kind uint8, status int, code, text string, number uint64, wraps uint8) {
		c := judge("planted-token")
		var e *Error
		want := ""
		switch kind % 5 {
		case 0: // any bytes
			e = c.answered(opFence, "orders/0", status, nil, []byte(text), "")
		case 1: // the number, exactly
			e = c.answered(opFence, "orders/0", 412, nil, fmt.Appendf(nil, `{"seq_num_mismatch":%d}`, number), "")
			if seq, ok := e.SeqMismatch(); !ok || seq != number || !strings.Contains(e.Error(), strconv.FormatUint(number, 10)) {
				t.Fatalf("the number %d was read as %d, %t: %v", number, seq, ok, e)
			}
			want = "another number"
		case 2: // the token, exactly
			if !strings.ContainsFunc(code, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r > '~' }) {
				e = c.answered(opFence, "orders/0", 412, nil, []byte(`{"fencing_token_mismatch":"`+code+`"}`), "")
				if token, ok := e.Fenced(); !ok || token != code {
					t.Fatalf("the token %q was read as %q, %t", code, token, ok)
				}
				want = "fenced"
				break
			}
			fallthrough
		case 3: // S2's words
			body := fmt.Appendf(nil, `{"code":%s,"message":%s}`, strconv.QuoteToASCII(code), strconv.QuoteToASCII(text))
			e = c.answered(opFence, "orders/0", status, http.Header{"Retry-After": {text}}, body, "planted-token")
		case 4: // no answer
			e = c.failed(opFence, "orders/0", wrap(causes[uint(status)%uint(len(causes))], wraps>>4))
			want = "unknown"
		}
		got := class(e)
		if len(got) != 1 || want != "" && got[0] != want {
			t.Fatalf("%v is of the classes %v, want %q", e, got, want)
		}
		wrapped := wrap(e, wraps&15)
		if again := class(wrapped); !slices.Equal(again, got) {
			t.Fatalf("%v is %v, wrapped %v", e, got, again)
		}
		allowed := map[string][]int{"not found": {404}, "fenced": {412}, "another number": {412}, "denied": {401, 403}}[got[0]]
		if allowed != nil && !slices.Contains(allowed, e.Status) {
			t.Fatalf("status %d is %v", e.Status, got)
		}
		if got[0] != "unknown" && got[0] != "not found" && e.Temporary() {
			t.Fatalf("%v will not pass by itself", e)
		}
		if label := outcome(wrapped); !slices.Contains(outcomes, label) || label == "ok" || (label == "condition") != (e.Status == 412) {
			t.Fatalf("%v counts as %q", e, label)
		}
		if e.RetryAfter() < 0 || strings.ContainsAny(e.Error(), "\n\r\x00") || strings.Contains(e.Error(), "planted-token") {
			t.Fatalf("waits %v, says %q", e.RetryAfter(), e.Error())
		}
	})
}

// wrap says more about an error, so many times.
func wrap(err error, times uint8) error {
	for range times % 4 {
		err = fmt.Errorf("ask the stream for its tail and token: %w", err)
	}
	return err
}

package sink

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"kafka-s2-bridge/tests/s2mem"
)

func TestAskCreateFenceRead(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client) {
		ctx := deadline(t)
		for _, name := range []string{"orders/0", "ä%2F?#&= b/../c", strings.Repeat("n", 512)} {
			s := c.Stream(name, StreamSettings{})
			wantAsk := func(tail uint64, token string, exists bool) {
				t.Helper()
				gotTail, gotToken, gotExists, err := s.Ask(ctx)
				if err != nil || gotTail != tail || gotToken != token || gotExists != exists {
					t.Errorf("%.20s: asked: %d %q %v %v; want %d %q %v", name, gotTail, gotToken, gotExists, err, tail, token, exists)
				}
			}
			wantAsk(0, "", false)
			wantAsk(0, "", false) // asking creates nothing
			for range 2 {
				if err := s.Create(ctx); err != nil {
					t.Fatal(err)
				}
			}
			wantAsk(0, "", true)
			if page, err := s.Read(ctx, 0, 10); err != nil || len(page) != 0 {
				t.Errorf("an empty stream gives %v, %v", page, err)
			}
			// Conditions: first the token seen, and with none also an empty stream.
			_, err := s.Fence(ctx, "first", "other", 0)
			if token, ok := asError(t, err).Fenced(); !ok || token != "" {
				t.Errorf("fenced on a wrong condition: %v", err)
			}
			if seq, err := s.Fence(ctx, "first", "", 0); err != nil || seq != 0 {
				t.Errorf("first fence: %d, %v", seq, err)
			}
			wantAsk(1, "first", true)
			_, err = s.Fence(ctx, "second", "", 0)
			if token, ok := asError(t, err).Fenced(); !ok || token != "first" {
				t.Errorf("fenced on a wrong condition: %v", err)
			}
			if seq, err := s.Fence(ctx, "second", "first", 0); err != nil || seq != 1 {
				t.Errorf("second fence: %d, %v", seq, err)
			}
			wantAsk(2, "second", true)

			page, err := s.Read(ctx, 0, 10)
			if err != nil || len(page) != 2 {
				t.Fatalf("%d records, %v", len(page), err)
			}
			for i, token := range []string{"first", "second"} {
				r := page[i]
				if r.Seq != uint64(i) || r.Timestamp != 0 || string(r.Body) != token || len(r.Headers) != 1 ||
					len(r.Headers[0].Name) != 0 || string(r.Headers[0].Value) != "fence" {
					t.Errorf("record %d is %+v", i, r)
				}
			}
			if page, err := s.Read(ctx, 1, 1); err != nil || len(page) != 1 || page[0].Seq != 1 {
				t.Errorf("page of one: %v, %v", page, err)
			}
			for _, from := range []uint64{2, 3, 1 << 60} { // at and behind the tail
				if page, err := s.Read(ctx, from, 10); err != nil || len(page) != 0 {
					t.Errorf("from %d: %v, %v", from, page, err)
				}
			}
		}
	})
}

// A fence with an empty condition is refused on a stream that has records but
// no token: somebody else's.
func TestFenceOfUsedStreamWithoutToken(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client) {
		ctx := deadline(t)
		s := c.Stream("orders/0", StreamSettings{})
		if err := s.Create(ctx); err != nil {
			t.Fatal(err)
		}
		ss, r := open(ctx, s)
		ss.Send(batch(t, 0, 3, 10), 0, "")
		ss.Finish()
		if err := r.awaitEnd(t, ctx); err != nil {
			t.Fatal(err)
		}
		_, err := s.Fence(ctx, "mine", "", 0)
		if seq, ok := asError(t, err).SeqMismatch(); !ok || seq != 3 {
			t.Errorf("got %v", err)
		}
		if tail, token, _, err := s.Ask(ctx); tail != 3 || token != "" || err != nil {
			t.Errorf("afterwards: %d %q %v", tail, token, err)
		}
	})
}

// Pages: 1,000 records or 1 MiB, whatever is asked for.
func TestReadPages(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client) {
		ctx := deadline(t)
		s, next := fenced(t, c, "orders/0")
		ss, r := open(ctx, s)
		for i := range 5 {
			ss.Send(batch(t, i*700, 700, 1000), next+uint64(i*700), "t")
		}
		ss.Finish()
		if err := r.awaitEnd(t, ctx); err != nil {
			t.Fatal(err)
		}
		for from, seen := uint64(0), 0; ; {
			page, err := s.Read(ctx, from, 5000)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				if seen != 3501 {
					t.Errorf("%d records were read", seen)
				}
				break
			}
			if len(page) > 1000 || page[0].Seq != from {
				t.Fatalf("a page of %d from %d on, asked for %d", len(page), page[0].Seq, from)
			}
			seen += len(page)
			from = page[len(page)-1].Seq + 1
		}
		if page, err := s.Read(ctx, 0, -1); err != nil || len(page) != 1 {
			t.Errorf("asked for -1: %d records, %v", len(page), err)
		}
	})
}

func TestReadOfTrimmedStream(t *testing.T) {
	srv, c := mem(t, s2mem.Options{})
	ctx := deadline(t)
	s, next := fenced(t, c, "orders/0")
	ss, r := open(ctx, s)
	ss.Send(batch(t, 0, 9, 10), next, "t")
	ss.Finish()
	r.awaitEnd(t, ctx)
	srv.Trim("orders/0", 4)
	if page, err := s.Read(ctx, 0, 3); err != nil || len(page) != 3 || page[0].Seq != 4 {
		t.Errorf("%v, %v", page, err)
	}
	srv.Trim("orders/0", 10)
	if page, err := s.Read(ctx, 0, 3); err != nil || len(page) != 0 {
		t.Errorf("%v, %v", page, err)
	}
	if tail, token, _, err := s.Ask(ctx); tail != 10 || token != "t" || err != nil {
		t.Errorf("%d %q %v", tail, token, err)
	}
}

func TestCreateSendsAllSettings(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client) {
		ctx := deadline(t)
		for name, given := range map[string]struct {
			settings StreamSettings
			class    string
			policy   string
		}{
			"default": {StreamSettings{}, "express", `{"infinite":{}}`},
			"other":   {StreamSettings{Retention: 36 * time.Hour, StorageClass: "standard"}, "standard", `{"age":129600}`},
			"short":   {StreamSettings{Retention: time.Millisecond}, "express", `{"age":1}`},
			"parts":   {StreamSettings{Retention: 7*time.Second + 1}, "express", `{"age":8}`},
		} {
			s := c.Stream(name, given.settings)
			if err := s.Create(ctx); err != nil {
				t.Fatal(err)
			}
			// What exists stays as it is.
			if err := c.Stream(name, StreamSettings{Retention: time.Hour}).Create(ctx); err != nil {
				t.Fatal(err)
			}
			_, answer, err := c.do(ctx, call{op: "config", stream: s, method: http.MethodGet, url: c.url("streams", name)})
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(answer, &got); err != nil {
				t.Fatal(err)
			}
			var policy any
			json.Unmarshal([]byte(given.policy), &policy)
			want := map[string]any{
				"storage_class": given.class, "retention_policy": policy,
				"timestamping":    map[string]any{"mode": "client-prefer", "uncapped": false},
				"delete_on_empty": map[string]any{"min_age_secs": 0.0},
			}
			for k, v := range want {
				if !reflect.DeepEqual(got[k], v) {
					t.Errorf("%s: %s is %v, want %v", name, k, got[k], v)
				}
			}
		}
	})
}

func TestCreateRefusesBadSettings(t *testing.T) {
	_, c := mem(t, s2mem.Options{})
	for _, s := range []StreamSettings{{Retention: -1}, {StorageClass: "gold"}} {
		if err := c.Stream("x", s).Create(deadline(t)); err == nil || asError(t, err).Status != 0 || asError(t, err).Temporary() {
			t.Errorf("%v: %v", s, err)
		}
	}
}

func TestCreateConflicts(t *testing.T) {
	srv, c := mem(t, s2mem.Options{})
	ctx := deadline(t)
	for code, ok := range map[string]bool{"resource_already_exists": true, "stream_deletion_pending": false, "transaction_conflict": false} {
		srv.Fault(s2mem.Fault{Op: s2mem.OpCreate, Do: s2mem.Refuse, Status: 409, Code: code})
		err := c.Stream("x", StreamSettings{}).Create(ctx)
		if ok != (err == nil) {
			t.Errorf("%s: %v", code, err)
		}
		if err != nil && !asError(t, err).Temporary() {
			t.Errorf("%s is not temporary", code)
		}
	}
}

// Answers that cannot be right are errors, never positions.
func TestUnaryAnswersThatMakeNoSense(t *testing.T) {
	srv, c := mem(t, s2mem.Options{})
	ctx := deadline(t)
	s, _ := fenced(t, c, "orders/0")

	srv.Fault(s2mem.Fault{Op: s2mem.OpAppend, Do: s2mem.WrongAck, ShiftEnd: 1})
	if _, err := s.Fence(ctx, "u", "t", 0); !errors.Is(err, errAnswer) {
		t.Errorf("fence of two records: %v", err)
	}
	srv.Fault(s2mem.Fault{Op: s2mem.OpAppend, Stream: "fresh", Do: s2mem.WrongAck, ShiftStart: 5, ShiftEnd: 5})
	if _, err := c.Stream("empty", StreamSettings{}).Fence(ctx, "u", "", 0); err == nil {
		t.Error("fence of a missing stream")
	}
	fresh := c.Stream("fresh", StreamSettings{})
	if err := fresh.Create(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.Fence(ctx, "u", "", 0); !errors.Is(err, errAnswer) {
		t.Errorf("first fence at 5: %v", err)
	}
	for _, op := range []s2mem.Op{s2mem.OpTail, s2mem.OpAsk} { // an empty 200
		srv.Fault(s2mem.Fault{Op: op, Do: s2mem.EOF})
		if _, _, _, err := s.Ask(ctx); err == nil || asError(t, err).Status != 0 {
			t.Errorf("%s answered with nothing: %v", op, err)
		}
	}
	srv.Fault(s2mem.Fault{Op: s2mem.OpAsk, Do: s2mem.Refuse, Status: 412, Body: `{"seq_num_mismatch":2}`})
	if _, token, _, err := s.Ask(ctx); err != nil || token != questionToken {
		t.Errorf("the token of the question is %q, %v", token, err)
	}
	srv.Fault(s2mem.Fault{Op: s2mem.OpAsk, Do: s2mem.Refuse, Code: "stream_not_found"})
	if tail, token, exists, err := s.Ask(ctx); tail != 0 || token != "" || exists || err != nil {
		t.Errorf("deleted between the questions: %d %q %v %v", tail, token, exists, err)
	}
	for _, token := range []string{"", strings.Repeat("x", 37)} {
		if _, err := s.Fence(ctx, token, "t", 0); err == nil {
			t.Errorf("fenced with %q", token)
		}
	}
}

// The answers of a server that does not keep to S2's rules.
func TestReadAnswersThatMakeNoSense(t *testing.T) {
	var answer []byte
	c := newClient(t, Config{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write(answer) })})
	ctx := deadline(t)
	s := c.Stream("orders/0", StreamSettings{})
	record := func(seq byte) []byte { return []byte{0x0a, 0x02, 0x08, seq} }
	for name, bytes := range map[string][]byte{
		"before what was asked for": record(4),
		"twice":                     append(record(6), record(6)...),
		"backwards":                 append(record(7), record(6)...),
		"more than asked for":       append(append(record(6), record(7)...), record(8)...),
		"rubbish":                   []byte("<html>"),
		"too long":                  make([]byte, maxAnswerBody+1),
		"the last number":           append([]byte{0x0a, 0x0b, 0x08}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
	} {
		answer = bytes
		if page, err := s.Read(ctx, 5, 2); err == nil {
			t.Errorf("%s: %v", name, page)
		}
	}
	answer = append(record(6), record(9)...)
	if page, err := s.Read(ctx, 5, 2); err != nil || len(page) != 2 || page[1].Seq != 9 {
		t.Errorf("%v, %v", page, err)
	}
	if _, err := s.Read(ctx, math.MaxUint64, 1); err == nil {
		t.Error("read at the end of numbers")
	}
}

func TestCallersContext(t *testing.T) {
	_, c := mem(t, s2mem.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, _, err := c.Stream("x", StreamSettings{}).Ask(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

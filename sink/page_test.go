package sink

import (
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/sink/s2s"
	"kafka-s2-bridge/tests/s2mem"
)

// put appends a record with a timestamp, in milliseconds.
func put(t *testing.T, s *Stream, timestamp int64) {
	t.Helper()
	next, err := s.Tail(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	queue, err := mapping.Pack(nil, &mapping.Record{Offset: int64(next), Timestamp: timestamp}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.append(deadline(t), opFence, s2s.AppendTrailer(queue[0].Bytes(), next, "t")); err != nil {
		t.Fatal(err)
	}
}

func TestTailAndTimes(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client) {
		ctx := deadline(t)
		s, _ := fenced(t, c, "times/0")
		put(t, s, 1000)
		put(t, s, 3000)
		if tail, err := s.Tail(ctx); err != nil || tail != 3 {
			t.Errorf("tail %d, %v", tail, err)
		}
		for since, want := range map[uint64]int{0: 0, 1: 1, 1000: 1, 1001: 2, 3000: 2, 3001: -1, 1 << 62: -1} {
			page, err := s.ReadSince(ctx, since, 1)
			if err != nil || (want < 0) != (len(page) == 0) || want >= 0 && page[0].Seq != uint64(want) {
				t.Errorf("since %d: %v, %v; want sequence number %d", since, page, err, want)
			}
		}
		_, err := c.Stream("times/1", StreamSettings{}).Tail(ctx)
		if !asError(t, err).NotFound() {
			t.Errorf("tail of a missing stream: %v", err)
		}
	})
}

func TestAwait(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client) {
		ctx := deadline(t)
		s, next := fenced(t, c, "awaited")
		if page, err := s.Await(ctx, 0, 10); err != nil || len(page) != 1 {
			t.Errorf("what is there: %v, %v", page, err)
		}
		_, err := s.Await(ctx, next+1, 10)
		if e := asError(t, err); !e.Beyond() || e.Temporary() {
			t.Errorf("behind the tail: %v", err)
		}
		got := make(chan []mapping.Stored)
		go func() {
			for {
				if page, err := s.Await(ctx, next, 10); err != nil || len(page) > 0 {
					got <- page
					return
				}
			}
		}()
		put(t, s, 5)
		if page := <-got; len(page) != 1 || page[0].Seq != next {
			t.Errorf("what comes: %v", page)
		}
	})
}

// Nothing comes: half of the time in which S2 must answer is waited.
func TestAwaitEndsEmpty(t *testing.T) {
	srv := s2mem.Start(t, s2mem.Options{Basin: testBasin})
	c := newClient(t, Config{Endpoint: srv.URL(), RequestTimeout: 3 * time.Second})
	s, next := fenced(t, c, "quiet")
	if page, err := s.Await(deadline(t), next, 10); err != nil || len(page) != 0 {
		t.Errorf("%v, %v", page, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	asked := srv.Fault(s2mem.Fault{Op: s2mem.OpRead, Do: s2mem.Hold})
	go func() {
		_ = asked.Wait(ctx, 1)
		cancel()
	}()
	if _, err := s.Await(ctx, next, 10); err == nil {
		t.Error("a wait goes on after its context")
	}
}

func TestNames(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client) {
		ctx := deadline(t)
		for _, name := range []string{"a&b/1", "a&b/10", "a&b/2", "a", "b"} {
			if err := c.Stream(name, StreamSettings{}).Create(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for _, q := range []struct{ prefix, after, want string }{
			{"", "", "a a&b/1 a&b/10 a&b/2 b"}, {"a&b/", "", "a&b/1 a&b/10 a&b/2"}, {"a&b/", "a&b/1", "a&b/10 a&b/2"}, {"c", "", ""},
		} {
			names, next, err := c.Names(ctx, q.prefix, q.after)
			if got := strings.Join(names, " "); err != nil || got != q.want || next != "" {
				t.Errorf("%q after %q: %q %q, %v; want %q", q.prefix, q.after, got, next, err, q.want)
			}
		}
	})
}

// The list goes on behind streams that are being deleted, and never backwards.
func TestNamesOfOtherServers(t *testing.T) {
	for said, want := range map[string]string{
		`{"streams":[{"name":"a","deleted_at":"2026-01-01T00:00:00Z"}],"has_more":true}`: "[] a",
		`{"streams":[{"name":"a","deleted_at":null},{"name":"b"}],"has_more":true}`:      "[a b] b",
		`{"streams":[],"has_more":true}`:                                                 "[] ",
		`{"streams":[{"name":"b"},{"name":"a"}],"has_more":false}`:                       "error",
		`{"streams":[{"name":""}],"has_more":true}`:                                      "error",
		`nonsense`: "error",
	} {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(said)) }))
		var h2c http.Protocols
		h2c.SetUnencryptedHTTP2(true)
		srv.Config.Protocols = &h2c
		srv.Start()
		c := newClient(t, Config{Endpoint: srv.URL})
		names, next, err := c.Names(deadline(t), "", "")
		got := strings.TrimSpace("["+strings.Join(names, " ")+"] ") + " " + next
		if err != nil {
			got = "error"
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q (%v)", said, got, want, err)
		}
		c.Close()
		srv.Close()
	}
}

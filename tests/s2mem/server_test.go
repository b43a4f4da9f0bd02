package s2mem_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"kafka-s2-bridge/tests/s2mem"
)

func TestAccessTokens(t *testing.T) {
	srv := s2mem.Start(t, s2mem.Options{AccessTokens: []string{"good"}, DeniedTokens: []string{"poor"}})
	srv.Create("s")
	cl := dial(t, srv, "h2c")
	ask := func(header ...string) string {
		status, body, err := cl.do(limit(t), "GET", "/v1/streams/s/records/tail", "", header...)
		if err != nil {
			t.Fatal(err)
		}
		return strconv.Itoa(status) + " " + body
	}
	const unknown, denied = `401 {"code":"authn",`, `403 {"code":"permission_denied",`
	for _, c := range [][2]string{{"", unknown}, {"Bearer bad", unknown}, {"good", unknown}, {"Bearer poor", denied}, {"Bearer good", "200 "}} {
		if got := ask("Authorization", c[0]); !strings.HasPrefix(got, c[1]) {
			t.Errorf("%q: %s", c[0], got)
		}
	}
	x, err := cl.open(limit(t))
	if err != nil || x.resp.StatusCode != http.StatusUnauthorized {
		t.Error("session without a token:", err)
	}
	x.end()
	srv.SetAccessTokens([]string{"new"}, nil)
	if got := ask("Authorization", "Bearer good"); !strings.HasPrefix(got, unknown) {
		t.Error("after the rotation:", got)
	}
	srv.SetAccessTokens(nil, nil)
	if got := ask(); !strings.HasPrefix(got, "200 ") {
		t.Error("open:", got)
	}
}

func TestTLS(t *testing.T) {
	config, roots, err := s2mem.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	srv := s2mem.Start(t, s2mem.Options{TLS: config, CreateStreamOnAppend: true})
	if !strings.HasPrefix(srv.URL(), "https://127.0.0.1:") {
		t.Fatal(srv.URL())
	}
	for _, h2 := range []bool{true, false} {
		tr := &http.Transport{TLSClientConfig: roots.Clone(), Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP2(h2)
		tr.Protocols.SetHTTP1(!h2)
		t.Cleanup(tr.CloseIdleConnections)
		cl := &client{srv.URL(), &http.Client{Transport: tr}, tr}
		x := cl.session(t)
		if (x.resp.ProtoMajor == 2) != h2 {
			t.Fatal(x.resp.Proto)
		}
		x.w.Write(frame("a", -1, ""))
		x.w.Close()
		if got := x.all(); !strings.HasPrefix(got, "ack ") || !strings.HasSuffix(got, ", eof") {
			t.Fatal(got)
		}
		srv.Fault(s2mem.Fault{Op: s2mem.OpAppend, Do: s2mem.Cut})
		if _, _, err := cl.append(limit(t), "b"); err == nil {
			t.Fatal("the connection was not cut")
		}
	}
}

func TestInspection(t *testing.T) {
	srv := s2mem.Start(t, s2mem.Options{CreateStreamOnAppend: true})
	cl := dial(t, srv, "h2c")
	var seen []string
	srv.OnAppend(func(a s2mem.Append) {
		token := "-"
		if a.Token != nil {
			token = *a.Token
		}
		seen = append(seen, fmt.Sprintf("%s %d+%d %s %d.%d", a.Stream, a.First, len(a.Records), token, a.Session, a.Batch))
	})
	cl.must(t, "POST", "/v1/streams/s/records", `{"records":[{"body":"T1","headers":[["","fence"]]},{"body":"a"}],"match_seq_num":0}`)
	x := cl.session(t)
	x.w.Write(append(frame("b", 2, "T1"), frame("c", 3, "T1")...))
	if a, b := x.next(), x.next(); a != "ack 2-3" || b != "ack 3-4" {
		t.Fatal(a, b)
	}
	if s := srv.Sessions(); len(s) != 1 || s[0].Number != 1 || s[0].Stream != "s" || s[0].Batches != 2 || s[0].Applied != 2 {
		t.Errorf("sessions %+v", s)
	}
	srv.Locked(func() {
		if got := strings.Join(seen, ", "); got != "s 0+2 - 0.0, s 2+1 T1 1.1, s 3+1 T1 1.2" {
			t.Error("observed:", got)
		}
	})
	if tail, ok := srv.Tail("s"); !ok || tail.Seq != 4 || tail.Timestamp == 0 {
		t.Error("tail", tail, ok)
	}
	if _, ok := srv.Tail("none"); ok || srv.Records("none") != nil {
		t.Error("a stream that is not there")
	}
	if c, ok := srv.Config("s"); !ok || c.Retention != 7*24*time.Hour || c.StorageClass != "express" || c.TimestampMode != "client-prefer" {
		t.Errorf("config %+v", c)
	}
	if got := srv.Token("s"); got != "T1" {
		t.Error("token", got)
	}
	if r := srv.Records("s"); bodies(srv, "s") != "T1 a b c" || r[0].Command() != "fence" || r[1].Command() != "" || r[0].Metered() != 17 || r[3].Seq != 3 {
		t.Error("records", r)
	}
	srv.Trim("s", 2)
	if got := cl.must(t, "GET", "/v1/streams/s/records?seq_num=0", ""); bodies(srv, "s") != "b c" || !strings.HasPrefix(got, `{"records":[{"seq_num":2,`) {
		t.Error("after the trim:", got)
	}
	srv.SetToken("s", "T2")
	x.w.Write(frame("d", 4, "T1"))
	if got := x.all(); got != `end 412 {"fencing_token_mismatch":"T2"}, eof` {
		t.Error(got)
	}
	srv.Rewind("s", 3)
	if tail, _ := srv.Tail("s"); tail.Seq != 3 || bodies(srv, "s") != "b" {
		t.Error("after the rewind:", tail, bodies(srv, "s"))
	}
	cl.must(t, "POST", "/v1/streams/s/records", `{"records":[{"body":"e"}],"match_seq_num":3,"fencing_token":"T2"}`)
	if got := srv.Streams(); len(got) != 1 || got[0] != "s" {
		t.Error("streams", got)
	}
	if !srv.Delete("s") || srv.Delete("s") || len(srv.Streams()) != 0 {
		t.Error("delete")
	}
	if srv.Requests(s2mem.OpAppend) != 2 || srv.Requests(s2mem.OpOpen) != 1 || srv.Requests(s2mem.OpBatch) != 3 || srv.Requests(s2mem.OpAny) != 7 {
		t.Error("requests", srv.Requests(s2mem.OpAppend), srv.Requests(s2mem.OpOpen), srv.Requests(s2mem.OpBatch), srv.Requests(s2mem.OpAny))
	}
}

// Discard checks and acknowledges everything, and keeps what a writer needs to
// find its place again.
func TestDiscard(t *testing.T) {
	versions(t, s2mem.Options{Discard: true}, func(t *testing.T, srv *s2mem.Server, cl *client) {
		cl.must(t, "POST", "/v1/streams/s/records", `{"records":[{"body":"T1","headers":[["","fence"]]}]}`)
		x := cl.session(t)
		x.w.Write(append(frame("a", 1, "T1"), frame("b", 2, "T1")...))
		if a, b := x.next(), x.next(); a != "ack 1-2" || b != "ack 2-3" {
			t.Fatal(a, b)
		}
		if got := bodies(srv, "s"); got != "T1 b" {
			t.Fatal(got)
		}
		cl.must(t, "POST", "/v1/streams/s/records", `{"records":[{"body":"T2","headers":[["","fence"]]}]}`)
		x.w.Write(frame("c", 4, "T1"))
		if got := x.all(); got != `end 412 {"fencing_token_mismatch":"T2"}, eof` {
			t.Fatal(got)
		}
		cl.must(t, "POST", "/v1/streams/s/records", `{"records":[{"body":"x"},{"body":"y"}],"match_seq_num":4,"fencing_token":"T2"}`)
		if tail, _ := srv.Tail("s"); tail.Seq != 6 || bodies(srv, "s") != "T1 b T2 y" {
			t.Fatal(tail, bodies(srv, "s"))
		}
		if got := cl.must(t, "GET", "/v1/streams/s/records?tail_offset=2", ""); !strings.HasPrefix(got, `{"records":[{"seq_num":5,`) {
			t.Fatal(got)
		}
	})
}

// A frozen network is noticed by pings; what was on its way arrives later.
func TestFreeze(t *testing.T) {
	srv := s2mem.Start(t, s2mem.Options{})
	srv.Create("s")
	cl := dial(t, srv, "h2c")
	cl.tr.HTTP2 = &http.HTTP2Config{SendPingTimeout: 50 * time.Millisecond, PingTimeout: 50 * time.Millisecond}
	landed := make(chan string, 10)
	srv.OnAppend(func(a s2mem.Append) { landed <- string(a.Records[0].Body) })
	x := cl.session(t)
	x.send(0, "a")
	if got := x.next(); got != "ack 0-1" {
		t.Fatal(got)
	}
	srv.Freeze()
	x.send(1, "b")
	if got := x.next(); got != "error" {
		t.Fatal(got)
	}
	srv.Thaw()
	if a, b := <-landed, <-landed; a != "a" || b != "b" {
		t.Fatal(a, b)
	}
	other := dial(t, srv, "h2c")
	other.must(t, "GET", "/v1/streams/s/records/tail", "")
	if srv.Connections() == 0 {
		t.Fatal("no connection is counted")
	}
	srv.CutConnections()
	if srv.Connections() != 0 {
		t.Fatal("connections are left")
	}
}

// A draining server takes no new connection and lets sessions go on.
func TestDrain(t *testing.T) {
	srv := s2mem.Start(t, s2mem.Options{})
	srv.Create("s")
	cl := dial(t, srv, "h2c")
	x := cl.session(t)
	x.send(0, "a")
	if got := x.next(); got != "ack 0-1" {
		t.Fatal(got)
	}
	srv.Drain()
	for { // until the listener is closed
		c, err := net.Dial("tcp", strings.TrimPrefix(srv.URL(), "http://"))
		if err != nil {
			break
		}
		c.Close()
	}
	x.send(1, "b")
	x.w.Close()
	if got := x.all(); got != "ack 1-2, eof" {
		t.Fatal(got)
	}
}

// bubble runs a test in a synctest bubble, over a virtual network.
func bubble(t *testing.T, o s2mem.Options, test func(*testing.T, *s2mem.Server, *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var vn kfake.VirtualNetwork
		l, err := vn.Listen("tcp", "localhost:4443")
		if err != nil {
			t.Fatal(err)
		}
		srv := s2mem.New(o)
		defer srv.Close()
		srv.Create("s")
		srv.Start(l)
		tr := &http.Transport{Protocols: new(http.Protocols), DialContext: vn.DialContext}
		tr.Protocols.SetUnencryptedHTTP2(true)
		defer tr.CloseIdleConnections()
		test(t, srv, &client{srv.URL(), &http.Client{Transport: tr}, tr})
	})
}

// In a bubble the flush delay is exact: what is accepted while a batch waits
// becomes durable with it.
func TestFlushDelay(t *testing.T) {
	bubble(t, s2mem.Options{FlushDelay: 50 * time.Millisecond}, func(t *testing.T, srv *s2mem.Server, cl *client) {
		begin := time.Now()
		x, err := cl.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer x.end()
		x.send(0, "a")
		time.Sleep(30 * time.Millisecond) //nolint:forbidigo // the bubble's time, which costs none
		x.send(1, "b")
		if got := x.next(); got != "ack 0-1" || time.Since(begin) != 50*time.Millisecond {
			t.Fatal(got, time.Since(begin))
		}
		if got := x.next(); got != "ack 1-2" || time.Since(begin) != 50*time.Millisecond {
			t.Fatal(got, time.Since(begin))
		}
		srv.Fault(s2mem.Fault{Op: s2mem.OpBatch, Do: s2mem.SlowFlush, Delay: time.Second})
		x.send(2, "slow", "behind")
		x.w.Close()
		if got := x.all(); got != "ack 2-3, ack 3-4, eof" || time.Since(begin) != 1100*time.Millisecond {
			t.Fatal(got, time.Since(begin))
		}
	})
}

// A cancelled session is not over: what was accepted becomes durable.
func TestCancelledSessionLands(t *testing.T) {
	bubble(t, s2mem.Options{FlushDelay: 50 * time.Millisecond}, func(t *testing.T, srv *s2mem.Server, cl *client) {
		x, err := cl.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		x.send(0, "a", "b")
		synctest.Wait()
		x.end()
		synctest.Wait()
		if tail, _ := srv.Tail("s"); tail.Seq != 0 {
			t.Fatal("durable at once:", tail)
		}
		status, answer, err := cl.do(t.Context(), "POST", "/v1/streams/s/records", `{"records":[{}],"match_seq_num":0}`)
		if err != nil || status != 412 || answer != `{"seq_num_mismatch":2}` {
			t.Fatal(status, answer, err)
		}
		if tail, _ := srv.Tail("s"); tail.Seq != 2 {
			t.Fatal("not durable when it is refused because of it:", tail)
		}
	})
}

// With a deletion delay a deleted stream is pending for that time.
func TestDeletionDelay(t *testing.T) {
	bubble(t, s2mem.Options{DeletionDelay: time.Minute, CreateStreamOnAppend: true}, func(t *testing.T, srv *s2mem.Server, cl *client) {
		if status, _, err := cl.do(t.Context(), "DELETE", "/v1/streams/s", ""); err != nil || status != 202 {
			t.Fatal(status, err)
		}
		const pending = `409 {"code":"stream_deletion_pending","message":"stream deletion pending"}`
		for _, r := range [][3]string{
			{"POST", "/v1/streams/s/records", `{"records":[{}]}`}, {"GET", "/v1/streams/s/records/tail", ""}, {"GET", "/v1/streams/s", ""},
			{"POST", "/v1/streams", `{"stream":"s"}`}, {"PUT", "/v1/streams/s", "{}"},
		} {
			status, answer, err := cl.do(t.Context(), r[0], r[1], r[2])
			if got := strconv.Itoa(status) + " " + answer; err != nil || got != pending {
				t.Error(r, got, err)
			}
		}
		if status, _, _ := cl.do(t.Context(), "DELETE", "/v1/streams/s", ""); status != 202 {
			t.Error("deleted again:", status)
		}
		if _, got, _ := cl.do(t.Context(), "GET", "/v1/streams", ""); !strings.Contains(got, `"deleted_at":"`) {
			t.Error("list", got)
		}
		time.Sleep(time.Minute) //nolint:forbidigo // the bubble's time, which costs none
		if status, answer, err := cl.append(t.Context(), "a"); err != nil || status != 200 {
			t.Error("a minute later:", status, answer, err)
		}
	})
}

// A read session beats while nothing comes.
func TestHeartbeat(t *testing.T) {
	bubble(t, s2mem.Options{Heartbeat: 7 * time.Second}, func(t *testing.T, srv *s2mem.Server, cl *client) {
		begin := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", cl.url+"/v1/streams/s/records?seq_num=0", nil)
		req.Header.Set("s2-basin", s2mem.DefaultBasin)
		req.Header.Set("Content-Type", "s2s/proto")
		resp, err := cl.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for i := range 3 {
			b := make([]byte, 6)
			if n, err := resp.Body.Read(b); err != nil || n != 6 {
				t.Fatal(n, err)
			}
			if at := time.Since(begin); at != time.Duration(i)*7*time.Second {
				t.Fatal("beat", i, "at", at)
			}
		}
	})
}

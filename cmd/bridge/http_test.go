package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kafka-s2-bridge/handoff"
)

type readiness []string

func (r readiness) Ready() (bool, []string) { return len(r) == 0, r }

func (r readiness) Partitions() []partition { return nil }

func (r readiness) Resume(context.Context, string, int32, handoff.Answer) error {
	return errNotAssigned
}

// startEndpoint serves on a free port until the test ends.
func startEndpoint(t *testing.T, of Operated) *endpoint {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kafka_s2_bridge_test", Help: "A test."}, func() float64 { return 7 }))
	log := slog.New(slog.DiscardHandler)
	e, err := listenHTTP(t.Context(), "127.0.0.1:0", registry, of, log, newRedactor(planted))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return e
}

type answer struct {
	status int
	header http.Header
	text   string
}

func ask(t *testing.T, e *endpoint, method, path string, header http.Header) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+e.Addr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

func TestPages(t *testing.T) {
	e := startEndpoint(t, readiness{"orders/3 is held: " + planted})
	for _, c := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/", 200, "/metrics"},
		{"GET", "/healthz", 200, "ok\n"},
		{"HEAD", "/healthz", 200, ""},
		{"GET", "/metrics", 200, "kafka_s2_bridge_test 7"},
		{"GET", "/readyz", 503, "not ready\norders/3 is held: [redacted]\n"},
		{"GET", "/readyz?json", 503, `{"ready":false,"reasons":["orders/3 is held: [redacted]"]}`},
		{"GET", "/nope", 404, ""},
		{"GET", "/api/v1/partitions", 200, "[]\n"},
		{"GET", "/", 200, "/api/v1/partitions/TOPIC/NUMBER/resume"},
		{"POST", "/metrics", 405, ""},
		{"POST", "/api/v1/partitions", 405, ""},
		{"GET", "/api/v1/partitions/orders/3/resume", 405, ""},
		{"OPTIONS", "/api/v1/partitions/orders/3/resume", 405, ""}, // what a browser asks first is not granted
		{"GET", "/debug/pprof/", 404, ""},
		{"GET", "/debug/pprof/heap", 404, ""},
	} {
		got := ask(t, e, c.method, c.path, nil)
		if got.status != c.status || !strings.Contains(got.text, c.want) {
			t.Errorf("%s %s: %d, want %d; want %q in\n%s", c.method, c.path, got.status, c.status, c.want, got.text)
		}
		assertHidden(t, got.text)
	}
	if got := ask(t, e, "GET", "/metrics", nil); strings.Contains(got.text, "go_goroutines") {
		t.Error("/metrics serves a registry that is not the bridge's own")
	}
}

func TestReadyForMachines(t *testing.T) {
	e := startEndpoint(t, readiness(nil))
	got := ask(t, e, "GET", "/readyz", http.Header{"Accept": {"application/json"}})
	var body struct {
		Ready   bool
		Reasons []string
	}
	if err := json.Unmarshal([]byte(got.text), &body); err != nil || !body.Ready || body.Reasons == nil || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("%+v, %v", got, err)
	}
	if got := ask(t, e, "GET", "/readyz", nil); got.status != 200 || got.text != "ready\n" {
		t.Errorf("%+v", got)
	}
}

func TestHealthCommand(t *testing.T) {
	var out bytes.Buffer
	ready := startEndpoint(t, readiness(nil))
	for _, flag := range []string{"--http", "--address"} {
		out.Reset()
		if code := run(t.Context(), []string{"health", flag, ready.Addr()}, nil, &out, io.Discard); code != exitDone || out.String() != "ready\n" {
			t.Errorf("ready: code %d, %q", code, out.String())
		}
	}
	not := startEndpoint(t, readiness{"no broker answers"})
	got := bridge(t, "health", "--address", not.Addr())
	if got.code != exitFailed || !strings.Contains(got.err, "no broker answers") {
		t.Errorf("not ready: %+v", got)
	}
}

func TestPortInUse(t *testing.T) {
	e := startEndpoint(t, readiness(nil))
	_, err := listenHTTP(t.Context(), e.Addr(), prometheus.NewRegistry(), readiness(nil), slog.New(slog.DiscardHandler), redactor{})
	if err == nil || !strings.Contains(err.Error(), "http.listen") || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("%v", err)
	}
}

// A client that never ends its request must not hold up the end of the process.
func TestCloseCutsWhoHangs(t *testing.T) {
	entered := make(chan struct{})
	blocked := hanging{entered: entered, release: make(chan struct{})}
	e, err := listenHTTP(t.Context(), "127.0.0.1:0", prometheus.NewRegistry(), blocked, slog.New(slog.DiscardHandler), redactor{})
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+e.Addr()+"/readyz", nil)
		if err == nil {
			var resp *http.Response
			if resp, err = (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}
		asked <- err
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Close(ctx); err == nil {
		t.Error("an answer that was cut off must be told")
	}
	if err := <-asked; err == nil {
		t.Error("the client must have been cut off")
	}
	close(blocked.release)
}

type hanging struct {
	readiness
	entered, release chan struct{}
}

func (h hanging) Ready() (bool, []string) {
	close(h.entered)
	<-h.release
	return true, nil
}

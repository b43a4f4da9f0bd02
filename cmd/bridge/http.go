package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Readiness says whether the bridge does its work right now, and if not, why:
// each reason a plain sentence that says what to do. It must not block.
type Readiness interface {
	Ready() (ok bool, reasons []string)
}

// endpoint is the HTTP server for metrics, health and the operators' commands.
// Nothing can be changed through it but one thing: a hold can be answered, and
// that over loopback only. Profiles are not served, and it is on the loopback
// interface unless http.listen says otherwise.
type endpoint struct {
	server   *http.Server
	listener net.Listener
	done     chan error // what Serve returned
}

// listenHTTP serves on address until Close. The address is taken when it
// returns, so a port in use is an error here. metrics is the bridge's own
// registry; hide cleans what the reasons say.
func listenHTTP(ctx context.Context, address string, metrics prometheus.Gatherer, of Operated, log *slog.Logger, hide redactor) (*endpoint, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("http.listen cannot be had: take a free port of this machine (every bridge needs its own), or \"\" for none: %w", err)
	}
	e := &endpoint{
		listener: listener,
		done:     make(chan error, 1),
		server: &http.Server{
			Handler: pages(metrics, of, log, hide),
			// Clients are scrapers and probes: small requests, short answers.
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second, // 10,000 partitions of metrics over a slow link
			IdleTimeout:       2 * time.Minute,  // above the usual scrape intervals
			MaxHeaderBytes:    16 << 10,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
	}
	go func() { e.done <- e.server.Serve(listener) }()
	return e, nil
}

// Addr is the address that is listened on, with the real port if 0 was asked for.
func (e *endpoint) Addr() string { return e.listener.Addr().String() }

// Close stops listening, lets answers that are under way finish until ctx ends,
// cuts the rest and waits for the server's goroutine. Call it once.
func (e *endpoint) Close(ctx context.Context) error {
	err := e.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, e.server.Close())
	}
	if served := <-e.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("http endpoint: %w", err)
	}
	return nil
}

const indexPage = `kafka-s2-bridge

/metrics   metrics for Prometheus
/healthz   200 while the process runs
/readyz    200 if it does its work, 503 and the reasons if not; ?json for machines

/api/v1/partitions                           the partitions of this process, as JSON ("bridge partitions" for people)
/api/v1/partitions/TOPIC/NUMBER/resume       POST {"accept":"retry"}: an answer to a hold, over loopback only ("bridge resume")
`

func pages(metrics prometheus.Gatherer, of Operated, log *slog.Logger, hide redactor) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError, // one broken metric must not hide the others
		MaxRequestsInFlight: 4,
		EnableOpenMetrics:   true,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ok, reasons := of.Ready()
		clean := make([]string, 0, len(reasons)) // [] in JSON, never null
		for _, reason := range reasons {
			clean = append(clean, hide.text(reason))
		}
		sayReady(w, ok, clean, wantsJSON(r))
	})
	mux.HandleFunc("GET /api/v1/partitions", servePartitions(of, hide))
	mux.HandleFunc("POST /api/v1/partitions/{topic}/{partition}/resume", serveResume(of, log, hide))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, indexPage) })
	return mux
}

func sayReady(w http.ResponseWriter, ok bool, reasons []string, asJSON bool) {
	status := http.StatusOK
	if !ok {
		status = http.StatusServiceUnavailable
	}
	if asJSON {
		sayJSON(w, status, struct {
			Ready   bool     `json:"ready"`
			Reasons []string `json:"reasons"`
		}{ok, reasons})
		return
	}
	first := "ready"
	if !ok {
		first = "not ready"
	}
	say(w, status, strings.Join(append([]string{first}, reasons...), "\n")+"\n")
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client has gone: nobody to tell
}

func wantsJSON(r *http.Request) bool {
	return r.URL.Query().Has("json") || strings.Contains(r.Header.Get("Accept"), "application/json")
}

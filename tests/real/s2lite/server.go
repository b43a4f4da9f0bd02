package s2lite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"kafka-s2-bridge/tests/real/proc"
)

// Options of a server. All but Dir may be left zero.
type Options struct {
	Dir       string        // where the init file and the log go; it must exist
	LocalRoot string        // where the data goes, fsynced; made if missing; empty: in memory
	Basin     string        // made at start, without create_stream_on_append; default "bridge-test"
	Port      int           // 0: a free one
	Args      []string      // added to the command line
	Env       []string      // added to the environment
	Ready     time.Duration // how long a start may take; default 30 s
	Logf      func(format string, args ...any)
}

// Server is one s2-lite. Its methods are for one goroutine at a time.
type Server struct {
	opts  Options
	bin   string
	child *proc.Child
}

// Start starts a server and waits until it is healthy. ctx bounds the start only (and a build of s2); the
// server runs until Stop or Kill, or until this process ends (on Linux).
func Start(ctx context.Context, opts Options) (*Server, error) {
	if opts.Basin == "" {
		opts.Basin = "bridge-test"
	}
	if opts.Ready == 0 {
		opts.Ready = 30 * time.Second
	}
	if opts.Logf == nil {
		opts.Logf = func(string, ...any) {}
	}
	bin, err := Binary(ctx, opts.Logf)
	if err != nil {
		return nil, err
	}
	for _, dir := range []*string{&opts.Dir, &opts.LocalRoot} {
		if *dir == "" {
			continue
		}
		if *dir, err = filepath.Abs(*dir); err != nil {
			return nil, fmt.Errorf("s2-lite directory: %w", err)
		}
		if err := os.MkdirAll(*dir, 0o755); err != nil {
			return nil, fmt.Errorf("s2-lite directory: %w", err)
		}
	}
	if opts.Port == 0 {
		if opts.Port, err = proc.FreePort(); err != nil {
			return nil, err
		}
	}
	s := &Server{opts: opts, bin: bin}
	if err := s.writeInit(); err != nil {
		return nil, err
	}
	return s, s.Restart(ctx)
}

// Run is Start for a test: an error is fatal, the server is stopped when the test ends, and a
// failed test shows the end of the server's log.
func Run(tb proc.TB, opts Options) *Server {
	tb.Helper()
	if opts.Dir == "" {
		opts.Dir = tb.TempDir()
	}
	if opts.Logf == nil {
		opts.Logf = tb.Logf
	}
	s, err := Start(context.Background(), opts)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(func() {
		if err := s.Kill(); err != nil { // SIGTERM would wait 10 s for open sessions
			tb.Logf("%v", err)
		}
		if tb.Failed() {
			tb.Logf("end of s2-lite's log:\n%s", proc.Tail(s.Log(), 4000))
		}
	})
	return s
}

// URL of the server, without a path: endpoint for account and basin calls alike.
func (s *Server) URL() string { return "http://127.0.0.1:" + strconv.Itoa(s.opts.Port) }

// Basin that was made at start.
func (s *Server) Basin() string { return s.opts.Basin }

// Log is the file with everything that the server printed, over all its starts.
func (s *Server) Log() string { return filepath.Join(s.opts.Dir, "s2-lite.log") }

// Pid of the running server.
func (s *Server) Pid() int { return s.child.Pid() }

// Stop ends the server with SIGTERM. While clients hold sessions open it serves them for 10 s more.
func (s *Server) Stop() error {
	if s.child == nil || !s.child.Running() {
		return nil
	}
	return s.child.Stop(30 * time.Second)
}

// Kill ends the server with SIGKILL. With a LocalRoot, what it had acknowledged survives.
func (s *Server) Kill() error {
	if s.child == nil {
		return nil
	}
	return s.child.Kill()
}

// Restart starts the server again, on the same port and root, and waits until it is healthy (about 1.1 s).
func (s *Server) Restart(ctx context.Context) error {
	if s.child != nil && s.child.Running() {
		return errors.New("s2-lite: restart of a running server")
	}
	args := []string{"lite", "--port", strconv.Itoa(s.opts.Port), "--no-dashboard", "--init-file", s.initFile()}
	if s.opts.LocalRoot != "" {
		args = append(args, "--local-root", s.opts.LocalRoot)
	}
	began := time.Now()
	child, err := proc.Start(proc.Spec{Name: "s2-lite", Path: s.bin, Args: append(args, s.opts.Args...), Env: s.opts.Env, Log: s.Log()})
	if err != nil {
		return err
	}
	s.child = child
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ctx, cancel := context.WithTimeoutCause(ctx, s.opts.Ready, fmt.Errorf("s2-lite: not ready after %s", s.opts.Ready))
	defer cancel()
	err = proc.Poll(ctx, 20*time.Millisecond, func(ctx context.Context) error {
		if !child.Running() {
			return proc.Final(fmt.Errorf("s2-lite ended while starting: %w", errors.Join(child.Err(), errors.New(proc.Tail(s.Log(), 3000)))))
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/health", nil)
		if err != nil {
			return fmt.Errorf("s2-lite health: %w", err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New("/health says " + resp.Status)
		}
		return nil
	})
	if err != nil {
		return errors.Join(err, child.Kill())
	}
	s.opts.Logf("s2-lite on %s (pid %d) ready after %.1f s", s.URL(), child.Pid(), time.Since(began).Seconds())
	return nil
}

func (s *Server) initFile() string { return filepath.Join(s.opts.Dir, "s2-lite-init.json") }

// writeInit names the basin. The bridge makes its streams itself, so an append to a missing stream must fail.
func (s *Server) writeInit() error {
	type config struct {
		CreateStreamOnAppend bool `json:"create_stream_on_append"`
	}
	type basin struct {
		Name   string `json:"name"`
		Config config `json:"config"`
	}
	text, err := json.Marshal(map[string][]basin{"basins": {{Name: s.opts.Basin}}})
	if err != nil {
		return fmt.Errorf("s2-lite init file: %w", err)
	}
	if err := os.WriteFile(s.initFile(), text, 0o644); err != nil {
		return fmt.Errorf("s2-lite init file: %w", err)
	}
	return nil
}

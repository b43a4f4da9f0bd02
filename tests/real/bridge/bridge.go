// Package bridge builds the bridge and runs it as a process, for tests and benchmarks that treat it as a user does.
//
//	Build --> binary        Settings --> <name>.toml --> bridge run -c <name>.toml     (Start, Restart)
//	                                                       Kill = SIGKILL, Stop = SIGTERM, must exit 0
//	                                                       /readyz, /metrics on 127.0.0.1:<port>
//
// It imports no code of the bridge: only its command line, its configuration keys and its HTTP endpoint.
package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"kafka-s2-bridge/tests/real/proc"
)

// Build compiles cmd/bridge into dir and returns the program's path.
func Build(ctx context.Context, dir string) (string, error) {
	root, err := proc.Root()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "bridge")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, "./cmd/bridge")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the bridge: %w\n%s", err, out)
	}
	return bin, nil
}

// ForgetSettings takes out of this process's environment what would configure a bridge: the caller may have one of his own, and
// ours inherit.
func ForgetSettings() {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "BRIDGE_") || name == "S2_ACCESS_TOKEN" {
			_ = os.Unsetenv(name)
		}
	}
}

// Settings are configuration keys, dotted ("kafka.group"), with strings, lists of strings, numbers or booleans.
type Settings map[string]any

// TOML is the configuration file.
func (s Settings) TOML() string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(s)) {
		switch v := s[key].(type) {
		case string:
			fmt.Fprintf(&b, "%s = %q\n", key, v)
		case []string:
			quoted := make([]string, len(v))
			for i, e := range v {
				quoted[i] = strconv.Quote(e)
			}
			fmt.Fprintf(&b, "%s = [%s]\n", key, strings.Join(quoted, ", "))
		default:
			fmt.Fprintf(&b, "%s = %v\n", key, v)
		}
	}
	return b.String()
}

// Options of a process.
type Options struct {
	Binary   string   // from Build
	Dir      string   // where configuration and log go; it must exist
	Name     string   // of this process: its files' names
	Settings Settings // http.listen is added, with a free port, unless it is there
	Env      []string // added to the environment
}

// Process is a bridge with its configuration. Its methods are for one goroutine at a time.
type Process struct {
	opts   Options
	listen string
	child  *proc.Child
	starts int
}

// Start writes the configuration and starts a bridge. It does not wait until it is ready.
func Start(opts Options) (*Process, error) {
	given := opts.Settings
	opts.Settings = make(Settings, len(given)+1)
	maps.Copy(opts.Settings, given)
	p := &Process{opts: opts}
	if listen, ok := opts.Settings["http.listen"].(string); ok {
		p.listen = listen
	} else {
		port, err := proc.FreePort()
		if err != nil {
			return nil, err
		}
		p.listen = "127.0.0.1:" + strconv.Itoa(port)
		opts.Settings["http.listen"] = p.listen
	}
	if err := os.WriteFile(p.Config(), []byte(opts.Settings.TOML()), 0o600); err != nil {
		return nil, fmt.Errorf("bridge configuration: %w", err)
	}
	return p, p.Restart()
}

// Config is the path of the configuration file.
func (p *Process) Config() string { return filepath.Join(p.opts.Dir, p.opts.Name+".toml") }

// Log is the file with everything that the bridge printed, over all its starts.
func (p *Process) Log() string { return filepath.Join(p.opts.Dir, p.opts.Name+".log") }

// Name of the process.
func (p *Process) Name() string { return p.opts.Name }

// Pid of the running process.
func (p *Process) Pid() int { return p.child.Pid() }

// Starts is how often it was started.
func (p *Process) Starts() int { return p.starts }

// Child is the process itself, with its exit code and resource usage.
func (p *Process) Child() *proc.Child { return p.child }

// Restart starts an ended bridge again with the same configuration.
func (p *Process) Restart() error {
	if p.child != nil && p.child.Running() {
		return fmt.Errorf("bridge %s: restart of a running bridge", p.opts.Name)
	}
	child, err := proc.Start(proc.Spec{Name: "bridge " + p.opts.Name, Path: p.opts.Binary, Args: []string{"run", "-c", p.Config()},
		Env: p.opts.Env, Dir: p.opts.Dir, Log: p.Log()})
	if err != nil {
		return err
	}
	p.child = child
	p.starts++
	return nil
}

// Kill ends it with SIGKILL. That it had already ended by itself is an error: the bridge must not.
func (p *Process) Kill() error {
	if !p.child.Running() {
		return fmt.Errorf("bridge %s had ended by itself: %w\n%s", p.opts.Name, ended(p.child), proc.Tail(p.Log(), 3000))
	}
	return p.child.Kill()
}

// Stop ends it with SIGTERM, which it has to answer with exit code 0 within grace.
func (p *Process) Stop(grace time.Duration) error {
	if !p.child.Running() {
		return fmt.Errorf("bridge %s had ended by itself: %w\n%s", p.opts.Name, ended(p.child), proc.Tail(p.Log(), 3000))
	}
	if err := p.child.Stop(grace); err != nil {
		return fmt.Errorf("%w\n%s", err, proc.Tail(p.Log(), 3000))
	}
	if code := p.child.State().ExitCode(); code != 0 {
		return fmt.Errorf("bridge %s: SIGTERM was answered with %s", p.opts.Name, p.child.State())
	}
	return nil
}

func ended(c *proc.Child) error {
	if err := c.Err(); err != nil {
		return err
	}
	return errors.New("exit code 0")
}

// URL of the HTTP endpoint.
func (p *Process) URL() string { return "http://" + p.listen }

// WaitReady waits until /readyz answers 200, or the process ends, or ctx does.
func (p *Process) WaitReady(ctx context.Context) error {
	return proc.Poll(ctx, 50*time.Millisecond, func(ctx context.Context) error {
		if !p.child.Running() {
			return proc.Final(fmt.Errorf("bridge %s ended while starting: %w\n%s", p.opts.Name, ended(p.child), proc.Tail(p.Log(), 3000)))
		}
		code, body, err := p.Get(ctx, "/readyz")
		if err != nil {
			return err
		}
		if code != http.StatusOK {
			return errors.New("/readyz says " + strings.TrimSpace(body))
		}
		return nil
	})
}

// Get asks the HTTP endpoint.
func (p *Process) Get(ctx context.Context, path string) (code int, body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL()+path, nil)
	if err != nil {
		return 0, "", fmt.Errorf("bridge %s%s: %w", p.opts.Name, path, err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", fmt.Errorf("bridge %s%s: %w", p.opts.Name, path, err)
	}
	return resp.StatusCode, string(b), nil
}

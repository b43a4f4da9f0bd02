package badinput

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/proc"
)

const (
	// prompt is how soon a trouble must be named.
	prompt = 10 * time.Second
	// patient is the bound of everything that has no promise to keep.
	patient = 30 * time.Second
)

// The planted secrets. None of them may ever be printed.
const (
	password      = "correct-horse-battery-staple"
	wrongPassword = "wrong-password-of-the-operator"
	token         = "good-token-0123456789abcdef"
	nextToken     = "next-token-fedcba9876543210"
	wrongToken    = "wrong-token-never-to-be-printed"
)

var secrets = []string{password, wrongPassword, token, nextToken, wrongToken}

var (
	errWaiting = errors.New("not yet")
	errTouched = errors.New("somebody connected")
)

// await polls check until it is nil.
func await(t *testing.T, within time.Duration, check func() error, what string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), within, fmt.Errorf("not within %s", within))
	defer cancel()
	if err := proc.Poll(ctx, 20*time.Millisecond, func(context.Context) error { return check() }); err != nil {
		t.Fatalf("%s: %v", fmt.Sprintf(what, args...), err)
	}
}

// run is a bridge under test. When the test ends it is killed, and what it said is searched for secrets.
type run struct {
	*bridge.Process
	t *testing.T
}

// start runs a bridge with the settings.
func start(t *testing.T, settings bridge.Settings) *run {
	t.Helper()
	p, err := bridge.Start(bridge.Options{Binary: binary, Dir: t.TempDir(), Name: "bridge", Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	r := &run{p, t}
	t.Cleanup(func() {
		if p.Child().Running() {
			_ = p.Kill()
		}
		r.discreet(r.said())
		if t.Failed() {
			t.Logf("end of the bridge's log:\n%s", proc.Tail(p.Log(), 6000))
		}
	})
	return r
}

// discreet fails the test if text has a secret in it.
func (r *run) discreet(text string) {
	r.t.Helper()
	for _, secret := range secrets {
		if i := strings.Index(text, secret); i >= 0 {
			r.t.Errorf("a secret was printed: ...%s...", text[max(0, i-200):min(len(text), i+len(secret)+50)])
		}
	}
}

// said is everything that the bridge printed.
func (r *run) said() string {
	r.t.Helper()
	text, err := os.ReadFile(r.Log())
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// lines of the log that contain all the words.
func (r *run) lines(words ...string) (found []string) {
	r.t.Helper()
	for line := range strings.Lines(r.said()) {
		if hasAll(line, words) == "" {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// awaitLine waits for a line of the log that contains all the words.
func (r *run) awaitLine(within time.Duration, words ...string) string {
	r.t.Helper()
	var found []string
	await(r.t, within, func() error {
		if found = r.lines(words...); len(found) == 0 {
			return r.alive(errWaiting)
		}
		return nil
	}, "a line of the log with %q", words)
	return found[0]
}

// alive gives err, or a final error if the bridge has ended.
func (r *run) alive(err error) error {
	if !r.Child().Running() {
		return proc.Final(fmt.Errorf("the bridge ended with %s", r.Child().State()))
	}
	return err
}

// page is what an endpoint answers now.
func (r *run) page(path string) (code int, body string, err error) {
	code, body, err = r.Get(r.t.Context(), path)
	r.discreet(body)
	return code, body, err
}

// green waits until /readyz is 200.
func (r *run) green(within time.Duration) {
	r.t.Helper()
	await(r.t, within, func() error {
		code, body, err := r.page("/readyz")
		if err == nil && code != http.StatusOK {
			err = errors.New(strings.TrimSpace(body))
		}
		return r.alive(err)
	}, "/readyz is not green")
}

// red waits until /readyz is 503 and each of the words stands in it; it returns the page.
func (r *run) red(within time.Duration, words ...string) (said string) {
	r.t.Helper()
	await(r.t, within, func() error {
		code, body, err := r.page("/readyz")
		switch missing := hasAll(body, words); {
		case err != nil:
		case code != http.StatusServiceUnavailable:
			err = fmt.Errorf("it answers %d", code)
		case missing != "":
			err = fmt.Errorf("it does not say %q: %s", missing, body)
		}
		said = body
		return r.alive(err)
	}, "/readyz is not red with %q", words)
	return said
}

// metric waits until a line of /metrics begins with the text.
func (r *run) metric(within time.Duration, line string) {
	r.t.Helper()
	await(r.t, within, func() error {
		_, body, err := r.page("/metrics")
		if err == nil && !strings.Contains(body, "\n"+line) {
			err = errWaiting
		}
		return r.alive(err)
	}, "no metric %s", line)
}

// exits waits for the end and returns what was printed.
func (r *run) exits(within time.Duration, code int) string {
	r.t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-r.Child().Done():
	case <-timer.C:
		r.t.Fatalf("the bridge still runs after %s", within)
	}
	if state := r.Child().State(); state.ExitCode() != code {
		r.t.Fatalf("the bridge ended with %s, want exit code %d\n%s", state, code, r.said())
	}
	return r.said()
}

// signal sends one.
func (r *run) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.Child().Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

func hasAll(text string, words []string) (missing string) {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return w
		}
	}
	return ""
}

// crude finds what belongs into no sentence for an operator: addresses of memory, Go values, stack traces, endless nesting.
var crude = regexp.MustCompile(`0x[0-9a-f]{4,}|&\{|map\[|%!|goroutine |panic|<nil>|[*][a-z]+\.[A-Z]|\berrors?\.|runtime\.`)

// plain fails the test unless every line of text is short enough to be read, and no Go shows in it.
func plain(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if bad := crude.FindString(line); bad != "" {
			t.Errorf("%q is nothing for an operator in: %s", bad, line)
		}
		if len(line) > 600 {
			t.Errorf("nobody reads a line of %d characters: %s", len(line), line)
		}
	}
}

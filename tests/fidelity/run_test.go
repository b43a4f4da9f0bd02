package fidelity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/proc"
	"kafka-s2-bridge/tests/s2mem"
)

// run is a bridge under test.
type run struct {
	*bridge.Process
	t *testing.T
}

var errWaiting = errors.New("not yet")

// end kills what is left, and shows the log of a failed test.
func (r *run) end() {
	if r.Child().Running() {
		_ = r.Kill()
	}
	if r.t.Failed() {
		r.t.Logf("end of the log of bridge %s:\n%s", r.Name(), proc.Tail(r.Log(), 6000))
	}
}

// await polls check until it is nil; the bridge must go on running.
func (r *run) await(within time.Duration, check func() error, what string, args ...any) {
	r.t.Helper()
	ctx, cancel := context.WithTimeoutCause(r.t.Context(), within, fmt.Errorf("not within %s", within))
	defer cancel()
	if err := proc.Poll(ctx, 20*time.Millisecond, func(context.Context) error {
		if !r.Child().Running() {
			return proc.Final(fmt.Errorf("the bridge ended with %s", r.Child().State()))
		}
		return check()
	}); err != nil {
		r.t.Fatalf("%s: %v", fmt.Sprintf(what, args...), err)
	}
}

// kill ends it with SIGKILL.
func (r *run) kill() {
	r.t.Helper()
	if err := r.Kill(); err != nil {
		r.t.Fatal(err)
	}
}

// stop ends it with SIGTERM, which it must answer with exit code 0 within ten seconds.
func (r *run) stop() {
	r.t.Helper()
	if err := r.Stop(10 * time.Second); err != nil {
		r.t.Fatal(err)
	}
}

func (r *run) restart() {
	r.t.Helper()
	if err := r.Restart(); err != nil {
		r.t.Fatal(err)
	}
}

// memory is the largest resident set so far of the running process, in MiB. (What wait(2) tells of an ended one includes
// the memory of the process that it was forked from.) Elsewhere than on Linux it is 0, and the log says so.
func (r *run) memory() (mib int) {
	r.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.Pid()))
	if err != nil {
		r.t.Logf("the largest resident set is not measured, only Linux tells it: %v", err)
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			if _, err := fmt.Sscan(kib, &mib); err != nil {
				r.t.Fatal(err)
			}
			return mib >> 10
		}
	}
	r.t.Fatalf("no VmHWM in %s", status)
	return 0
}

// green waits until /readyz is 200.
func (r *run) green() {
	r.t.Helper()
	r.await(patient, func() error {
		code, body, err := r.Get(r.t.Context(), "/readyz")
		if err == nil && code != http.StatusOK {
			err = errors.New(strings.TrimSpace(body))
		}
		return err
	}, "/readyz is not green")
}

// red waits until /readyz is 503 with all the words on one line, and returns the page.
func (r *run) red(words ...string) (page string) {
	r.t.Helper()
	r.await(patient, func() error {
		code, body, err := r.Get(r.t.Context(), "/readyz")
		if page = body; err != nil {
			return err
		}
		if code == http.StatusServiceUnavailable {
			for line := range strings.Lines(body) {
				if hasAll(line, words) {
					return nil
				}
			}
		}
		return fmt.Errorf("it answers %d: %s", code, strings.TrimSpace(body))
	}, "/readyz is not red with %q", words)
	return page
}

func hasAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// metrics are the samples of one name, by their labels.
func (r *run) metrics(name string) map[string]float64 {
	r.t.Helper()
	_, page, err := r.Get(r.t.Context(), "/metrics")
	if err != nil {
		return nil // not there yet
	}
	out := map[string]float64{}
	for line := range strings.Lines(page) {
		labels, value, ok := strings.Cut(strings.TrimSpace(line), "} ")
		if labels, found := strings.CutPrefix(labels, name+"{"); ok && found {
			var v float64
			if _, err := fmt.Sscan(value, &v); err != nil {
				r.t.Errorf("metric %s: %v", line, err)
			}
			out[labels] = v
		}
	}
	return out
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

// read is what `bridge read` prints of a stream, up to its end.
func (w *world) read(stream string, flags ...string) []byte {
	w.t.Helper()
	ctx, cancel := w.context()
	defer cancel()
	args := append([]string{"read", "s2://" + s2mem.DefaultBasin + "/" + stream, "--endpoint", w.s2.URL()}, flags...)
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errout
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("bridge %q: %v\n%s", args, err, &errout)
	}
	return out.Bytes()
}

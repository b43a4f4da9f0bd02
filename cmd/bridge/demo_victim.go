package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// victim is one life of the bridge: this very program as `bridge run`, in a
// process of its own.
type victim struct {
	cmd  *exec.Cmd
	log  *lastWords
	done chan struct{} // closed when the process has ended and was waited for
	err  error         // after done: how it ended
}

// stopGrace is how long a bridge may take to drain; its own limit is 8 s.
const stopGrace = 15 * time.Second

// startVictim starts a bridge. When ctx ends it is killed.
func startVictim(ctx context.Context, env []string) (*victim, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("the path of this program: %w", err)
	}
	v := &victim{log: &lastWords{}, done: make(chan struct{})}
	v.cmd = exec.CommandContext(ctx, self, "run") //nolint:gosec // it is this program itself
	v.cmd.Env = env
	v.cmd.Stderr = v.log
	v.cmd.SysProcAttr = ownGroup()
	v.cmd.WaitDelay = time.Second // for its output, once it has ended
	started := make(chan error, 1)
	go func() {
		// On Linux the child dies with the thread that started it, so the thread
		// must live as long: it is this goroutine's alone.
		runtime.LockOSThread()
		err := v.cmd.Start()
		started <- err
		if err == nil {
			v.err = v.cmd.Wait()
			close(v.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("the bridge cannot be started as a process: %w", err)
	}
	return v, nil
}

func (v *victim) pid() int { return v.cmd.Process.Pid }

// kill ends it with SIGKILL and waits until it is gone.
func (v *victim) kill() {
	_ = v.cmd.Process.Kill() // it may have ended already
	<-v.done
}

// stop asks it to drain and end, as an operator would. An error says that it
// did not do so properly.
func (v *victim) stop() error {
	select {
	case <-v.done:
		return v.ended()
	default:
	}
	if err := v.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		v.kill() // a system without signals
		return nil
	}
	timer := time.NewTimer(stopGrace)
	defer timer.Stop()
	select {
	case <-v.done:
	case <-timer.C:
		v.kill()
		return fmt.Errorf("the bridge was still there %s after SIGTERM; it said:\n%s", stopGrace, v.log)
	}
	if v.err != nil {
		return fmt.Errorf("the bridge answered SIGTERM with %w; it said:\n%s", v.err, v.log)
	}
	return nil
}

// ended is the error for an end that nobody asked for.
func (v *victim) ended() error {
	how := "exit code 0"
	if v.err != nil {
		how = v.err.Error()
	}
	return fmt.Errorf("the bridge ended by itself (%s); it said:\n%s", how, v.log)
}

// lastWords keeps the end of what a process says. Safe for concurrent use.
type lastWords struct {
	mu   sync.Mutex
	said []byte
}

const maxWords = 4 << 10

func (w *lastWords) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, b...)
	if over := len(w.said) - maxWords; over > 0 {
		w.said = append([]byte(nil), w.said[over:]...)
	}
	return len(b), nil
}

// String is whole lines, the last ten at most.
func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := strings.Split(strings.TrimRight(string(w.said), "\n"), "\n")
	if len(w.said) == maxWords && len(lines) > 1 {
		lines = lines[1:] // the first one is torn
	}
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

package proc_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kafka-s2-bridge/tests/real/proc"
)

// script starts a shell that runs text, and waits until it printed "ready".
func script(t *testing.T, text string) *proc.Child {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	c, err := proc.Start(proc.Spec{Name: "script", Path: "/bin/sh", Args: []string{"-c", text}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Kill() })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := proc.Poll(ctx, 5*time.Millisecond, func(context.Context) error {
		if !strings.Contains(c.Tail(1000), "ready") {
			return errors.New("the script is not ready")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStopGivesAChanceAndThenKills(t *testing.T) {
	polite := script(t, `trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done`)
	if err := polite.Stop(10 * time.Second); err != nil {
		t.Errorf("polite script: %v", err)
	}
	if !strings.HasSuffix(polite.Tail(1000), "bye\n") {
		t.Errorf("log %q", polite.Tail(1000))
	}
	plain := script(t, `echo ready; while :; do sleep 0.01; done`)
	if err := plain.Stop(10 * time.Second); err != nil {
		t.Errorf("script that dies of SIGTERM: %v", err)
	}
	deaf := script(t, `trap '' TERM; echo ready; while :; do sleep 0.01; done`)
	if err := deaf.Stop(50 * time.Millisecond); err == nil || deaf.Running() {
		t.Errorf("deaf script: error %v, running %v", err, deaf.Running())
	}
	failing := script(t, `trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done`)
	if err := failing.Stop(10 * time.Second); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("failing script: %v", err)
	}
}

func TestStartOfNothing(t *testing.T) {
	if _, err := proc.Start(proc.Spec{Name: "nothing", Path: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestTailBeginsAtALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := proc.Tail(path, 8); got != "three\n" {
		t.Errorf("tail %q", got)
	}
	if got := proc.Tail(path, 100); got != "one\ntwo\nthree\n" {
		t.Errorf("whole %q", got)
	}
}

func TestFreePortCanBeTaken(t *testing.T) {
	port, err := proc.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if port >= 32768 {
		t.Errorf("port %d is one of the outgoing ones", port)
	}
}

func TestOnceBuildsOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "thing")
	if err := proc.Once(path, func(string) error { return errors.New("no") }); err == nil {
		t.Fatal("a failed build was taken")
	}
	var mu sync.Mutex
	builds := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := proc.Once(path, func(tmp string) error {
				mu.Lock()
				builds++
				mu.Unlock()
				return os.WriteFile(tmp, []byte("x"), 0o600)
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := os.Stat(path); err != nil || builds != 1 {
		t.Errorf("%d builds, %v", builds, err)
	}
}

func TestRunTellsWhatItPrinted(t *testing.T) {
	sh := func(text string) proc.Spec {
		return proc.Spec{Name: "script", Path: "/bin/sh", Args: []string{"-c", text}}
	}
	if err := proc.Run(t.Context(), sh("echo fine")); err != nil {
		t.Error(err)
	}
	if err := proc.Run(t.Context(), sh("echo too bad; exit 4")); err == nil || !strings.Contains(err.Error(), "exit status 4\ntoo bad") {
		t.Errorf("error %v", err)
	}
	// A child of the child would hold the output open, and Run with it, if only the child were killed.
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, enough)
	defer cancel()
	if err := proc.Run(ctx, sh("sleep 600 & wait")); !errors.Is(err, enough) {
		t.Errorf("error %v", err)
	}
}

func TestPoll(t *testing.T) {
	calls := 0
	if err := proc.Poll(t.Context(), time.Millisecond, func(context.Context) error {
		if calls++; calls < 3 {
			return errors.New("not yet")
		}
		return nil
	}); err != nil || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
	broken := errors.New("broken")
	if err := proc.Poll(t.Context(), time.Hour, func(context.Context) error { return proc.Final(broken) }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	late := errors.New("too late")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, late)
	defer cancel()
	if err := proc.Poll(ctx, time.Millisecond, func(context.Context) error { return broken }); !errors.Is(err, late) || !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

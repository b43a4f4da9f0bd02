package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childRun is `bridge run` with a body that says when it works and drains until
// its input says that it may end: so the tests below decide when, without clocks.
func childRun() int {
	cmd := newRunCommand(func(ctx context.Context, _ Config, log *slog.Logger, _ redactor) error {
		log.Info("working")
		<-ctx.Done()
		_, err := io.ReadAll(os.Stdin)
		log.Info("drained")
		return err
	})
	cmd.SetArgs([]string{"-c", exampleFile})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	return report(os.Stderr, cmd.ExecuteContext(context.Background()))
}

// childTimeout ends a child that ignores its signals. It takes milliseconds else.
const childTimeout = 30 * time.Second

// child is a running childRun.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
}

func startChild(t *testing.T) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), childTimeout)
	t.Cleanup(cancel)
	c := &child{cmd: exec.CommandContext(ctx, self)}
	c.cmd.Env = append(os.Environ(), childVariable+"=1", "S2_ACCESS_TOKEN=token")
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.lines = bufio.NewScanner(stderr)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.waitFor(t, "working")
	return c
}

// waitFor reads the child's log up to a line with text.
func (c *child) waitFor(t *testing.T, text string) {
	t.Helper()
	var before []string
	for c.lines.Scan() {
		if strings.Contains(c.lines.Text(), text) {
			return
		}
		before = append(before, c.lines.Text())
	}
	t.Fatalf("the child ended without saying %q:\n%s", text, strings.Join(before, "\n"))
}

func (c *child) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func TestFirstSignalDrains(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			c := startChild(t)
			c.signal(t, s)
			c.waitFor(t, "a second signal ends the bridge at once")
			if err := c.stdin.Close(); err != nil {
				t.Fatal(err)
			}
			c.waitFor(t, "drained")
			if err := c.cmd.Wait(); err != nil {
				t.Errorf("after a drain the exit code must be 0: %v", err)
			}
		})
	}
}

// The drain of this child never ends by itself: only the second signal can.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			c := startChild(t)
			c.signal(t, syscall.SIGTERM)
			c.waitFor(t, "a second signal ends the bridge at once")
			c.signal(t, s)
			err := c.cmd.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Fatalf("the second signal must not look like success: %v", err)
			}
			if status, ok := exit.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != s {
				t.Errorf("ended by %v, want signal %v", err, s)
			}
		})
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// childVariable makes this test binary play `bridge run` in a process of its
// own; see signals_test.go.
const childVariable = "TEST_BRIDGE_CHILD"

// programVariable makes it the program itself: the demo starts its bridge so.
const programVariable = "TEST_BRIDGE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(childRun())
	}
	if os.Getenv(programVariable) != "" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// said is what a command printed and ended with.
type said struct {
	code     int
	out, err string
}

func bridge(t *testing.T, args ...string) said {
	t.Helper()
	var out, errout bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(""), &out, &errout)
	return said{code, out.String(), errout.String()}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		code int
		out  string // must be in standard output
		err  string // must be in standard error
	}{
		{"nothing prints the help", nil, exitDone, "Available Commands", ""},
		{"help names the exit codes", []string{"--help"}, exitDone, "3 could not tell", ""},
		{"help of run", []string{"run", "--help"}, exitDone, "bridge run -c config.toml", ""},
		{"help of health", []string{"health", "--help"}, exitDone, "bridge health --http", ""},
		{"help of partitions", []string{"partitions", "--help"}, exitDone, "bridge partitions orders payments/3", ""},
		{"help of resume", []string{"resume", "--help"}, exitDone, "bridge resume orders/3 --accept gap", ""},
		{"help of version", []string{"version", "--help"}, exitDone, "bridge version --json", ""},
		{"version", []string{"version"}, exitDone, "bridge ", ""},
		{"unknown command", []string{"rum"}, exitUsage, "", "unknown command"},
		{"unknown flag", []string{"run", "--nope"}, exitUsage, "", "--nope"},
		{"argument too many", []string{"run", "config.toml"}, exitUsage, "", "config.toml"},
		{"no such file", []string{"run", "-c", "no-such.toml"}, exitUsage, "", "configuration file no-such.toml: no such file or directory"},
		{"a folder as file", []string{"run", "-c", t.TempDir()}, exitUsage, "", "is a directory"},
		{"endless file", []string{"run", "-c", "/dev/zero"}, exitUsage, "", "larger than 256 KiB"},
		{"nothing configured", []string{"run"}, exitUsage, "", "kafka.brokers must be set"},
		{"health of nobody", []string{"health", "--address", "127.0.0.1:1"}, exitUnknown, "", "no answer"},
		{"partitions of nobody", []string{"partitions", "--http", "127.0.0.1:1"}, exitUnknown, "", "no answer"},
		{"partitions of a group", []string{"partitions", "orders/x"}, exitUsage, "", "such as orders/3"},
		{"resume of nobody", []string{"resume", "orders", "--accept", "retry", "--http", "127.0.0.1:1"}, exitUnknown, "", "no answer"},
		{"resume without an answer, of nobody", []string{"resume", "orders", "--http", "127.0.0.1:1"}, exitUsage, "", "--accept what to answer: adopt, gap, new-stream, replay, retry"},
		{"resume with a wrong answer", []string{"resume", "orders", "--accept", "yes"}, exitUsage, "", "--accept must be one of adopt, gap"},
		{"resume of nothing", []string{"resume", "--accept", "gap"}, exitUsage, "", "accepts 1 arg"},
		{"resume of a strange name", []string{"resume", "a b", "--accept", "gap"}, exitUsage, "", "name a topic"},
		{"health of nonsense", []string{"health", "--address", "a b"}, exitUsage, "", "--http must be host:port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := bridge(t, c.args...)
			if got.code != c.code || !strings.Contains(got.out, c.out) || !strings.Contains(got.err, c.err) {
				t.Errorf("bridge %v: code %d, want %d\nstdout, want %q:\n%s\nstderr, want %q:\n%s", c.args, got.code, c.code, c.out, got.out, c.err, got.err)
			}
			if c.code != exitDone && strings.Contains(got.out+got.err, "\x1b") {
				t.Errorf("colours in a pipe: %q", got.err)
			}
		})
	}
}

func TestEveryCommandHasExamples(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		if cmd.Name() == "help" || cmd.Name() == "completion" {
			continue // cobra's
		}
		if cmd.Short == "" || !strings.Contains(cmd.Example, "bridge "+cmd.Name()) {
			t.Errorf("bridge %s: no sentence or no example in its help", cmd.Name())
		}
	}
}

// A failure of the bridge itself is 1, not 2: supervisors restart on it.
func TestRunFailure(t *testing.T) {
	t.Setenv("S2_ACCESS_TOKEN", "token")
	cmd := newRunCommand(func(context.Context, Config, *slog.Logger, redactor) error { return os.ErrDeadlineExceeded })
	cmd.SetArgs([]string{"-c", exampleFile})
	var errout bytes.Buffer
	cmd.SetErr(&errout)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if code := report(&errout, cmd.ExecuteContext(t.Context())); code != exitFailed || !strings.Contains(errout.String(), "i/o timeout") {
		t.Errorf("code %d, %s", code, errout.String())
	}
}

func TestVersion(t *testing.T) {
	var b build
	if err := json.Unmarshal([]byte(bridge(t, "version", "--json").out), &b); err != nil || b.Version == "" || b.Go == "" || b.Platform == "" {
		t.Errorf("version --json: %+v, %v", b, err)
	}

	vcs := &debug.BuildInfo{
		Main: debug.Module{Version: "v1.2.3"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-01-02"}, {Key: "vcs.modified", Value: "true"},
		},
	}
	got := build{}
	got.fill(vcs)
	if want := (build{Version: "v1.2.3", Commit: "abc", Date: "2026-01-02", Modified: true}); got != want {
		t.Errorf("from build info: %+v, want %+v", got, want)
	}
	got = build{Version: "v9", Commit: "def", Date: "then"}
	got.fill(vcs)
	if want := (build{Version: "v9", Commit: "def", Date: "then"}); got != want {
		t.Errorf("what the linker set must stay: %+v, want %+v", got, want)
	}
}

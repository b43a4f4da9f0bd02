package main

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A demo that dies without a word takes its bridge with it.
func TestNoOrphanOfAKilledDemo(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "demo", "--once", "--records", "2000000")
	cmd.Env = append(os.Environ(), programVariable+"=1")
	errout, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := ""
	for lines := bufio.NewScanner(errout); pid == "" && lines.Scan(); {
		if m := pidShape.FindStringSubmatch(lines.Text()); m != nil {
			pid = m[1]
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if pid == "" {
		t.Fatal("the demo named no bridge")
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for running(t, pid) {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("bridge with pid %s is still there", pid)
		}
	}
}

// running: a zombie that nobody waits for has ended too.
func running(t *testing.T, pid string) bool {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false // gone
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

package docker_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// findS2 is the s2 command line that compose.yaml's image holds: S2_LITE_BIN, or
// on PATH.
func findS2(t *testing.T) string {
	t.Helper()
	if bin := os.Getenv("S2_LITE_BIN"); bin != "" {
		return bin
	}
	bin, err := exec.LookPath("s2")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: no s2 on PATH and no S2_LITE_BIN, so nobody looks whether compose.yaml's flags for it exist")
	}
	return bin
}

// Every flag that compose.yaml gives to `s2 lite` is one of the version that it
// pins.
func TestS2LiteFlags(t *testing.T) {
	bin := findS2(t)
	service := load(t).Services["s2"]
	help, err := exec.CommandContext(t.Context(), bin, "lite", "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("s2 lite --help: %v\n%s", err, help)
	}
	for _, word := range service.Command {
		if strings.HasPrefix(word, "--") && !slices.Contains(strings.Fields(string(help)), word) {
			t.Errorf("s2 lite has no %s", word)
		}
	}
	_, tag, _ := strings.Cut(service.Image, ":")
	got, err := exec.CommandContext(t.Context(), bin, "--version").CombinedOutput()
	if err != nil || !strings.Contains(string(got), tag) {
		t.Errorf("tried with %s, but compose.yaml pins %s: %v", strings.TrimSpace(string(got)), tag, err)
	}
}

// The command and the health check of compose.yaml, run here: s2-lite starts on
// disk with the basin of s2-init.json, the check becomes healthy, and the streams
// can be listed, which is the first thing that the bridge asks.
func TestS2LiteComesUp(t *testing.T) {
	bin := findS2(t)
	service := load(t).Services["s2"]
	port := freePort(t)
	here := strings.NewReplacer("/data", t.TempDir(), "/etc/s2/init.json", absolute(t, "s2-init.json"))
	args := make([]string, 0, len(service.Command))
	for i, word := range service.Command {
		if i > 0 && service.Command[i-1] == "--port" {
			word = port
		}
		args = append(args, here.Replace(word))
	}
	lite := exec.CommandContext(t.Context(), bin, args...)
	lite.Cancel = func() error { return lite.Process.Signal(syscall.SIGKILL) }
	log := &strings.Builder{}
	lite.Stdout, lite.Stderr = log, log
	if err := lite.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = lite.Wait(); close(ended) }()
	defer func() {
		_ = lite.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("s2 %v: %s", args, log)
		}
	}()

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	environ := os.Environ()
	for name, value := range service.Environment {
		environ = append(environ, name+"="+strings.Replace(*value, ":8080", ":"+port, 1))
	}
	if service.HealthCheck.Test[0] != "CMD" || service.HealthCheck.Test[1] != "./s2" {
		t.Fatalf("the health check is not the s2 of the image: %v", service.HealthCheck.Test)
	}
	for {
		check := exec.CommandContext(ctx, bin, service.HealthCheck.Test[2:]...)
		check.Env = environ
		out, err := check.CombinedOutput()
		if err == nil {
			if !strings.Contains(string(out), "compose-demo") {
				t.Errorf("healthy, but s2-init.json's basin is not there: %s", out)
			}
			break
		}
		select {
		case <-ended:
			t.Fatal("s2 lite ended")
		case <-ctx.Done():
			t.Fatalf("not healthy in time: %v\n%s", err, out)
		default: // the check itself takes its time, so this is no hot loop
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%s/v1/streams?limit=1", port), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("S2-Basin", "compose-demo")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("list streams: %s", resp.Status)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("listening on %v", l.Addr())
	}
	return strconv.Itoa(addr.Port)
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

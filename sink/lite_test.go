package sink

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const testBasin = "sink-test-basin"

// lite is a running s2-lite.
type lite struct {
	url string
	cmd *exec.Cmd
}

// liteBinary finds s2 by S2_LITE_BIN or on the PATH; without it the test is
// skipped, and says so.
func liteBinary(t testing.TB) string {
	t.Helper()
	if bin := os.Getenv("S2_LITE_BIN"); bin != "" {
		return bin
	}
	bin, err := exec.LookPath("s2")
	if err != nil {
		t.Skip("NOT TESTED against a real server: no s2 on the PATH and S2_LITE_BIN is not set")
	}
	return bin
}

// startLite runs s2-lite in memory on a free port, with the basin testBasin,
// until the test ends.
func startLite(t testing.TB, flags ...string) *lite {
	t.Helper()
	bin := liteBinary(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	s := &lite{url: "http://127.0.0.1:" + port}
	s.cmd = exec.Command(bin, append([]string{"lite", "--no-dashboard", "--port", port}, flags...)...)
	var out lockedBuffer
	s.cmd.Stdout, s.cmd.Stderr = &out, &out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.cmd.Process.Signal(syscall.SIGCONT)
		s.cmd.Process.Kill()
		s.cmd.Wait()
		if t.Failed() {
			t.Logf("s2-lite said:\n%s", out.String())
		}
	})
	scheme := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ready := time.NewTicker(20 * time.Millisecond)
	defer ready.Stop()
	for range 500 {
		if resp, err := scheme.Get(s.url + "/health"); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				resp, err := scheme.Post(s.url+"/v1/basins", "application/json",
					strings.NewReader(fmt.Sprintf(`{"basin":%q,"config":{"create_stream_on_append":false}}`, testBasin)))
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				return s
			}
		}
		<-ready.C
	}
	t.Fatal("s2-lite did not become ready")
	return nil
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// deadline is the context of a test: no wait in it may be longer.
func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

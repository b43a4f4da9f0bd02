package sink

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

const testBasin = "sink-test-basin"

// lite is a running s2-lite.
type lite struct {
	url string
	bin string
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

// ownLite runs s2-lite in memory until the test ends, for tests that stop it.
func ownLite(t testing.TB) *lite {
	t.Helper()
	s := startLite(t)
	t.Cleanup(s.stop)
	s.addBasin(t, testBasin)
	return s
}

// liteClient is a client of the s2-lite that the package's tests share, with a
// basin of its own.
func liteClient(t testing.TB) *Client {
	t.Helper()
	bin := liteBinary(t)
	if shared == nil || shared.bin != bin {
		shared = startLite(t)
	}
	basins++
	name := fmt.Sprintf("%s-%d", testBasin, basins)
	shared.addBasin(t, name)
	return newClient(t, Config{Endpoint: shared.url, Basin: name})
}

// Only tests that run one after the other use these; TestMain stops the server.
var (
	shared *lite
	basins int
)

// startLite runs s2-lite in memory on a free port.
func startLite(t testing.TB) *lite {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	s := &lite{url: "http://127.0.0.1:" + port, bin: liteBinary(t)}
	s.cmd = exec.Command(s.bin, "lite", "--no-dashboard", "--port", port)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It takes a second. There is nothing to wait for but an answer.
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for range 1000 {
		if s.get("/health", "") == http.StatusOK {
			return s
		}
		<-again.C
	}
	s.stop()
	t.Fatal("s2-lite did not become ready")
	return nil
}

func (s *lite) addBasin(t testing.TB, name string) {
	t.Helper()
	if status := s.get("/v1/basins", fmt.Sprintf(`{"basin":%q,"config":{"create_stream_on_append":false}}`, name)); status != http.StatusCreated {
		t.Fatalf("basin %s: status %d", name, status)
	}
}

// get sends a request, POST if there is a body, and returns the status; 0: none.
func (s *lite) get(path, body string) int {
	one := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("content-type", "application/json")
	resp, err := one.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func (s *lite) stop() {
	s.cmd.Process.Kill() // also while it is stopped
	s.cmd.Wait()
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

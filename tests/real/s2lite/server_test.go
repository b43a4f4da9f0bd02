//go:build real

package s2lite_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kafka-s2-bridge/tests/real/s2lite"
)

// call does one JSON request in the server's basin.
func call(ctx context.Context, t *testing.T, s *s2lite.Server, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("s2-basin", s.Basin())
	req.Header.Set("content-type", "application/json")
	req.Header.Set("authorization", "Bearer any")
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// On disk: acknowledged records survive SIGKILL and SIGTERM; the port stays; streams are not made by appends.
func TestServerKeepsWhatItAcknowledged(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := s2lite.Run(t, s2lite.Options{LocalRoot: filepath.Join(t.TempDir(), "root")})
	const records = "/v1/streams/a%2F0/records"
	if code, text := call(ctx, t, s, http.MethodPost, records, `{"records":[{"body":"x"}]}`); code != http.StatusNotFound {
		t.Fatalf("append to a missing stream: %d %s", code, text)
	}
	if code, text := call(ctx, t, s, http.MethodPost, "/v1/streams", `{"stream":"a/0"}`); code != http.StatusCreated {
		t.Fatalf("create: %d %s", code, text)
	}
	url := s.URL()
	for i, end := range []func() error{s.Kill, s.Stop, s.Kill} {
		if code, text := call(ctx, t, s, http.MethodPost, records, fmt.Sprintf(`{"records":[{"body":"x"}],"match_seq_num":%d}`, i)); code != http.StatusOK {
			t.Fatalf("append %d: %d %s", i, code, text)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if err := s.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		if s.URL() != url {
			t.Fatalf("URL %s, was %s", s.URL(), url)
		}
		if code, text := call(ctx, t, s, http.MethodGet, records+"/tail", ""); code != http.StatusOK || !strings.Contains(text, fmt.Sprintf(`"seq_num":%d,`, i+1)) {
			t.Fatalf("tail after %d: %d %s", i, code, text)
		}
	}
	if err := s.Restart(ctx); err == nil {
		t.Error("a running server was started again")
	}
}

package conformance

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"kafka-s2-bridge/tests/s2mem"
)

// The basins that every server has: one as it comes, one that creates streams
// on append.
const (
	plainBasin = "conformance-plain"
	autoBasin  = "conformance-auto"
)

func TestMemory(t *testing.T) {
	srv := s2mem.Start(t, s2mem.Options{FlushDelay: time.Millisecond})
	suite(t, srv.URL())
}

func TestMemoryWithoutFlushDelay(t *testing.T) {
	srv := s2mem.Start(t, s2mem.Options{})
	suite(t, srv.URL())
}

func TestLite(t *testing.T) { suite(t, lite(t)) }

// lite starts s2-lite if there is one.
func lite(t *testing.T) (url string) {
	t.Helper()
	program := os.Getenv("S2_LITE_BIN")
	if program == "" {
		program, _ = exec.LookPath("s2")
	}
	if program == "" {
		t.Skip("THE REAL S2-LITE WAS NOT TESTED: set S2_LITE_BIN to the s2 program, or put s2 on PATH")
	}
	return startLite(t, program)
}

// startLite runs s2-lite in memory on a free port and ends it with the test.
func startLite(t *testing.T, program string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal("free port:", err)
	}
	address := l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	l.Close()

	var output bytes.Buffer
	cmd := exec.Command(program, "lite", "--port", port)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-exited
		if t.Failed() {
			t.Logf("output of s2 lite:\n%s", tailOf(output.String(), 4000))
		}
	})

	url = "http://" + address
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tr := &http.Transport{DisableKeepAlives: true}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
		if resp, err := tr.RoundTrip(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return url
			}
		}
		select {
		case <-again.C:
		case <-exited:
			t.Fatalf("s2 lite ended by itself:\n%s", tailOf(output.String(), 4000))
		case <-ctx.Done():
			t.Fatal("s2 lite is not healthy after 30 s")
		}
	}
}

func tailOf(s string, n int) string { return s[max(0, len(s)-n):] }

// suite runs all cases in both versions of HTTP.
func suite(t *testing.T, url string) {
	for _, version := range []string{"http1", "h2c"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			p := &peer{url: url, http: client(t, version), version: version}
			p.makeBasins(t)
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					p := *p
					p.basin = plainBasin
					p.name = fmt.Sprintf("%s/%s", version, strings.ReplaceAll(c.name, " ", "-"))
					p.ctx, p.cancel = context.WithTimeout(t.Context(), 20*time.Second)
					defer p.cancel()
					if !c.missing {
						p.create(t, p.name, "")
					}
					c.run(t, &p)
				})
			}
		})
	}
}

// client speaks one version of HTTP.
func client(t *testing.T, version string) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	tr.Protocols.SetHTTP1(version == "http1")
	tr.Protocols.SetUnencryptedHTTP2(version == "h2c")
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// makeBasins makes the basins, unless the other version of HTTP has.
func (p *peer) makeBasins(t *testing.T) {
	t.Helper()
	p.ctx = t.Context()
	for _, body := range []string{
		`{"basin":"` + plainBasin + `"}`,
		`{"basin":"` + autoBasin + `","config":{"create_stream_on_append":true}}`,
	} {
		r := p.do(t, http.MethodPost, "/v1/basins", body, "Content-Type", "application/json")
		if r.status != http.StatusCreated && r.status != http.StatusConflict {
			t.Fatalf("basin: %v", r)
		}
	}
}

// testCase is one behaviour. run gets a peer whose name is a stream of its own,
// created with defaults unless missing is set.
type testCase struct {
	name    string
	missing bool
	run     func(*testing.T, *peer)
}

// cases is the suite.
var cases = join(
	streamCases, appendCases, fencingCases, commandCases, limitCases, formatCases, timestampCases,
	sessionCases, violationCases, readCases, pageCases, waitCases, followCases, trimCases, deleteCases, requestCases,
)

func join(groups ...[]testCase) (all []testCase) {
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

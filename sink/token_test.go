package sink

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kafka-s2-bridge/tests/s2mem"
)

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token")
	writeToken(t, name, token)
	return name
}

func writeToken(t *testing.T, name, token string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A token is rotated: S2 stops to accept the old one, the file has the new one.
func TestTokenRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		srv := s2mem.New(s2mem.Options{Basin: testBasin, AccessTokens: []string{"one"}})
		srv.Start(network)
		defer srv.Close()
		file := tokenFile(t, "one\n")
		c := newClient(t, Config{Endpoint: "http://s2.test", Dial: network.dial, AccessTokenFile: file})
		defer c.Close()
		ctx := t.Context()
		s, next := fenced(t, c, "orders/0")

		// The file is not there yet: denied, and the file is read once a second.
		srv.SetAccessTokens([]string{"two"}, nil)
		_, _, _, err := s.Ask(ctx)
		if e := asError(t, err); !e.Denied() || e.Temporary() || e.Status != 401 {
			t.Errorf("refused: %v", e)
		}
		writeToken(t, file, "two")
		if _, _, _, err = s.Ask(ctx); !asError(t, err).Denied() {
			t.Errorf("the file was read again within a second")
		}
		<-time.After(tokenPause)
		_, _, _, err = s.Ask(ctx)
		if e := asError(t, err); e.Denied() || !e.Temporary() {
			t.Errorf("refused, but there is a new token: %v", e)
		}
		if _, _, _, err := s.Ask(ctx); err != nil {
			t.Errorf("with the new token: %v", err)
		}

		// The same for sessions.
		srv.SetAccessTokens(nil, []string{"two"})
		writeToken(t, file, "three")
		<-time.After(tokenPause)
		_, r := open(ctx, s)
		if e := asError(t, r.awaitEnd(t, ctx)); e.Status != 403 || e.Denied() || !e.Temporary() {
			t.Errorf("refused session: %v", e)
		}
		srv.SetAccessTokens([]string{"three"}, nil)
		ss, r := open(ctx, s)
		ss.Send(batch(t, 0, 1, 10), next, "t")
		ss.Finish()
		if err := r.awaitEnd(t, ctx); err != nil {
			t.Error(err)
		}

		// A file that is empty, bad or gone leaves the token as it is.
		for _, content := range []string{"", "  \n", "with blank", "line\nbreak"} {
			writeToken(t, file, content)
			<-time.After(tokenPause)
			c.credentials.refused("three")
			if got := c.credentials.current(); got != "three" {
				t.Errorf("%q became the token %q", content, got)
			}
		}
		os.Remove(file)
		<-time.After(tokenPause)
		if c.credentials.refused("three") || c.credentials.current() != "three" {
			t.Error("the file's end changed the token")
		}
	})
}

func TestTokenFileIsNeededAtStart(t *testing.T) {
	for name, file := range map[string]string{"missing": "/does/not/exist", "empty": tokenFile(t, "\n"), "bad": tokenFile(t, "a b")} {
		_, err := New(Config{Endpoint: "http://127.0.0.1:1", Basin: testBasin, AccessTokenFile: file})
		if err == nil || !strings.HasPrefix(err.Error(), "access_token_file: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The access token is in no error and no log line, even if the other side
// sends it back in every way.
func TestTokenIsNeverShown(t *testing.T) {
	const secret, successor = "planted-secret-A/b+c=", "planted-secret-successor"
	for _, echo := range []string{
		`%s`, `{"code":"%[1]s","message":"%[1]s"}`, `{"message":"x %s y"}`, `{"fencing_token_mismatch":"%s"}`,
		strings.Repeat("p", maxErrorText-10) + "%s", strings.Repeat("%[1]s", 200), "\x00\x00\x40\x80\x01\x91%s",
	} {
		for _, status := range []int{200, 201, 204, 301, 400, 401, 403, 404, 409, 412, 416, 422, 429, 500, 503} {
			var logged lockedBuffer
			file := tokenFile(t, secret)
			c := newClient(t, Config{
				AccessTokenFile: file,
				Logger:          slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
				Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("location", "/"+r.Header.Get("authorization"))
					w.WriteHeader(status)
					fmt.Fprintf(w, echo, strings.TrimPrefix(r.Header.Get("authorization"), "Bearer "))
				}),
			})
			ctx := deadline(t)
			s := c.Stream("orders/0", StreamSettings{})
			var errs []error
			keep := func(err error) { errs = append(errs, err) }
			ask := func() {
				keep(c.Check(ctx))
				_, _, _, err := s.Ask(ctx)
				keep(err)
				keep(s.Create(ctx))
				_, err = s.Fence(ctx, "t", "", 0)
				keep(err)
				_, err = s.Read(ctx, 0, 1)
				keep(err)
				ss, r := open(ctx, s)
				ss.Send(batch(t, 0, 1, 10), 0, "t")
				keep(r.awaitEnd(t, ctx))
			}
			ask()
			writeToken(t, file, successor)
			ask()
			c.Close()
			ask()
			for _, err := range errs {
				for ; err != nil; err = errors.Unwrap(err) {
					if text := fmt.Sprintf("%v %+v %q", err, err, err); strings.Contains(text, "planted-sec") {
						t.Fatalf("%d %s: %s", status, echo, text)
					}
				}
			}
			if text := logged.String(); strings.Contains(text, "planted-sec") {
				t.Fatalf("%d %s: logged %s", status, echo, text)
			}
		}
	}
}

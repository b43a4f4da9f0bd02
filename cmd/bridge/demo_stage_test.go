package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/tests/s2mem"
)

func outsideKafka(t *testing.T) string {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()[0]
}

// Servers that are not the demo's own; the basin is created, the names told.
func TestDemoOnRealServers(t *testing.T) {
	kafka, s2 := outsideKafka(t), s2mem.Start(t, s2mem.Options{AccessTokens: []string{"right"}})
	t.Setenv("S2_ACCESS_TOKEN", "right")
	t.Setenv("BRIDGE_KAFKA__GROUP", "somebody-elses")
	args := []string{"--once", "--records", "500", "--json", "--kafka", kafka, "--s2", s2.URL() + "/", "--basin", "made-by-the-demo"}
	got := demo(t, t.Context(), io.Discard, args...)
	v := oneObject(t, got.out)
	if got.code != exitDone || !v.Verified || v.Records != 500 || v.Restarts != 1 {
		t.Fatalf("code %d, %s\n%s", got.code, got.out, got.err)
	}
	for _, text := range []string{"topic and group bridge-demo-", "in basin made-by-the-demo at " + s2.URL()} {
		if !strings.Contains(v.Left, text) {
			t.Errorf("no %q in %q", text, v.Left)
		}
	}
	if again := demo(t, t.Context(), io.Discard, args...); again.code != exitDone {
		t.Errorf("in a basin that exists: code %d, %s", again.code, again.err)
	}
}

func TestDemoWithoutServers(t *testing.T) {
	kafka, s2 := outsideKafka(t), s2mem.Start(t, s2mem.Options{AccessTokens: []string{"right"}})
	closed := s2mem.Start(t, s2mem.Options{})
	closed.Fault(s2mem.Fault{Op: s2mem.OpBasin, Do: s2mem.Refuse, Status: http.StatusForbidden, Count: -1})
	nobody := "127.0.0.1:1"
	for name, c := range map[string]struct {
		kafka, s2, token string
		want             []string
	}{
		"no Kafka":       {nobody, s2.URL(), "right", []string{"kafka at 127.0.0.1:1 cannot be reached: check --kafka"}},
		"no S2":          {kafka, "http://" + nobody, "right", []string{"cannot connect to S2 at http://127.0.0.1:1"}},
		"wrong token":    {kafka, s2.URL(), "wrong", []string{"refused the access token"}},
		"odd token":      {kafka, s2.URL(), "a b", []string{"S2_ACCESS_TOKEN must be one line"}},
		"no right basin": {kafka, closed.URL(), "", []string{`the basin "not-there-yet" does not exist`, "could not be created: create it there, or name another with --basin", "403"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("S2_ACCESS_TOKEN", c.token)
			got := demo(t, t.Context(), io.Discard, "--once", "--json", "--kafka", c.kafka, "--s2", c.s2, "--basin", "not-there-yet")
			v := oneObject(t, got.out)
			if got.code != exitUnknown || v.Verified || v.Error == "" {
				t.Errorf("code %d, %s", got.code, got.out)
			}
			for _, want := range c.want {
				if !strings.Contains(got.err, want) {
					t.Errorf("no %q in %s", want, got.err)
				}
			}
		})
	}
}

// What the child gets must be a whole and right configuration, whatever is set
// around it.
func TestEnvironmentOfTheBridge(t *testing.T) {
	t.Setenv("BRIDGE_KAFKA__GROUP", "somebody-elses")
	t.Setenv("BRIDGE_KAFKA__TLS__ENABLED", "true")
	t.Setenv("S2_ACCESS_TOKEN", "somebody-elses")
	s := &stage{broker: "127.0.0.1:9092", url: "http://127.0.0.1:8080", basin: "basin-of-mine", topic: "orders", group: "mine", partitions: 2, listen: "127.0.0.1:9999"}
	cfg, err := Load("", s.environment())
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Kafka.Group != "mine" || !slices.Equal(cfg.Kafka.Topics, []string{"orders"}) || cfg.Kafka.TLS.Enabled || cfg.S2.AccessToken != "" ||
		cfg.S2.Basin != "basin-of-mine" || cfg.HTTP.Listen != "127.0.0.1:9999" || cfg.Kafka.InstanceID == "" {
		t.Errorf("%+v", cfg)
	}
	s.token = "mine"
	if cfg, err = Load("", s.environment()); err != nil || cfg.S2.AccessToken.Reveal() != "mine" {
		t.Errorf("token: %v", err)
	}
}

func TestFreeAddress(t *testing.T) {
	first, err := freeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", first)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	second, err := freeAddress(t.Context())
	if err != nil || second == first {
		t.Errorf("%s, then %s, %v", first, second, err)
	}
}

// A bridge that ends by itself is told of, with its last words.
func TestVictimThatEndsByItself(t *testing.T) {
	v, err := startVictim(t.Context(), append(os.Environ(), programVariable+"=1")) // nothing is configured
	if err != nil {
		t.Fatal(err)
	}
	<-v.done
	for _, err := range []error{v.ended(), v.stop()} {
		for _, text := range []string{"ended by itself (exit status 2)", "kafka.brokers must be set"} {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("no %q in %v", text, err)
			}
		}
	}
	v.kill() // harmless
}

// The endpoint's port is taken: the round ends with what the bridge said.
func TestRoundWhoseBridgeCannotStart(t *testing.T) {
	t.Setenv(programVariable, "1")
	r, err := openRound(t.Context(), t.Context(), demoOptions{partitions: 1}, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	r.victim.kill()
	l, err := net.Listen("tcp", r.stage.listen)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := r.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.finish(t.Context(), r.wait(t.Context(), func() bool { return false })); err == nil || !strings.Contains(err.Error(), "http.listen") {
		t.Errorf("error %v", err)
	}
}

// A bridge that stands still is asked why, and what is missing is counted.
func TestRoundThatStalls(t *testing.T) {
	t.Setenv(programVariable, "1")
	r, err := openRound(t.Context(), t.Context(), demoOptions{partitions: 2, seed: 1}, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	// Somebody else's stream: that partition is held.
	r.stage.memory.Create("orders/1")
	r.stage.memory.SetToken("orders/1", "somebody-elses")
	r.patience = time.Second
	v, err := r.finish(t.Context(), r.once(t.Context(), 400))
	if err != nil || v.Verified || v.Missing == 0 || !strings.Contains(strings.Join(v.Problems, "\n"), "foreign-identity") {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestLastWords(t *testing.T) {
	var w lastWords
	for range 1000 {
		if n, err := io.WriteString(&w, "a line of the log\n"); n != 18 || err != nil {
			t.Fatal(n, err)
		}
	}
	_, _ = io.WriteString(&w, "the end\n")
	got := w.String()
	if strings.Count(got, "\n") != 9 || !strings.HasSuffix(got, "a line of the log\nthe end") || len(w.said) > maxWords {
		t.Errorf("%d bytes kept, %q", len(w.said), got)
	}
	var long lastWords
	_, _ = long.Write(bytes.Repeat([]byte("x"), 2*maxWords))
	if len(long.String()) != maxWords {
		t.Errorf("one long line: %d bytes", len(long.String()))
	}
}

func TestLaneCountsRecords(t *testing.T) {
	l := lane{Committed: -1, Durable: -1}
	note := func(offset uint64) { // docs/format.md: version 1, offset, epoch 0, timestamp 0
		position := append(binary.AppendUvarint([]byte{0x20}, offset), 0, 0)
		l.note(mapping.Stored{Headers: []mapping.StoredHeader{{Name: []byte("~"), Value: position}}})
	}
	note(3)
	note(7)
	note(7)
	note(5)
	l.note(mapping.Stored{Headers: []mapping.StoredHeader{{Value: []byte("fence")}}, Body: []byte("t")})
	if want := (lane{Committed: -1, Durable: 7, Records: 4, Backward: 2, Fences: 1}); l != want {
		t.Errorf("%+v, want %+v", l, want)
	}
	l.End, l.Committed = 12, 10
	if l.Done() != 10 || l.Lag() != 2 || l.Known() != 12 {
		t.Errorf("done %d, lag %d, known %d", l.Done(), l.Lag(), l.Known())
	}
}

func TestCreateBasinAnswers(t *testing.T) {
	for status, ok := range map[int]bool{200: true, 201: true, 409: true, 400: false, 405: false, 500: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var ask struct{ Basin string }
			if err := json.NewDecoder(r.Body).Decode(&ask); err != nil || ask.Basin != "basin-of-mine" || r.Method != http.MethodPost ||
				r.URL.Path != "/v1/basins" || r.Header.Get("Authorization") != "Bearer mine" {
				status = http.StatusTeapot
			}
			w.WriteHeader(status)
		}))
		s := &stage{url: server.URL, basin: "basin-of-mine", token: "mine"}
		if err := s.createBasin(context.Background()); (err == nil) != ok {
			t.Errorf("%d: %v", status, err)
		}
		server.Close()
	}
}

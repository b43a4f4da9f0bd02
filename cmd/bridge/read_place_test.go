package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kafka-s2-bridge/tests/s2mem"
)

// configFor writes a configuration that has what is needed for S2, and nothing
// right for Kafka.
func configFor(t *testing.T, srv *s2mem.Server, more ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.toml")
	text := "[kafka]\nbrokers = []\n[s2]\nbasin = \"" + s2mem.DefaultBasin + "\"\nendpoint = \"" + srv.URL() + "\"\n" + strings.Join(more, "\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestReadAndGapsUsage(t *testing.T) {
	config := configFor(t, newReel(t, "x").srv)
	for _, c := range []struct {
		args string
		err  string
	}{
		{"read", "say which stream"},
		{"gaps", "say which stream"},
		{"read a b", "accepts at most 1 arg"},
		{"read orders/0", "must be named as s2://BASIN/STREAM"},
		{"read s2://basin-one", "must be named as s2://BASIN/STREAM"},
		{"read s2://basin-one/", "must have 1 to 512 bytes"},
		{"read s2://basin-one/" + strings.Repeat("n", 513), "must have 1 to 512 bytes"},
		{"read s2://Basin/x", "the basin in s2://"},
		{"read s2://basin-one/x --topic t", "exclude each other"},
		{"gaps s2://basin-one/x --partition 1", "exclude each other"},
		{"read --topic t", "--topic needs --partition"},
		{"read --topic t --partition -2", "--partition must be 0 or more"},
		{"read --topic a/b --partition 0", "--topic must be a topic's name"},
		{"read s2://basin-one/x --endpoint localhost:1", "--endpoint must be a URL"},
		{"read s2://basin-one/x --endpoint http://h/v1", "--endpoint must be a URL"},
		{"read s2://basin-one/x --from-offset -1", "--from-offset must be 0 or more"},
		{"read s2://basin-one/x --last -1", "--last must be 0 or more"},
		{"read s2://basin-one/x --count 0", "--count must be 1 or more"},
		{"read s2://basin-one/x --from-time yesterday", "--from-time must be milliseconds since 1970 or a time"},
		{"read s2://basin-one/x --last 1 --from-offset 1", "none of the others can be"},
		{"read s2://basin-one/x -c no-such.toml", "configuration file no-such.toml: no such file"},
		{"read s2://basin-one/x", "must be set for S2's cloud"},
		{"read -c " + config + " --topic t --partition 0 --endpoint http://h:1 --nope", "--nope"},
	} {
		t.Setenv("S2_ACCESS_TOKEN", "")
		got := bridge(t, strings.Fields(c.args)...)
		if got.code != exitUsage || !strings.Contains(got.err, c.err) || got.out != "" {
			t.Errorf("bridge %.100s: %+v, want %q", c.args, got, c.err)
		}
	}
}

// What the configuration says wrongly about S2 counts, about Kafka it does not.
func TestReadConfiguration(t *testing.T) {
	r := newReel(t, "k.orders.3")
	r.take(0)
	r.data(plain(0)...)
	file := configFor(t, r.srv, "[stream]", `name = "k.{topic}.{partition}"`)
	got := bridge(t, "read", "-c", file, "--topic", "orders", "--partition", "3", "-f", offsets)
	if got != (said{exitDone, "0 ", ""}) {
		t.Errorf("by a template: %+v", got)
	}
	t.Setenv("BRIDGE_STREAM__NAME", "{cluster}/{topic}/{partition}")
	got = bridge(t, "read", "-c", file, "--topic", "orders", "--partition", "3")
	if got.code != exitUsage || !strings.Contains(got.err, "name the stream itself, as s2://"+s2mem.DefaultBasin+"/STREAM") {
		t.Errorf("a template that needs the cluster: %+v", got)
	}
	got = bridge(t, "gaps", "-c", file, "--topic", "orders")
	if got.code != exitUsage || !strings.Contains(got.err, "name the stream itself") {
		t.Errorf("a template that needs the cluster: %+v", got)
	}
	// The address wins over s2.basin, the flag over s2.endpoint, and the file is not needed.
	t.Setenv("BRIDGE_STREAM__NAME", "{topic}/{partition}")
	t.Setenv("BRIDGE_S2__BASIN", "another-basin")
	t.Setenv("BRIDGE_S2__ENDPOINT", "http://127.0.0.1:1")
	r.want(exitDone, "0 ", "", "read", "-f", offsets)
	t.Setenv("BRIDGE_S2__CONNECTIONS", "many")
	if got := r.run("read"); got.code != exitUsage || !strings.Contains(got.err, "s2.connections (BRIDGE_S2__CONNECTIONS) must be") {
		t.Errorf("a wrong setting of S2: %+v", got)
	}
}

func TestReadAccessToken(t *testing.T) {
	srv := s2mem.Start(t, s2mem.Options{AccessTokens: []string{"right-token"}})
	srv.Create("x")
	args := []string{"s2://" + s2mem.DefaultBasin + "/x", "--endpoint", srv.URL()}
	for _, command := range []string{"read", "gaps"} {
		t.Setenv("S2_ACCESS_TOKEN", "right-token")
		if got := bridge(t, append([]string{command}, args...)...); got.code != exitDone {
			t.Errorf("%s: %+v", command, got)
		}
		t.Setenv("S2_ACCESS_TOKEN", "wrong-token")
		got := bridge(t, append([]string{command}, args...)...)
		if got.code != exitUnknown || !strings.Contains(got.err, "check-tail and read") || strings.Contains(got.err, "wrong-token") {
			t.Errorf("%s: %+v", command, got)
		}
	}
	if n := srv.Requests(s2mem.OpAsk) + srv.Requests(s2mem.OpAppend); n != 0 {
		t.Errorf("%d appends: a token that may only read would not do", n)
	}
}

func TestReadNobodyThere(t *testing.T) {
	got := bridge(t, "read", "s2://basin-one/x", "--endpoint", "http://127.0.0.1:1")
	if got.code != exitUnknown || !strings.Contains(got.err, "S2 at http://127.0.0.1:1 cannot be reached: check --endpoint") {
		t.Errorf("%+v", got)
	}
	srv := s2mem.Start(t, s2mem.Options{})
	got = bridge(t, "gaps", "s2://no-such-basin/x", "--endpoint", srv.URL())
	if got.code == exitDone || !strings.Contains(got.err, "no-such-basin") {
		t.Errorf("%+v", got)
	}
}

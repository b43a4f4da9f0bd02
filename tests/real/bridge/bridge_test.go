package bridge_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kafka-s2-bridge/tests/real/bridge"
)

func TestSettingsAsTOML(t *testing.T) {
	got := bridge.Settings{"kafka.group": "a\"b", "kafka.brokers": []string{"h:1", "h:2"}, "memory.budget": 5, "x.on": true}.TOML()
	want := "kafka.brokers = [\"h:1\", \"h:2\"]\nkafka.group = \"a\\\"b\"\nmemory.budget = 5\nx.on = true\n"
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// A script stands in for the bridge: an end that nobody asked for is an error of Kill, Stop and WaitReady.
func TestAnEndByItselfIsNoticed(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "script")
	if err := os.WriteFile(bin, []byte("#!/bin/sh\necho no broker today\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := bridge.Start(bridge.Options{Binary: bin, Dir: dir, Name: "one"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	<-p.Child().Done()
	for _, err := range []error{p.WaitReady(ctx), p.Kill(), p.Stop(time.Second)} {
		if err == nil || !strings.Contains(err.Error(), "exit status 1") || !strings.Contains(err.Error(), "no broker today") {
			t.Errorf("error %v", err)
		}
	}
	if err := p.Restart(); err != nil || p.Starts() != 2 {
		t.Errorf("%d starts, %v", p.Starts(), err)
	}
	<-p.Child().Done()
}

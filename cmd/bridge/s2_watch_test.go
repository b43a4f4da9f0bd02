package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"kafka-s2-bridge/sink"
	"kafka-s2-bridge/tests/s2mem"
)

// S2 goes while nothing is sent to it: nobody else would notice.
func TestS2GoesWhileNothingComes(t *testing.T) {
	srv := s2mem.Start(t, s2mem.Options{})
	client, err := sink.New(sink.Config{Endpoint: srv.URL(), Basin: s2mem.DefaultBasin, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	var out lockedBuffer
	w := &s2Watch{check: client.Check, log: slog.New(slog.NewTextHandler(&out, nil))}

	w.Look(t.Context())
	if got := w.Trouble(); got != "" || out.String() != "" {
		t.Fatalf("while it works: %q, %s", got, out.String())
	}
	again := srv.Fault(s2mem.Fault{Op: s2mem.OpList, Do: s2mem.Refuse, Status: 503, Count: -1})
	w.Look(t.Context())
	w.Look(t.Context())
	if got := w.Trouble(); !strings.Contains(got, "503") {
		t.Errorf("it refuses: %q", got)
	}
	again.Remove()
	w.Look(t.Context())
	if got := w.Trouble(); got != "" {
		t.Errorf("it works again: %q", got)
	}
	srv.Close()
	w.Look(t.Context())
	if got := w.Trouble(); !strings.Contains(got, "cannot connect to S2 at "+srv.URL()) {
		t.Errorf("it is gone: %q", got)
	}
	// A failure that passes at once is none.
	blips := &s2Watch{log: w.log}
	blips.check = func(context.Context) error { blips.check = func(context.Context) error { return nil }; return io.EOF }
	blips.Look(t.Context())
	if got := blips.Trouble(); got != "" {
		t.Errorf("it answered the second time: %q", got)
	}
	// An acknowledgement says more than a look.
	w.acks.Add(1)
	w.Look(t.Context())
	if got := w.Trouble(); got != "" {
		t.Errorf("it acknowledges: %q", got)
	}
	if got := out.String(); strings.Count(got, "S2 does not work") != 2 || strings.Count(got, "S2 works again") != 2 {
		t.Errorf("the log tells changes only:\n%s", got)
	}
	// The end of the process is no failure of S2.
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	w.Look(ended)
	if got := w.Trouble(); got != "" {
		t.Errorf("at the end: %q", got)
	}
}

func TestS2IsLookedAtOnlyWhileNothingIsAcknowledged(t *testing.T) {
	looks := 0
	w := &s2Watch{check: func(ctx context.Context) error {
		looks++
		if at, ok := ctx.Deadline(); !ok || time.Until(at) > s2LookTimeout {
			t.Error("a look without an end")
		}
		return nil
	}, log: slog.New(slog.DiscardHandler)}
	for range 5 {
		w.acks.Add(3)
		w.Look(t.Context())
	}
	if looks != 0 {
		t.Errorf("%d looks at an S2 that acknowledges", looks)
	}
	w.Look(t.Context())
	if looks != 1 {
		t.Errorf("%d looks after a silence", looks)
	}
}

// lockedBuffer is a log that is read while others write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

package main

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// s2LookEvery is how often S2 is looked at while it acknowledges nothing.
	s2LookEvery = 10 * time.Second
	// s2LookTimeout bounds one look.
	s2LookTimeout = 5 * time.Second
)

// s2Watch knows whether S2 is there while nothing is sent to it: an owner that
// has no records asks S2 nothing, and would find out only with the next one.
type s2Watch struct {
	acks  atomic.Uint64                   // acknowledgements of appends so far: as good as a look
	check func(ctx context.Context) error // one look; its error is a sentence
	log   *slog.Logger
	seen  uint64 // acks at the last look

	mu      sync.Mutex
	trouble string
}

// Trouble is the sentence of the last look; "" if S2 was there.
func (w *s2Watch) Trouble() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trouble
}

// Look asks S2, unless something was acknowledged since the last look. It is for
// one goroutine.
func (w *s2Watch) Look(parent context.Context) {
	if acks := w.acks.Load(); acks != w.seen {
		w.seen = acks
		w.found(nil)
		return
	}
	ctx, cancel := context.WithTimeout(parent, s2LookTimeout)
	defer cancel()
	err := w.check(ctx)
	if err != nil && ctx.Err() == nil {
		// The connection that was cut when S2 went tells less than a new one, and a
		// server that is about to end refuses what the next one will take.
		err = w.check(ctx)
	}
	if parent.Err() == nil { // else it was cut off
		w.found(err)
	}
}

func (w *s2Watch) found(err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	w.mu.Lock()
	before := w.trouble
	w.trouble = now
	w.mu.Unlock()
	switch {
	case before == "" && now != "":
		w.log.Warn("S2 does not work; looking again", "error", err)
	case before != "" && now == "":
		w.log.Info("S2 works again")
	}
}

package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// repeatEvery is how often a warning that comes again and again is shown. A
// broker that is gone for a night must not fill the disk.
const repeatEvery = 20 * time.Second

// sameBy are the attributes that tell warnings with one message apart. Others,
// such as the error's text, may differ from time to time.
var sameBy = map[string]bool{"topic": true, "partition": true, "says": true, "addr": true, "file": true}

// sparing is a slog.Handler that shows of the warnings that say the same only
// the first within repeatEvery, and with it how many were left out before.
// Errors and everything that is not a trouble pass.
type sparing struct {
	slog.Handler
	bound string // of the attributes that the logger carries
	seen  *repeats
}

func spare(h slog.Handler) slog.Handler {
	return &sparing{Handler: h, seen: &repeats{last: map[string]repeat{}}}
}

func (s *sparing) Handle(ctx context.Context, r slog.Record) error {
	if r.Level != slog.LevelWarn {
		return s.Handler.Handle(ctx, r)
	}
	var same strings.Builder
	same.WriteString(r.Message + s.bound)
	r.Attrs(func(a slog.Attr) bool {
		same.WriteString(identity(a))
		return true
	})
	show, left := s.seen.note(same.String(), r.Time)
	if !show {
		return nil
	}
	if left > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("left_out", left))
	}
	return s.Handler.Handle(ctx, r)
}

func (s *sparing) WithAttrs(attrs []slog.Attr) slog.Handler {
	bound := s.bound
	for _, a := range attrs {
		bound += identity(a)
	}
	return &sparing{s.Handler.WithAttrs(attrs), bound, s.seen}
}

func (s *sparing) WithGroup(name string) slog.Handler {
	return &sparing{s.Handler.WithGroup(name), s.bound, s.seen}
}

func identity(a slog.Attr) string {
	if !sameBy[a.Key] {
		return ""
	}
	return "\x00" + a.Key + "=" + a.Value.String()
}

// repeats knows when each warning was shown last.
type repeats struct {
	mu   sync.Mutex
	last map[string]repeat
}

type repeat struct {
	shown time.Time
	left  int // came since and were not shown
}

// maxRepeats bounds the memory for warnings that are not forgotten yet.
const maxRepeats = 20_000

func (r *repeats) note(same string, now time.Time) (show bool, left int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w, known := r.last[same]
	if known && now.Sub(w.shown) < repeatEvery {
		w.left++
		r.last[same] = w
		return false, 0
	}
	if len(r.last) >= maxRepeats {
		for other, w := range r.last {
			if now.Sub(w.shown) >= repeatEvery {
				delete(r.last, other)
			}
		}
		if len(r.last) >= maxRepeats {
			clear(r.last)
		}
	}
	r.last[same] = repeat{shown: now}
	return true, w.left
}

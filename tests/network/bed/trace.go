package bed

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"
)

// Trace keeps the last lines of what happened in a run, with the time since its
// beginning: most runs are well, and nobody reads what they did.
type Trace struct {
	began time.Time
	mu    sync.Mutex
	ring  []string
	count int
	held  map[string]int
}

// NewTrace keeps so many lines.
func NewTrace(lines int) *Trace {
	return &Trace{began: time.Now(), ring: make([]string, lines), held: map[string]int{}}
}

// Printf adds a line.
func (t *Trace) Printf(format string, args ...any) {
	line := fmt.Sprintf("%9.3fs ", time.Since(t.began).Seconds()) + fmt.Sprintf(format, args...)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ring[t.count%len(t.ring)] = line
	t.count++
}

// String is what the ring holds, oldest first.
func (t *Trace) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	if lost := t.count - len(t.ring); lost > 0 {
		fmt.Fprintf(&b, "(%d lines before)\n", lost)
	}
	for i := max(0, t.count-len(t.ring)); i < t.count; i++ {
		b.WriteString(t.ring[i%len(t.ring)] + "\n")
	}
	return b.String()
}

// Held counts by reason how often a bridge has logged that a partition is held.
func (t *Trace) Held() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.held)
}

// Logger writes into the trace, in the name of somebody.
func (t *Trace) Logger(name string, level slog.Level) *slog.Logger {
	return slog.New(&handler{trace: t, prefix: name + ": ", level: level})
}

// handler is a slog.Handler for one line a record.
type handler struct {
	trace  *Trace
	prefix string
	suffix string
	level  slog.Level
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		if a.Key == "reason" && r.Message == "partition held" {
			h.trace.mu.Lock()
			h.trace.held[a.Value.String()]++
			h.trace.mu.Unlock()
		}
		return true
	})
	h.trace.Printf("%s%s%s%s", h.prefix, r.Message, h.suffix, b.String())
	return nil
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	for _, a := range attrs {
		c.suffix += fmt.Sprintf(" %s=%v", a.Key, a.Value)
	}
	return &c
}

func (h *handler) WithGroup(string) slog.Handler { return h }

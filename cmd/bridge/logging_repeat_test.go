package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestRepeatedWarningsAreSpared(t *testing.T) {
	var out bytes.Buffer
	base := spare(slog.NewTextHandler(&out, nil))
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	say := func(h slog.Handler, after time.Duration, level slog.Level, msg string, attrs ...slog.Attr) string {
		t.Helper()
		out.Reset()
		r := slog.NewRecord(began.Add(after), level, msg, 0)
		r.AddAttrs(attrs...)
		if err := h.Handle(context.Background(), r); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	gone := func(n int) slog.Attr { return slog.Any("error", fmt.Errorf("try %d: %w", n, errors.New("refused"))) }

	if got := say(base, 0, slog.LevelWarn, "commit failed", gone(0)); !strings.Contains(got, "try 0") || strings.Contains(got, "left_out") {
		t.Errorf("the first warning: %q", got)
	}
	for n := range 40 {
		if got := say(base, time.Duration(n)*repeatEvery/41, slog.LevelWarn, "commit failed", gone(n)); got != "" {
			t.Errorf("the same warning again: %q", got)
		}
	}
	if got := say(base, repeatEvery, slog.LevelWarn, "commit failed", gone(99)); !strings.Contains(got, "try 99") || !strings.Contains(got, "left_out=40") {
		t.Errorf("the next one: %q", got)
	}

	// Others pass: of another partition, given with the line or bound to the logger; another word of the client; other levels.
	bound := base.WithAttrs([]slog.Attr{slog.String("topic", "orders"), slog.Int("partition", 1)})
	for name, got := range map[string]string{
		"another partition": say(base, repeatEvery, slog.LevelWarn, "commit failed", slog.Int("partition", 1), gone(0)),
		"bound":             say(bound, repeatEvery, slog.LevelWarn, "commit failed", gone(0)),
		"another word":      say(base, repeatEvery, slog.LevelWarn, "kafka client", slog.String("says", "a"), gone(0)) + say(base, repeatEvery, slog.LevelWarn, "kafka client", slog.String("says", "b"), gone(0)),
		"info":              say(base, repeatEvery, slog.LevelInfo, "commit failed", gone(0)),
		"error":             say(base, repeatEvery, slog.LevelError, "commit failed", gone(0)),
	} {
		if got == "" {
			t.Errorf("%s was left out", name)
		}
	}
	if got := say(base.WithGroup("g").WithAttrs(nil), repeatEvery, slog.LevelWarn, "commit failed", gone(0)); got != "" {
		t.Errorf("a derived logger says it again: %q", got)
	}
}

// What is kept of old warnings is bounded.
func TestRepeatsForget(t *testing.T) {
	r := &repeats{last: map[string]repeat{}}
	now := time.Now()
	for n := range 3 * maxRepeats {
		if show, _ := r.note(fmt.Sprint(n), now); !show {
			t.Fatalf("warning %d is new and was left out", n)
		}
	}
	if len(r.last) > maxRepeats {
		t.Errorf("%d warnings are remembered", len(r.last))
	}
	r.note("last", now.Add(repeatEvery))
	for n := range maxRepeats {
		r.note(fmt.Sprint(n), now.Add(2*repeatEvery))
	}
	if len(r.last) > maxRepeats {
		t.Errorf("%d warnings are remembered", len(r.last))
	}
}

func TestLoggerShowsEveryWarningOnlyForDebugging(t *testing.T) {
	for level, want := range map[string]int{"debug": 3, "info": 1, "warn": 1} {
		var out bytes.Buffer
		log := newLogger(&out, LogConfig{Level: level, Format: "text"}, redactor{})
		for range 3 {
			log.Warn("no answer")
		}
		if n := strings.Count(out.String(), "no answer"); n != want {
			t.Errorf("level %s: %d lines, want %d", level, n, want)
		}
	}
}

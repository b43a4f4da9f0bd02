package main

import (
	"fmt"
	"io"
	"log/slog"
)

// newLogger returns the program's one logger. Everything that passes through it,
// messages and values of any depth, comes out without the secrets of hide.
// Warnings that repeat themselves are shown now and then only, unless the level
// is debug.
func newLogger(w io.Writer, cfg LogConfig, hide redactor) *slog.Logger {
	opts := &slog.HandlerOptions{
		Level: cfg.level(),
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			return hide.attr(a)
		},
	}
	var h slog.Handler = slog.NewTextHandler(w, opts)
	if cfg.Format == "json" {
		h = slog.NewJSONHandler(w, opts)
	}
	if cfg.level() > slog.LevelDebug {
		h = spare(h)
	}
	return slog.New(h)
}

// level is the slog level of the word in the configuration; info for a word
// that Validate would refuse.
func (c LogConfig) level() slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.Level)); err != nil {
		return slog.LevelInfo
	}
	return l
}

// attr takes the secrets out of one attribute. Values that are neither text nor
// errors nor able to print themselves are left alone: their secrets are of type
// Secret, or are none of ours.
func (r redactor) attr(a slog.Attr) (clean slog.Attr) {
	clean = a
	// A nil pointer inside an error or Stringer panics when asked for its text.
	// slog itself survives that and says so in the line, but only after us.
	defer func() { _ = recover() }()
	var before string
	switch v := a.Value.Any().(type) {
	case string:
		before = v
	case error:
		before = v.Error()
	case fmt.Stringer:
		before = v.String()
	case []byte:
		before = string(v)
	case []string:
		before = fmt.Sprint(v)
	default:
		return a
	}
	if after := r.text(before); after != before {
		clean.Value = slog.StringValue(after)
	}
	return clean
}

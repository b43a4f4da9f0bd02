package main

import (
	"io"
	"os"
)

// paint colours text, or leaves it alone: colours are for people at a
// terminal, never for files and pipes.
type paint bool

// paintFor decides for one output. NO_COLOR (no-color.org) and TERM=dumb turn
// colours off on a terminal too.
func paintFor(w io.Writer) paint {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return paint(err == nil && info.Mode()&os.ModeCharDevice != 0)
}

func (p paint) red(s string) string { return p.wrap("31", s) }

func (p paint) wrap(code, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

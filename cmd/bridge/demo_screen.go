package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// plainEvery is how often a line is written where nothing can be redrawn.
const plainEvery = 3 * time.Second

// screen shows views: redrawn in place on a terminal, as plain lines elsewhere.
type screen struct {
	out   io.Writer
	paint paint
	fd    int // of the terminal; -1: none
	drawn int // lines of the last picture, which the next one replaces
	last  time.Time
}

func newScreen(out io.Writer) *screen {
	s := &screen{out: out, paint: paintFor(out), fd: -1}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		s.fd = int(f.Fd())
	}
	return s
}

// inPlace says whether pictures replace each other.
func (s *screen) inPlace() bool { return s.fd >= 0 }

// show draws a view. On a terminal it takes the place of the one before.
func (s *screen) show(v view) {
	if !s.inPlace() {
		if now := time.Now(); now.Sub(s.last) >= plainEvery {
			s.last = now
			fmt.Fprintln(s.out, v.line())
		}
		return
	}
	width, height, err := term.GetSize(s.fd)
	if err != nil || width < 1 || height < 2 {
		width, height = 80, 24
	}
	// The last column and line stay free: some terminals would scroll.
	lines := v.draw(width-1, height-1, s.paint)
	fmt.Fprint(s.out, redraw(lines, s.drawn))
	s.drawn = len(lines)
}

// redraw goes up over the lines that are there and writes others over them.
func redraw(lines []string, before int) string {
	var b strings.Builder
	if before > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r", before)
	}
	for _, line := range lines {
		b.WriteString(line + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	return b.String()
}

// keep lets the last picture stand: what is written next comes below it.
func (s *screen) keep() { s.drawn = 0 }

// meter measures rates over the last seconds.
type meter struct {
	samples []sample
}

type sample struct {
	at      time.Time
	records []int
}

// meterSpan is the time that a rate is the mean of.
const meterSpan = 3 * time.Second

// add notes the counts at a time and returns the rates a second up to then.
func (m *meter) add(at time.Time, lanes []lane) []float64 {
	now := sample{at: at, records: make([]int, len(lanes))}
	for i, l := range lanes {
		now.records[i] = l.Records
	}
	m.samples = append(m.samples, now)
	for len(m.samples) > 2 && at.Sub(m.samples[1].at) >= meterSpan {
		m.samples = m.samples[1:]
	}
	first := m.samples[0]
	rates := make([]float64, len(lanes))
	if span := at.Sub(first.at).Seconds(); span > 0 {
		for i := range lanes {
			rates[i] = float64(now.records[i]-first.records[i]) / span
		}
	}
	return rates
}

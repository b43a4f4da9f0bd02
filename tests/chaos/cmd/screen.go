package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"kafka-s2-bridge/tests/chaos"
)

// plainEvery is how often the status is a line where nothing can be redrawn.
const plainEvery = 5 * time.Second

// screen has events that scroll by, and a status that stays below them: redrawn on a terminal, a line now and then elsewhere.
// Safe for concurrent use.
type screen struct {
	began time.Time
	out   io.Writer
	width func() int // of the terminal; nil: none

	mu     sync.Mutex
	status []string
	drawn  int // lines of the status that stand at the bottom
	last   time.Time
}

func newScreen(out io.Writer) *screen {
	s := &screen{began: time.Now(), out: out}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		s.width = func() int {
			if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 1 {
				return width - 1 // some terminals scroll where the last column is written
			}
			return 79
		}
	}
	return s
}

// tell writes an event.
func (s *screen) tell(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	fmt.Fprintf(s.out, "%s  %s\n", s.clock(), fmt.Sprintf(format, args...))
	s.draw()
}

// show replaces the status.
func (s *screen) show(status []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
	if s.width == nil {
		if now := time.Now(); now.Sub(s.last) >= plainEvery {
			s.last = now
			fmt.Fprintf(s.out, "%s  %s\n", s.clock(), strings.Join(status, "; "))
		}
		return
	}
	s.erase()
	s.draw()
}

// keep lets the status stand where it is: what is told next comes below.
func (s *screen) keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.width == nil {
		fmt.Fprintf(s.out, "%s  %s\n", s.clock(), strings.Join(s.status, "; "))
	}
	s.status, s.drawn = nil, 0
}

func (s *screen) clock() string { return fmt.Sprintf("%6.1f s", time.Since(s.began).Seconds()) }

func (s *screen) erase() {
	if s.drawn > 0 {
		fmt.Fprintf(s.out, "\x1b[%dA\r\x1b[J", s.drawn)
		s.drawn = 0
	}
}

func (s *screen) draw() {
	if s.width == nil {
		return
	}
	width := s.width()
	for _, line := range s.status {
		fmt.Fprintln(s.out, line[:min(len(line), width)]) // ASCII
	}
	s.drawn = len(s.status)
}

// status is the count so far.
func status(n chaos.Tally, c *chaos.Count) []string {
	return []string{
		fmt.Sprintf("records in Kafka %s, copied %s, fences %s", grouped(n.Served), grouped(n.Copied), grouped(n.Fences)),
		fmt.Sprintf("lost %s, duplicated %s, foreign %s", grouped(n.Lost), grouped(n.Doubled), grouped(n.Stranger)),
		fmt.Sprintf("SIGKILL bridges %d, Kafka %d, S2 %d; SIGTERM %d", c.Kills.Load(), c.KafkaKills.Load(), c.S2Kills.Load(), c.Ends.Load()),
		fmt.Sprintf("SIGSTOP bridges %d, beyond their session %d, servers %d", c.Dozes.Load(), c.Zombies.Load(), c.KafkaDozes.Load()+c.S2Dozes.Load()),
	}
}

// grouped is a number with commas.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// sample view: two partitions at rest, one behind, one that was never written.
func exampleView() view {
	return view{
		Elapsed: 83 * time.Second, Where: "Kafka 127.0.0.1:41000 (embedded) -> bridge -> S2 http://127.0.0.1:42000 (in memory)",
		Topic: "orders", HTTP: "127.0.0.1:9464", Pid: 4242, Restarts: 12, Hint: "Ctrl-C ends it, and compares every record",
		Lanes: []lane{
			{
				End: 5230, Committed: 5230, Durable: 5228, Records: 5001, Fences: 13,
				Made: edgeCounts{largeRecord: 12, tombstone: 3456, hostile: 78}, Seen: edgeCounts{largeRecord: 11, tombstone: 3450, hostile: 78},
			},
			{End: 1_234_567, Committed: 1_230_000, Durable: 1_233_333, Records: 1_200_000, Fences: 13, Made: edgeCounts{largeRecord: 1}, Seen: edgeCounts{largeRecord: 1}},
			{End: 100, Start: 100, Committed: -1, Durable: -1},
			{End: 80, Committed: 90, Durable: 92, Records: 90, Fences: 2}, // Kafka was asked before S2
		},
		Aborted: 1234,
		Rates:   []float64{249.6, 1000, 0, 12.4},
		Events:  []string{"1:01  one", "1:02  two", "1:03  three", "1:04  four", "1:05  five"},
	}
}

func TestViewAsDrawn(t *testing.T) {
	down := exampleView()
	down.Pid, down.Trouble, down.Checked = 0, "Kafka does not answer: connection refused", "round 1: 200,000 records compared"
	down.Lanes[0].Backward = 3
	many := exampleView()
	for len(many.Lanes) < 40 {
		many.Lanes, many.Rates = append(many.Lanes, lane{End: 10, Committed: 8, Durable: 7, Records: 8}), append(many.Rates, 1)
	}
	for _, c := range []struct {
		name          string
		view          view
		width, height int
	}{
		{"usual", exampleView(), 100, 40},
		{"trouble", down, 100, 40},
		{"many", many, 80, 24},
		{"narrow", exampleView(), 44, 40},
		{"tiny", many, 10, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := c.view.draw(c.width, c.height, false)
			if len(lines) > c.height {
				t.Errorf("%d lines in %d", len(lines), c.height)
			}
			for _, line := range lines {
				if utf8.RuneCountInString(line) > c.width {
					t.Errorf("wider than %d: %q", c.width, line)
				}
			}
			golden(t, filepath.Join("testdata", "demo_"+c.name+".txt"), strings.Join(lines, "\n")+"\n")

			painted := c.view.draw(c.width, c.height, true)
			bare := regexp.MustCompile(`\x1b\[[0-9]*m`).ReplaceAllString(strings.Join(painted, "\n"), "")
			if bare != strings.Join(lines, "\n") {
				t.Errorf("colours change the text:\n%s", bare)
			}
			if c.height > 10 && !strings.Contains(strings.Join(painted, "\n"), "\x1b[33m") {
				t.Error("a lag is not yellow")
			}
		})
	}
}

// golden compares text with a file. UPDATE=1 writes the file instead.
func golden(t *testing.T, path, text string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s: got\n%swant\n%s", path, text, want)
	}
}

func TestViewAsLine(t *testing.T) {
	v := exampleView()
	v.Trouble = "S2 does not answer: no"
	want := "1:23  Kafka end 1,239,990, durable 1,238,757, lag 1,233, 1,262 records/s; in S2 1,205,091 records, twice or out of order 0; restarts 12; S2 does not answer: no"
	if got := v.line(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestScreenOfAPipe(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	s.show(exampleView())
	s.show(exampleView()) // too soon
	if s.inPlace() || strings.Count(out.String(), "\n") != 1 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%q", out.String())
	}
}

func TestRedraw(t *testing.T) {
	if got := redraw([]string{"a", "b"}, 0); got != "a\x1b[K\nb\x1b[K\n\x1b[J" {
		t.Errorf("first: %q", got)
	}
	if got := redraw([]string{"c"}, 2); got != "\x1b[2A\rc\x1b[K\n\x1b[J" {
		t.Errorf("second: %q", got)
	}
}

func TestMeter(t *testing.T) {
	var m meter
	at := time.Unix(1000, 0)
	for i, want := range []float64{0, 10, 10, 10, 10, 10, 10} {
		if got := m.add(at.Add(time.Duration(i)*time.Second), []lane{{Records: 10 * i}, {}}); got[0] != want || got[1] != 0 {
			t.Errorf("second %d: %v, want %v", i, got, want)
		}
	}
	if got := m.add(at.Add(9*time.Second), []lane{{Records: 60}, {}}); got[0] != 0 {
		t.Errorf("after three seconds of rest: %v", got)
	}
	if len(m.samples) > 5 {
		t.Errorf("%d samples are kept", len(m.samples))
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1: "-1", -1000: "-1,000", -123456: "-123,456"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{{"abc", 3, "abc"}, {"abcdef", 5, "ab..."}, {"abcdef", 3, "abc"}, {"abc", 0, ""}, {"a\nb", 5, "a b"}, {"äöüß", 4, "äöüß"}, {"äöüßä", 4, "ä..."}} {
		if got := fit(c.text, c.width); got != c.want {
			t.Errorf("fit %q into %d: %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// view is everything that the live picture shows. It is made of numbers and
// text only: what is drawn from it depends on nothing else.
type view struct {
	Elapsed  time.Duration
	Where    string // the servers
	Topic    string
	HTTP     string // address of the bridge's endpoint
	Pid      int    // of the bridge; 0: it is dead
	Restarts int
	Lanes    []lane
	Rates    []float64 // records a second into S2, by partition
	Aborted  int       // records written in transactions that were aborted
	Trouble  string    // "" if Kafka and S2 answer
	Events   []string  // newest last
	Checked  string    // of earlier rounds; "" if there is none
	Hint     string    // what the viewer may do
}

// shownEvents is how many of the events are drawn.
const shownEvents = 4

// draw makes lines of at most width characters, and at most height of them:
// partitions that do not fit are summed up in one line.
func (v view) draw(width, height int, p paint) []string {
	var head, table, foot []string
	head = append(head,
		p.bold(fit("bridge demo  "+clock(v.Elapsed)+"   "+v.Hint, width)),
		fit(v.Where, width),
		"")
	foot = append(foot, "")
	all, rate := lane{}, 0.0
	for i, l := range v.Lanes {
		all.Records += l.Records
		all.Backward += l.Backward
		all.Fences += l.Fences
		rate += v.Rates[i]
	}
	order := p.green
	if all.Backward > 0 {
		order = p.red
	}
	foot = append(foot,
		fit(fmt.Sprintf("in S2 %s records, %s take-overs of streams", grouped(all.Records-all.Backward), grouped(all.Fences)), width),
		order(fit("records twice or out of order "+grouped(all.Backward), width)),
		v.bridge(width, p),
		fit("metrics and health: http://"+v.HTTP, width))
	if v.Checked != "" {
		foot = append(foot, fit(v.Checked, width))
	}
	if v.Trouble != "" {
		foot = append(foot, p.red(fit(v.Trouble, width)))
	}
	if len(v.Events) > 0 {
		foot = append(foot, "")
		for _, e := range v.Events[max(0, len(v.Events)-shownEvents):] {
			foot = append(foot, fit(e, width))
		}
	}
	room := max(height-len(head)-len(foot)-2, 1) // for partitions, without title and sum
	if edges := v.edges(width); room >= len(edges)+min(len(v.Lanes), 4) {
		foot = slices.Insert(foot, 3, edges...) // below the counts
		room -= len(edges)
	}
	table = append(table, p.bold(fit(row("partition", "Kafka end", "durable", "lag", "records/s"), width)))
	shown := len(v.Lanes)
	if shown > room {
		shown = max(room-1, 0)
	}
	for i, l := range v.Lanes[:shown] {
		table = append(table, v.row(fmt.Sprintf("%s/%d", v.Topic, i), []lane{l}, v.Rates[i], width, p))
	}
	if more := len(v.Lanes) - shown; more > 0 {
		sum := 0.0
		for _, r := range v.Rates[shown:] {
			sum += r
		}
		table = append(table, v.row(fmt.Sprintf("%d more", more), v.Lanes[shown:], sum, width, p))
	}
	table = append(table, v.row("all", v.Lanes, rate, width, p))
	lines := append(append(head, table...), foot...)
	return lines[:min(len(lines), max(height, 1))]
}

func (v view) bridge(width int, p paint) string {
	if v.Pid == 0 {
		return p.red(fit("bridge killed with SIGKILL", width))
	}
	return fit(fmt.Sprintf("bridge runs as pid %d, killed with SIGKILL and started again %s", v.Pid, times(v.Restarts)), width)
}

// edges tells how many records of each edge Kafka serves, and how many are in S2.
func (v view) edges(width int) (lines []string) {
	var made, seen edgeCounts
	for _, l := range v.Lanes {
		made.plus(l.Made)
		seen.plus(l.Seen)
	}
	for _, line := range wrap("in Kafka / in S2:", edgeList(pairs(made, seen)), width) {
		lines = append(lines, fit(line, width))
	}
	return append(lines, fit(fmt.Sprintf("written in transactions that were aborted %s", grouped(v.Aborted)), width))
}

// row sums lanes up. A lag is yellow while there is one.
func (v view) row(name string, lanes []lane, rate float64, width int, p paint) string {
	var end, done, lag int64
	for _, l := range lanes {
		end += l.Known()
		done += l.Done()
		lag += l.Lag()
	}
	text := fit(row(name, grouped(end), grouped(done), grouped(lag), grouped(int64(rate+.5))), width)
	if lag > 0 {
		return p.yellow(text)
	}
	return text
}

func row(name, end, durable, lag, rate string) string {
	return fmt.Sprintf("%s%13s%13s%11s%12s", pad(fit(name, 20), 20), end, durable, lag, rate)
}

// line is the picture for a file or pipe.
func (v view) line() string {
	var end, done, lag int64
	records, backward := 0, 0
	for _, l := range v.Lanes {
		end += l.Known()
		done += l.Done()
		lag += l.Lag()
		records += l.Records - l.Backward
		backward += l.Backward
	}
	rate := 0.0
	for _, r := range v.Rates {
		rate += r
	}
	s := fmt.Sprintf("%s  Kafka end %s, durable %s, lag %s, %s records/s; in S2 %s records, twice or out of order %s; restarts %d",
		clock(v.Elapsed), grouped(end), grouped(done), grouped(lag), grouped(int64(rate+.5)), grouped(records), grouped(backward), v.Restarts)
	if v.Trouble != "" {
		s += "; " + v.Trouble
	}
	return s
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return grouped(n) + " times"
}

// clock is minutes and seconds.
func clock(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// grouped writes a number with a comma at every third digit.
func grouped[N int | int64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// fit cuts text to a width, on one line, and says so with dots.
func fit(text string, width int) string {
	text = strings.ReplaceAll(text, "\n", " ")
	switch {
	case utf8.RuneCountInString(text) <= width:
		return text
	case width < 4:
		return string([]rune(text)[:max(width, 0)])
	}
	return string([]rune(text)[:width-3]) + "..."
}

// wrap puts a list into lines of at most width characters, the first of which
// begins with its title. An item that is longer stands alone.
func wrap(title string, list []string, width int) (lines []string) {
	line := title
	for i, item := range list {
		if i < len(list)-1 {
			item += ","
		}
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(item) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += item
	}
	return append(lines, line)
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

func (p paint) green(s string) string  { return p.wrap("32", s) }
func (p paint) yellow(s string) string { return p.wrap("33", s) }
func (p paint) bold(s string) string   { return p.wrap("1", s) }

package oracle

import (
	"fmt"
	"strings"
)

// shown is how many violations a report tells in words, at most 3 of a kind; ranges of missing records count as one.
const shown = 24

// Report is the judgement on one stream, or the sum over several.
type Report struct {
	Stream string // topic/partition, or how many streams were summed

	Records    int // Kafka records found in S2, each once
	Missing    int // O1, O5: Kafka serves it, the stream has not got it
	Duplicates int // O2: there again
	Reordered  int // O2: there, but behind a later one
	Altered    int // O1: there, but not byte-exact
	Foreign    int // O3, O4: a record that is none of the bridge's, or one that Kafka does not serve
	Broken     int // O6 and the order of fences, markers, data and chunks

	Fences  int
	Markers int // open and gap markers
	Gaps    int // of them gap markers
	Gapped  int // records that a gap marker excuses (Expect.AllowGaps)
	Chunked int // records that came in chunks
	Torn    int // chunk groups given up and rightly begun anew after a fence

	Last int64  // position of the stream: offset of its last data record or marker; -1: none
	Next uint64 // sequence number behind that
	Tail uint64 // sequence number behind the last stored record

	Violations []string // the first few, in words
}

// Bad is the number of violations.
func (r Report) Bad() int {
	return r.Missing + r.Duplicates + r.Reordered + r.Altered + r.Foreign + r.Broken
}

// OK says that there is no violation.
func (r Report) OK() bool { return r.Bad() == 0 }

// String tells everything in a few lines.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d records, %d missing, %d duplicates, %d reordered, %d altered, %d foreign, %d broken; %d fences, %d markers, %d chunked, %d torn",
		r.Stream, r.Records, r.Missing, r.Duplicates, r.Reordered, r.Altered, r.Foreign, r.Broken, r.Fences, r.Markers, r.Chunked, r.Torn)
	if r.Gaps > 0 {
		fmt.Fprintf(&b, ", %d gap markers excusing %d records", r.Gaps, r.Gapped)
	}
	for _, v := range r.Violations {
		b.WriteString("\n  " + v)
	}
	if more := r.Bad() - len(r.Violations); len(r.Violations) > 0 && more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	return b.String()
}

// violation counts one, and keeps the first few of its kind in words: a thousand of one must not hide the other.
func (r *Report) violation(count *int, format string, args ...any) {
	if *count++; *count <= 3 {
		r.tell(format, args...)
	}
}

func (r *Report) tell(format string, args ...any) {
	if len(r.Violations) < shown {
		r.Violations = append(r.Violations, r.Stream+": "+fmt.Sprintf(format, args...))
	}
}

// Sum adds reports up. Last, Next and Tail are sums too and mean little.
func Sum(reports []Report) Report {
	var s Report
	for _, r := range reports {
		s.Records += r.Records
		s.Missing += r.Missing
		s.Duplicates += r.Duplicates
		s.Reordered += r.Reordered
		s.Altered += r.Altered
		s.Foreign += r.Foreign
		s.Broken += r.Broken
		s.Fences += r.Fences
		s.Markers += r.Markers
		s.Gaps += r.Gaps
		s.Gapped += r.Gapped
		s.Chunked += r.Chunked
		s.Torn += r.Torn
		s.Tail += r.Tail
		s.Violations = append(s.Violations, r.Violations...)
	}
	if len(s.Violations) > shown {
		s.Violations = s.Violations[:shown]
	}
	s.Stream = fmt.Sprintf("%d streams", len(reports))
	return s
}

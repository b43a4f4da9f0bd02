package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
)

// What is missing without a gap marker. The first has the name that metrics give
// it.
var reasonLegal = handoff.MissingLegal.String()

const reasonUnexplained = "unexplained"

// missing is a range of offsets that are not in the stream.
type missing struct {
	from, to int64 // to is the first one behind
	reason   string
	at       *int64 // milliseconds; of a marker
	seq      uint64
}

// account follows how far a stream is complete, and so knows what it leaves out:
//
//	open resume 5 | 5 | 6 | 9 | gap 10-20 | open resume 20 | 20
//	               complete to 6^ ^9: 7 and 8 are missing
//
// Where records were trimmed under the reader's feet it begins anew.
type account struct {
	through int64 // complete up to this offset
	known   bool
	next    uint64 // sequence number
}

// take looks at the next record.
func (a *account) take(s mapping.Stored, e mapping.Entry) (out []missing) {
	if s.Seq != a.next {
		a.known = false
	}
	a.next = s.Seq + 1
	through, ok := e.Through()
	if !ok {
		return nil
	}
	begins, reason := through, reasonLegal
	switch e.Kind {
	case mapping.OpenMark:
		begins, reason = e.Open.Resume, reasonUnexplained
	case mapping.GapMark:
		begins = e.Gap.From
	}
	if a.known && begins > a.through+1 {
		out = append(out, missing{a.through + 1, begins, reason, nil, s.Seq})
	}
	if g := e.Gap; e.Kind == mapping.GapMark && g.From < g.To { // an empty one says where an adopted stream goes on
		out = append(out, missing{g.From, g.To, g.Reason, &g.At, s.Seq})
	}
	if !a.known || through > a.through {
		a.through, a.known = through, true
	}
	return out
}

// total is what a reason comes to.
type total struct {
	Gaps    int   `json:"gaps"`
	Offsets int64 `json:"offsets"`
}

// gapTable prints what is missing in one stream.
type gapTable struct {
	out           *pipe
	basin, stream string
	asJSON        bool
	totals        map[string]total
}

func newGapTable(out *pipe, basin, stream string, asJSON bool) *gapTable {
	return &gapTable{out, basin, stream, asJSON, map[string]total{}}
}

func (t *gapTable) head() error {
	if t.asJSON {
		return nil
	}
	return t.out.write(fmt.Appendf(nil, "s2://%s/%s\n", t.basin, oneLine(t.stream)))
}

func (t *gapTable) row(m missing) error {
	sum := t.totals[m.reason]
	if sum.Gaps++; sum.Gaps == 1 && len(t.totals) == 0 && !t.asJSON {
		if err := t.out.write(fmt.Appendf(nil, "%12s %12s %9s  %-27s%-26s%s\n", "from", "to (before)", "offsets", "reason", "at", "seq")); err != nil {
			return err
		}
	}
	sum.Offsets += m.to - m.from
	t.totals[m.reason] = sum
	if t.asJSON {
		return t.json(struct {
			Stream  string `json:"stream"`
			From    int64  `json:"from"`
			To      int64  `json:"to"`
			Offsets int64  `json:"offsets"`
			Reason  string `json:"reason"`
			At      *int64 `json:"at,omitempty"`
			Seq     uint64 `json:"seq"`
		}{t.stream, m.from, m.to, m.to - m.from, m.reason, m.at, m.seq})
	}
	at := "-"
	if m.at != nil {
		at = time.UnixMilli(*m.at).UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return t.out.write(fmt.Appendf(nil, "%12d %12d %9d  %-27s%-26s%d\n", m.from, m.to, m.to-m.from, m.reason, at, m.seq))
}

// foot prints the totals.
func (t *gapTable) foot() error {
	if t.asJSON {
		return t.json(struct {
			Stream string           `json:"stream"`
			Totals map[string]total `json:"totals"`
		}{t.stream, t.totals})
	}
	if len(t.totals) == 0 {
		return t.out.write([]byte("no gaps\n"))
	}
	var parts []string
	for reason, sum := range t.totals {
		gaps := "gaps"
		if sum.Gaps == 1 {
			gaps = "gap"
		}
		parts = append(parts, fmt.Sprintf("%s: %s offsets in %s %s", reason, grouped(sum.Offsets), grouped(sum.Gaps), gaps))
	}
	slices.Sort(parts)
	return t.out.write([]byte("total  " + strings.Join(parts, "; ") + "\n"))
}

func (t *gapTable) json(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("gap as JSON: %w", err)
	}
	return t.out.write(append(line, '\n'))
}

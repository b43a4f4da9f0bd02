package sim

import (
	"fmt"
	"slices"
	"strings"

	"kafka-s2-bridge/handoff"
)

// Windows names what must happen at least once in some thousand runs, or (rare)
// in a whole campaign: every kind of fault, every instant that hazards are about,
// every way from phase to phase, every reason to hold, every answer, every gap
// marker, every policy that the world here can give.
func Windows(rare bool) []string {
	names := []string{
		"412-own-success", "aborted-transaction", "chunks-complete", "chunks-torn", "append-seq-mismatch", "commit-rejected", "data-loss-noticed", "drain-deadline",
		"false-alarm-while-reading", "fence-landed-while-leaving", "fence-race-lost", "late-ack-of-old-session", "late-append",
		"late-fence-landed", "late-notice", "owner-append-fenced", "rebalance", "zombie-append-rejected", "zombie-commit-rejected",
		"zombie-of-deleted-group", "end flowing", "end idle", "slot-waited-for", "commit-set-back", "adopted", "foreign-records-adopted",
		"identity-upgraded", "gap that hides epochs", "gap marker found", "half adopted", "new partition", "answer that does not fit", "answer for a topic that is gone", "restored",
		"epoch-that-kafka-has-not", "commit moved up", "commit moved down", "start earliest", "start latest", "start time", "start offset", "start new", "start above the log", "start below the log",
	}
	for k := range kindCount {
		if k != weatherKinds && k != letterLost && k != letterAnswerLost {
			names = append(names, k.String())
		}
	}
	for _, p := range points {
		names = append(names, "passed "+p)
	}
	for _, p := range points[:commonPoints] {
		names = append(names, "struck "+p)
	}
	for _, r := range handoff.Reasons() {
		names = append(names, "held "+string(r))
	}
	for cause := range handoff.Cause(len(handoff.Counters{}.Acquisitions)) {
		names = append(names, "cause "+cause.String())
	}
	for way := range strings.FieldsSeq(ways) {
		names = append(names, "phase "+strings.Replace(way, ">", " -> ", 1))
	}
	for _, g := range []string{"retention", "truncation", "operator", "refused"} {
		names = append(names, "gap "+g+" by policy", "gap "+g+" by an operator")
	}
	names = append(names, "gap dead_letter by policy")
	for _, kind := range []string{"large", "refused"} {
		for _, what := range []string{"held", "skipped", "dead lettered"} {
			names = append(names, kind+" record "+what)
		}
	}
	if !rare {
		return names
	}
	names = append(names, letterLost.String(), letterAnswerLost.String(), "letter-again", "lower-commit-lands-late",
		"copied-again-behind-a-trim", "truncation hidden by a marker", "truncation hidden by a trim", "truncation hidden by retention", "moved commit hidden by retention",
		"start behind a truncation", "set back by policy", "set back by an operator")
	for _, p := range points {
		names = append(names, "struck "+p)
	}
	for _, r := range handoff.Reasons() {
		for _, a := range r.Answers() {
			if a != handoff.AnswerNewStream { // it is package source's
				names = append(names, "answer "+string(a)+" to "+string(r))
			}
		}
	}
	return names
}

// ways are those from phase to phase that one step of a machine takes.
const ways = `
	locating>idle locating>acquiring locating>held locating>released
	idle>acquiring idle>held idle>released
	acquiring>flowing acquiring>held acquiring>released
	flowing>acquiring flowing>held flowing>draining flowing>released
	draining>released
	held>acquiring held>locating held>released`

// unheardOf are ways that happened and are not known.
func (h Hits) unheardOf() (list []string) {
	for name := range h {
		way, ok := strings.CutPrefix(name, "phase ")
		if !ok {
			continue
		}
		from, to, _ := strings.Cut(way, " -> ")
		if from != to && !slices.Contains(strings.Fields(ways), from+">"+to) {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// matrix shows how often a machine went from phase to phase.
func (h Hits) matrix() string {
	phases := []string{"locating", "idle", "acquiring", "flowing", "draining", "released", "held"}
	var b strings.Builder
	fmt.Fprintf(&b, "%-12s", "from \\ to")
	for _, to := range phases {
		fmt.Fprintf(&b, "%12s", to)
	}
	for _, from := range phases {
		fmt.Fprintf(&b, "\n%-12s", from)
		for _, to := range phases {
			n := h["phase "+from+" -> "+to]
			switch {
			case from == to:
				fmt.Fprintf(&b, "%12s", "-")
			case n == 0:
				fmt.Fprintf(&b, "%12s", "never")
			default:
				fmt.Fprintf(&b, "%12d", n)
			}
		}
	}
	return b.String()
}

func (h Hits) String() string {
	var lines []string
	for name, n := range h {
		lines = append(lines, fmt.Sprintf("%-40s %d", name, n))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

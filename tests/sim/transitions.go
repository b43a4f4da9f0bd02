package sim

import (
	"fmt"
	"slices"
	"strings"

	"kafka-s2-bridge/handoff"
)

var phases = []string{"locating", "idle", "acquiring", "flowing", "draining", "held", "released"}

var events = []string{
	"Begin", "Fetched", "Trouble", "Release", "Lost", "Resume", "Asked", "Created", "Fenced", "Page", "Ranged", "EpochEnded",
	"Located", "Recalled", "Overwritten", "DeadLettered", "Acked", "Ended", "Advised", "Tick", "Paced",
}

func eventIndex(ev handoff.Event) int {
	switch ev.(type) {
	case handoff.Begin:
		return 0
	case handoff.Fetched:
		return 1
	case handoff.Trouble:
		return 2
	case handoff.Release:
		return 3
	case handoff.Lost:
		return 4
	case handoff.Resume:
		return 5
	case handoff.Asked:
		return 6
	case handoff.Created:
		return 7
	case handoff.Fenced:
		return 8
	case handoff.Page:
		return 9
	case handoff.Ranged:
		return 10
	case handoff.EpochEnded:
		return 11
	case handoff.Located:
		return 12
	case handoff.Recalled:
		return 13
	case handoff.Overwritten:
		return 14
	case handoff.DeadLettered:
		return 15
	case handoff.Acked:
		return 16
	case handoff.Ended:
		return 17
	case handoff.Advised:
		return 18
	case handoff.Tick:
		return 19
	case handoff.Paced:
		return 20
	}
	panic(fmt.Sprintf("sim: no such event: %T", ev))
}

// steps counts an event that a machine is about to take.
func (o *owner) steps(ev handoff.Event) {
	o.w.pairs[slices.Index(phases, o.phase)][eventIndex(ev)]++
}

// pairTable shows how often an event met a phase.
func (h Hits) pairTable() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-14s", "")
	for _, p := range phases[:6] {
		fmt.Fprintf(&b, "%12s", p)
	}
	for _, e := range events {
		fmt.Fprintf(&b, "\n%-14s", e)
		for _, p := range phases[:6] {
			fmt.Fprintf(&b, "%12d", h["on "+p+" "+e])
		}
	}
	return b.String()
}

// declared says of each event whether a machine does something with it in each of
// the phases (x), ignores it there, or would if it ever came (-), or cannot get it
// there (.). What is done has to happen in a campaign, what cannot be must not.
const declared = `
	              locating idle acquiring flowing draining held
	Begin         x        x    .         .       .        .
	Fetched       .        x    x         x       -        -
	Trouble       -        x    x         x       -        -
	Release       x        x    x         x       .        x
	Lost          x        x    x         x       x        x
	Resume        -        -    -         -       -        x
	Asked         x        .    x         -       .        -
	Created       .        .    x         -       .        -
	Fenced        .        .    x         -       .        -
	Page          x        .    x         -       .        -
	Ranged        x        x    x         x       -        -
	EpochEnded    x        -    x         x       -        -
	Located       x        .    x         .       .        -
	Recalled      .        .    x         -       .        -
	Overwritten   .        .    x         -       .        -
	DeadLettered  .        .    -         x       -        -
	Acked         .        -    -         x       x        -
	Ended         .        -    -         x       x        -
	Advised       .        .    -         x       -        -
	Tick          x        -    x         x       -        x
	Paced         .        .    -         x       -        -`

// misdeclared lists what that table says and did not happen (seen: where there were
// runs enough), and what happened and it does not know.
func (h Hits) misdeclared(seen bool) (list []string) {
	lines := strings.Split(strings.TrimSpace(declared), "\n")
	for _, line := range lines[1:] {
		words := strings.Fields(line)
		for i, phase := range strings.Fields(lines[0]) {
			n := h["on "+phase+" "+words[0]]
			switch mark := words[i+1]; {
			case mark == "x" && n == 0 && seen:
				list = append(list, fmt.Sprintf("never reached: %s in phase %s", words[0], phase))
			case mark == "." && n > 0:
				list = append(list, fmt.Sprintf("not declared, and %d times: %s in phase %s", n, words[0], phase))
			}
		}
	}
	return list
}

package sim

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"kafka-s2-bridge/handoff"
)

// TestMutants plants one bug after the other: each must be caught within 500
// seeds, and a correct variant must pass them.
func TestMutants(t *testing.T) {
	const within = 500
	rows := make([]string, len(Bugs))
	var work sync.WaitGroup
	cores := make(chan struct{}, 4)
	for i, b := range Bugs {
		cores <- struct{}{}
		work.Go(func() {
			defer func() { <-cores }()
			first, said := hunt(b, within)
			if r := firstRight(b, first); r != "" {
				t.Errorf("seed %d fails without the bug %s, too: %s", first, b.Name, r)
			}
			switch {
			case b.Right && first >= 0:
				t.Errorf("%s is right and fails with seed %d: %s", b.Name, first, said)
			case !b.Right && first < 0:
				t.Errorf("%s survives %d seeds: %s", b.Name, within, b.Story)
			}
			rows[i] = fmt.Sprintf("%-22s %10d  %s", b.Name, first, said)
		})
	}
	work.Wait()
	t.Logf("\n%-22s %10s  %s\n%s", "planted bug", "first seed", "what the oracle said", strings.Join(rows, "\n"))
}

// hunt gives the first seed that catches a bug, -1: none does.
func hunt(b Bug, within int) (first int, said string) {
	for seed := range within {
		if r := Run(Options{Seed: uint64(seed), Bug: b.Name, Focus: b.Focus}); r.Failed != "" {
			return seed, r.Failed
		}
	}
	return -1, ""
}

// firstRight runs the seed that caught a bug without it: only the bug may fail.
func firstRight(b Bug, seed int) string {
	if seed < 0 {
		return ""
	}
	return Run(Options{Seed: uint64(seed), Focus: b.Focus}).Failed
}

// Every defect that the machine knows is planted.
func TestEveryDefectIsPlanted(t *testing.T) {
	listed := map[string]int{}
	for _, b := range Bugs {
		listed[b.Name]++
	}
	for _, d := range handoff.Defects() {
		if listed[string(d)] != 1 {
			t.Errorf("%s is planted %d times", d, listed[string(d)])
		}
	}
}

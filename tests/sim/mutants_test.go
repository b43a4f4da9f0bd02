package sim

import (
	"fmt"
	"strings"
	"testing"
)

// TestMutants plants one bug after the other: each must be caught within 500
// seeds, and a correct variant must pass them.
func TestMutants(t *testing.T) {
	const within = 500
	table := []string{fmt.Sprintf("%-22s %10s  %s", "planted bug", "first seed", "what the oracle said")}
	for _, b := range Bugs {
		first, said := -1, ""
		for seed := range within {
			if r := Run(Options{Seed: uint64(seed), Bug: b.Name, Focus: b.Focus}); r.Failed != "" {
				first, said = seed, r.Failed
				break
			}
		}
		if r := firstRight(b, first); r != "" {
			t.Errorf("seed %d fails without the bug %s, too: %s", first, b.Name, r)
		}
		switch {
		case b.Right && first >= 0:
			t.Errorf("%s is right and fails with seed %d: %s", b.Name, first, said)
		case !b.Right && first < 0:
			t.Errorf("%s survives %d seeds: %s", b.Name, within, b.Story)
		}
		table = append(table, fmt.Sprintf("%-22s %10d  %s", b.Name, first, said))
	}
	t.Log("\n" + strings.Join(table, "\n"))
}

// firstRight runs the seed that caught a bug without it: only the bug may fail.
func firstRight(b Bug, seed int) string {
	if seed < 0 {
		return ""
	}
	return Run(Options{Seed: uint64(seed), Focus: b.Focus}).Failed
}

// TestDeterministic: one seed is one run, bit for bit.
func TestDeterministic(t *testing.T) {
	for seed := range uint64(200) {
		a, b := Run(Options{Seed: seed}), Run(Options{Seed: seed})
		if a.Hash != b.Hash {
			t.Fatalf("seed %d gave the traces %x and %x", seed, a.Hash, b.Hash)
		}
	}
}

package main

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runs are three runs of a mover that moved 1 GiB: CPU seconds and peak MiB of each.
func runs(cpuAndPeak ...float64) []measure {
	var out []measure
	for i := 0; i < len(cpuAndPeak); i += 2 {
		out = append(out, measure{bytes: 1 << 30, elapsed: time.Second, cpu: time.Duration(cpuAndPeak[i] * float64(time.Second)), peak: cpuAndPeak[i+1]})
	}
	return out
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name   string
		bridge []measure
		missed string // in the error; empty: passed
	}{
		{"median counts", runs(3.5, 100, 9, 100, 3, 100), ""},
		{"too much CPU", runs(3.7, 100, 3.7, 100, 1, 100), "1.23 times read + append"},
		{"highest peak counts", runs(1, 100, 1, 662, 1, 100), "used 662 MiB, less than 662"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plan{sizes: []size{{bytes: 100}}, budget: 512}
			var out strings.Builder
			err := p.verdict(&out, map[string][]measure{
				"read100": runs(2, 1, 2, 1, 7, 1), "append100": runs(1, 1, 0.5, 1, 1, 1), "bridge100": c.bridge,
			})
			if c.missed == "" && (err != nil || !strings.Contains(out.String(), "passed")) {
				t.Errorf("%v\n%s", err, &out)
			}
			if c.missed != "" && (err == nil || !strings.Contains(err.Error(), c.missed) || strings.Contains(out.String(), "passed")) {
				t.Errorf("%v\n%s", err, &out)
			}
		})
	}
}

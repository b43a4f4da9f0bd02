package sim

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	seeds    = flag.Int("seeds", 8000, "number of runs")
	seedBase = flag.Uint64("seed-base", 1, "first seed")
	seedOne  = flag.Int64("seed", -1, "replay this one seed, with its trace on stderr")
	focus    = flag.String("focus", "", "every other fault is of this kind")
	skip     = flag.String("skip", "", "with -seed: faults of the plan to leave out, by number: 3,17")
)

func TestSim(t *testing.T) {
	if *seedOne >= 0 {
		replay(t)
		return
	}
	hits, failures := Hits{}, 0
	run := func(opt Options) {
		opt.Hits = hits
		if r := Run(opt); r.Failed != "" {
			if failures++; failures <= 20 {
				report(t, opt, r)
			}
		}
	}
	for _, opt := range onceFailed(t) {
		run(opt)
	}
	began := time.Now()
	for i := range *seeds {
		run(Options{Seed: *seedBase + uint64(i), Focus: *focus})
	}
	t.Logf("%d seeds from %d, %.0f seeds/s, %d failed", *seeds, *seedBase, float64(*seeds)/time.Since(began).Seconds(), failures)
	var counts []string
	for name, n := range hits {
		counts = append(counts, fmt.Sprintf("%-40s %d", name, n))
	}
	sort.Strings(counts)
	t.Log("\n" + strings.Join(counts, "\n"))
	if *seeds >= 5000 && *focus == "" {
		for _, name := range Windows() {
			if hits[name] == 0 {
				t.Errorf("never happened in %d runs, so nothing was proved about it: %s", *seeds, name)
			}
		}
	}
}

// replay runs one seed with its trace.
func replay(t *testing.T) {
	var list []int
	for _, s := range strings.Split(*skip, ",") {
		if n, err := strconv.Atoi(s); err == nil {
			list = append(list, n)
		} else if s != "" {
			t.Fatal(err)
		}
	}
	r := Run(Options{Seed: uint64(*seedOne), Trace: os.Stderr, Skip: list, Focus: *focus})
	fmt.Fprintln(os.Stderr, strings.Join(r.Plan, "\n"))
	if r.Failed != "" {
		t.Fatal(r.Failed)
	}
}

// report tells a failure with the fewest faults that lead to one, and the line
// that reproduces it.
func report(t *testing.T, opt Options, r Result) {
	left, small := Shrink(opt)
	line := fmt.Sprintf("go test ./tests/sim -run 'TestSim$' -seed=%d", opt.Seed)
	if opt.Focus != "" {
		line += " -focus=" + opt.Focus
	}
	var numbers []string
	for _, n := range left {
		numbers = append(numbers, strconv.Itoa(n))
	}
	t.Errorf("seed %d: %s\n  %s\n  with few faults: %s -skip=%s\n  %s\n  %s", opt.Seed, r.Failed, line,
		line, strings.Join(numbers, ","), strings.Join(small.Plan, " "), small.Failed)
}

// onceFailed gives the runs that failed once; they run first for ever.
func onceFailed(t *testing.T) (list []Options) {
	f, err := os.Open("testdata/seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line, _, _ := strings.Cut(sc.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		seed, err := strconv.ParseUint(words[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		opt := Options{Seed: seed}
		if len(words) > 1 {
			opt.Focus = words[1]
		}
		list = append(list, opt)
	}
	return list
}

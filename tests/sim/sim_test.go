package sim

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	seeds    = flag.Int("seeds", 8000, "number of runs")
	seedBase = flag.Uint64("seed-base", 1, "first seed")
	seedOne  = flag.Int64("seed", -1, "replay this one seed, with its trace on stderr")
	focus    = flag.String("focus", "", "every other fault is of this kind")
	skip     = flag.String("skip", "", "with -seed: faults of the plan to leave out, by number: 3,17")
	planted  = flag.String("bug", "", "plant this bug in every run")
)

// campaign is the number of runs in which every window has to occur.
const campaign = 100_000

func TestSim(t *testing.T) {
	if *seedOne >= 0 {
		replay(t)
		return
	}
	options := onceFailed(t)
	for i := range *seeds {
		options = append(options, Options{Seed: *seedBase + uint64(i), Focus: *focus, Bug: *planted})
	}
	began := time.Now()
	hits, failed := runAll(options)
	for i, opt := range failed {
		if i < 20 {
			report(t, opt)
		}
	}
	t.Logf("%d seeds from %d, %.0f seeds/s on %d cores, %d failed", *seeds, *seedBase,
		float64(len(options))/time.Since(began).Seconds(), runtime.GOMAXPROCS(0), len(failed))
	t.Log("\n" + hits.String())
	t.Log("\n" + hits.matrix())
	t.Log("\n" + hits.pairTable())
	if *seeds < 5000 || *focus != "" || *planted != "" {
		return
	}
	for _, name := range []string{"seed with an ownership change", "seed with records in a stream"} {
		if n := hits[name]; n < hits["seed"]*9/10 {
			t.Errorf("%d of %d runs only: %s", n, hits["seed"], name)
		}
	}
	for _, name := range Windows(*seeds >= campaign) {
		if hits[name] == 0 {
			t.Errorf("never happened in %d runs, so nothing was proved about it: %s", *seeds, name)
		}
	}
	for _, name := range hits.unheardOf() {
		t.Errorf("not among the ways that a machine goes: %s", name)
	}
	for _, name := range hits.misdeclared(*seeds >= 5*5000) {
		t.Error(name)
	}
}

// runAll runs worlds on all cores. Each is one goroutine's; what comes of it does
// not depend on the others.
func runAll(options []Options) (hits Hits, failed []Options) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	var (
		mu   sync.Mutex
		work sync.WaitGroup
		next int
	)
	hits = Hits{}
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			own := Hits{}
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(options) {
					break
				}
				opt := options[i]
				opt.Hits = own
				if r := Run(opt); r.Failed != "" {
					mu.Lock()
					failed = append(failed, options[i])
					mu.Unlock()
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for name, n := range own {
				hits[name] += n
			}
		})
	}
	work.Wait()
	slices.SortStableFunc(failed, func(a, b Options) int { return int(int64(a.Seed) - int64(b.Seed)) })
	return hits, failed
}

// replay runs one seed with its trace.
func replay(t *testing.T) {
	var list []int
	for s := range strings.SplitSeq(*skip, ",") {
		if n, err := strconv.Atoi(s); err == nil {
			list = append(list, n)
		} else if s != "" {
			t.Fatal(err)
		}
	}
	r := Run(Options{Seed: uint64(*seedOne), Trace: os.Stderr, Skip: list, Focus: *focus, Bug: *planted})
	fmt.Fprintln(os.Stderr, strings.Join(r.Plan, "\n"))
	if r.Failed != "" {
		t.Fatal(r.Failed)
	}
}

// report tells a failure with the fewest faults that lead to one, and the line
// that reproduces it.
func report(t *testing.T, opt Options) {
	left, small := Shrink(opt)
	line := fmt.Sprintf("make sim SEED=%d", opt.Seed)
	if opt.Focus != "" {
		line += " FOCUS=" + opt.Focus
	}
	var numbers []string
	for _, n := range left {
		numbers = append(numbers, strconv.Itoa(n))
	}
	t.Errorf("seed %d: %s\n  %s\n  with few faults: %s SKIP=%s\n  %s\n  %s", opt.Seed, Run(opt).Failed, line,
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

// TestDeterministic: one seed is one run, bit for bit; so are one seed with a focus,
// with faults left out, or with a planted bug, and one script.
func TestDeterministic(t *testing.T) {
	var options []Options
	for seed := range uint64(200) {
		focus := fuzzed[seed%uint64(len(fuzzed))]
		w := newWorld(Options{Seed: seed, Focus: focus})
		options = append(options, Options{Seed: seed}, Options{Seed: seed, Focus: focus, Skip: []int{0, 2}},
			Options{Seed: seed, Bug: Bugs[seed%uint64(len(Bugs))].Name}, Options{Script: write(seed, w.shape, w.plan)})
	}
	for _, opt := range options {
		if a, b := Run(opt), Run(opt); a.Hash != b.Hash || a.Failed != b.Failed {
			t.Fatalf("%+v gave the traces %x (%s) and %x (%s)", opt, a.Hash, a.Failed, b.Hash, b.Failed)
		}
	}
}

// What a seed's line says is what ran: leaving faults out changes the run, and so
// does a focus.
func TestSkipAndFocus(t *testing.T) {
	all := Run(Options{Seed: 3, Focus: "crash"})
	if less := Run(Options{Seed: 3, Focus: "crash", Skip: []int{1}}); len(less.Plan) != len(all.Plan)-1 || less.Hash == all.Hash {
		t.Errorf("left out: %v of %v", less.Plan, all.Plan)
	}
	if other := Run(Options{Seed: 3}); slices.Equal(other.Plan, all.Plan) {
		t.Errorf("the plan without the focus is the same: %v", all.Plan)
	}
	if !strings.Contains(all.Plan[0], "crash@") {
		t.Errorf("not a crash: %s", all.Plan[0])
	}
}

// TestShrink: what is left of a failing plan still fails, and nothing of it can
// be left out.
func TestShrink(t *testing.T) {
	opt := Options{Bug: "blind-resend"}
	for opt.Seed = 1; Run(opt).Failed == ""; opt.Seed++ {
	}
	skip, r := Shrink(opt)
	if all := Run(opt); r.Failed == "" || len(r.Plan)+len(skip) != len(all.Plan) {
		t.Fatalf("left out %v of %v; left %v: %q", skip, all.Plan, r.Plan, r.Failed)
	}
	for i := range Run(opt).Plan {
		less := opt
		less.Skip = append(slices.Clone(skip), i)
		if !slices.Contains(skip, i) && Run(less).Failed != "" {
			t.Errorf("fault %d is not needed either", i)
		}
	}
}

//go:build synctests

package bubble

import (
	"bufio"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kafka-s2-bridge/tests/network/bed"
)

var (
	seeds    = flag.Int("seeds", 1500, "number of runs")
	seedBase = flag.Uint64("seed-base", 1, "first seed")
	seedOne  = flag.Int64("seed", -1, "run this one seed, and show what happened")
	times    = flag.Int("times", 1, "with -seed: so often, until it fails")
)

const (
	// hung is the real time after which a run has come to a stop: in a bubble
	// nobody else would notice.
	hung = 30 * time.Second
	// shownFailures get their trace printed.
	shownFailures = 3
)

func TestBubbles(t *testing.T) {
	if *seedOne >= 0 {
		replay(t, uint64(*seedOne))
		return
	}
	sum := newSum()
	for _, seed := range onceFailed(t) {
		sum.add(t, seed)
	}
	began := time.Now()
	for i := range *seeds {
		sum.add(t, *seedBase+uint64(i))
	}
	t.Logf("%d seeds from %d, %.1f seeds/s\n%s", *seeds, *seedBase, float64(*seeds)/time.Since(began).Seconds(), sum)
	if *seeds >= 300 {
		sum.wantEverything(t)
	}
}

// one runs a seed in a bubble of its own, under a watchdog in real time.
func one(t *testing.T, seed uint64, level slog.Level) (res result, trace *bed.Trace) {
	done := make(chan struct{})
	gone := make(chan struct{})
	lines := 400
	if level < slog.LevelInfo {
		lines = 20_000
	}
	var shown atomic.Pointer[bed.Trace]
	go func() {
		defer close(gone)
		select {
		case <-done:
		case <-time.After(hung):
			stacks := make([]byte, 16<<20)
			fmt.Fprintf(os.Stderr, "seed %d hangs: %s\n%v\n%s\n%s\n", seed, line(seed), newPlan(seed), shown.Load(), stacks[:runtime.Stack(stacks, true)])
			os.Exit(2)
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		trace = bed.NewTrace(lines)
		shown.Store(trace)
		r := &run{plan: newPlan(seed), trace: trace, level: level}
		trace.Printf("seed %d: %v", seed, r.plan)
		res = r.run()
	})
	close(done)
	<-gone
	return res, trace
}

func line(seed uint64) string {
	return fmt.Sprintf("go test -tags synctests ./tests/synctest -run 'TestBubbles$' -v -seed=%d -times=200", seed)
}

// replay runs one seed, with everything that it does.
func replay(t *testing.T, seed uint64) {
	for n := range *times {
		res, trace := one(t, seed, slog.LevelDebug)
		if res.err != nil || n == *times-1 {
			fmt.Fprintln(os.Stderr, trace)
			t.Logf("run %d: %v; %v virtual, %v behind", n+1, res.report, res.took, res.behind)
		}
		if res.err != nil {
			t.Fatal(res.err)
		}
	}
}

// sum is what all runs came to.
type sum struct {
	runs, failed, moved      int
	records, fences, streams int
	chunked, torn            int
	zombies, expired, stood  int
	virtual, behind, longest time.Duration
	ending                   time.Duration // the longest end
	real, slowest            time.Duration
	slowestSeed              uint64
	counts                   map[string]int
}

func newSum() *sum { return &sum{counts: map[string]int{}} }

func (s *sum) add(t *testing.T, seed uint64) {
	began := time.Now()
	res, trace := one(t, seed, slog.LevelInfo)
	took := time.Since(began)
	s.runs++
	if res.err != nil {
		s.failed++
		if s.failed <= shownFailures {
			fmt.Fprintln(os.Stderr, trace)
		}
		t.Errorf("seed %d: %v\n  %s", seed, res.err, line(seed))
	}
	if res.fences > res.streams {
		s.moved++
	}
	s.records += res.report.Records
	s.chunked += res.report.Chunked
	s.torn += res.report.Torn
	s.fences += res.fences
	s.streams += res.streams
	s.zombies += res.zombies
	s.expired += res.expired
	s.stood += res.moved
	s.virtual += res.took
	s.behind += res.behind
	s.longest = max(s.longest, res.behind)
	s.ending = max(s.ending, res.ending)
	s.real += took
	if took > s.slowest {
		s.slowest, s.slowestSeed = took, seed
	}
	for name, n := range res.hits {
		s.counts[name] += n
	}
	for name, n := range res.causes {
		s.counts[name] += int(n)
	}
	for reason, n := range trace.Held() {
		s.counts["held: "+reason] += n
	}
}

func (s *sum) String() string {
	names := make([]string, 0, len(s.counts))
	for name := range s.counts {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "%d records, %d chunked, %d torn groups; %d fences on %d streams; %d batches under an old token; %d sessions that kfake forgot, %d groups that it let stand; %d of %d seeds saw a partition move\n",
		s.records, s.chunked, s.torn, s.fences, s.streams, s.zombies, s.expired, s.stood, s.moved, s.runs)
	fmt.Fprintf(&b, "virtual time %v in %v, lag 0 after the last fault in %v on average, %v at most; a bridge ended within %v; slowest seed %d in %v\n",
		s.virtual.Round(time.Second), s.real.Round(time.Second), (s.behind / time.Duration(max(s.runs, 1))).Round(time.Millisecond), s.longest, s.ending, s.slowestSeed, s.slowest)
	for _, name := range names {
		fmt.Fprintf(&b, "  %-46s %d\n", name, s.counts[name])
	}
	return b.String()
}

// wantEverything fails if something never happened: then nothing was proved
// about it.
func (s *sum) wantEverything(t *testing.T) {
	for _, k := range kinds {
		if s.counts[k.name] == 0 {
			t.Errorf("never hit in %d runs: %s", s.runs, k.name)
		}
	}
	for name, n := range map[string]int{
		"records in chunks": s.chunked, "batches under an old token": s.zombies,
		"acquisitions after a lost session": s.counts["acquired: session_ended"],
		"acquisitions after a wrong ack":    s.counts["acquired: ack_mismatch"],
		"acquisitions after a time-out":     s.counts["acquired: ack_timeout"],
		"holds where S2 refused the token":  s.counts["held: unauthorized"],
	} {
		if n == 0 {
			t.Errorf("never happened in %d runs: %s", s.runs, name)
		}
	}
	if s.moved*10 < s.runs*9 {
		t.Errorf("only in %d of %d runs a partition had a second owner", s.moved, s.runs)
	}
}

// onceFailed gives the seeds that failed once; they run first for ever.
func onceFailed(t *testing.T) (list []uint64) {
	f, err := os.Open("testdata/seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		text, _, _ := strings.Cut(sc.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, seed)
	}
	return list
}

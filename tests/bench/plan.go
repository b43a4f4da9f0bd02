package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/kafka"
)

const (
	partitions = 8
	basin      = "bench-basin"
	mib        = 1 << 20
	// The bar: the bridge costs at most this often what reading plus appending costs.
	maxRatio = 1.2
	// What the process may use beside memory.budget.
	maxOverhead = 150
)

// size is a topic full of records of one size.
type size struct {
	bytes   int
	records int // a multiple of the partitions is made of it
}

func (s size) topic() string { return fmt.Sprintf("bench-%d", s.bytes) }
func (s size) each() int     { return s.records / partitions }
func (s size) total() int    { return s.each() * partitions * s.bytes }

// plan is one run of the program.
type plan struct {
	sizes    []size
	runs     int
	budget   int // MiB
	noBridge bool

	dir    string
	self   string // this program, for the children
	binary string // the bridge
	broker *kafka.Broker
	seq    int // of children, for names
}

// movers, in the order in which they take turns.
var movers = []string{"read", "append", "bridge"}

func (p *plan) run(ctx context.Context, out io.Writer) (err error) {
	if p.dir, err = os.MkdirTemp("", "bridge-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(p.dir)) }()
	if p.self, err = os.Executable(); err != nil {
		return err
	}
	if !p.noBridge {
		if p.binary, err = bridge.Build(ctx, p.dir); err != nil {
			return err
		}
	}
	say := func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	kdir := filepath.Join(p.dir, "kafka")
	if err := os.Mkdir(kdir, 0o755); err != nil {
		return err
	}
	if p.broker, err = kafka.Start(ctx, kafka.Options{Dir: kdir, Logf: say}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.broker.Kill()) }()

	results := map[string][]measure{} // by mover and size
	for _, s := range p.sizes {
		say("filling %s: %d records, %d MiB", s.topic(), s.each()*partitions, s.total()/mib)
		if err := fill(ctx, p.broker, s); err != nil {
			return err
		}
		for i := range p.runs {
			for _, mover := range movers {
				if mover == "bridge" && p.noBridge {
					continue
				}
				m, err := p.measure(ctx, mover, s)
				if err != nil {
					return fmt.Errorf("%s, %d bytes: %w", mover, s.bytes, err)
				}
				say("run %d, %d bytes, %s: %v", i+1, s.bytes, mover, m)
				results[key(mover, s)] = append(results[key(mover, s)], m)
			}
		}
	}
	return p.verdict(out, results)
}

func key(mover string, s size) string { return fmt.Sprint(mover, s.bytes) }

// verdict prints the table. The error says which bar was missed.
func (p *plan) verdict(out io.Writer, results map[string][]measure) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "record\tmover\tMiB/s\tCPU s/GiB\tlowest\thighest\tpeak MiB\t\n")
	var missed error
	for _, s := range p.sizes {
		cost := map[string]float64{}
		peak := 0
		for _, mover := range movers {
			ms := results[key(mover, s)]
			if len(ms) == 0 {
				continue
			}
			cpu, rate, memory := sorted(ms, measure.cpuPerGiB), sorted(ms, measure.rate), sorted(ms, func(m measure) float64 { return m.peak })
			cost[mover] = median(cpu)
			fmt.Fprintf(w, "%d B\t%s\t%.0f\t%.2f\t%.2f\t%.2f\t%.0f\t\n", s.bytes, mover, median(rate), median(cpu), cpu[0], cpu[len(cpu)-1], memory[len(memory)-1])
			if mover == "bridge" {
				peak = int(memory[len(memory)-1])
			}
		}
		if p.noBridge {
			continue
		}
		ratio := cost["bridge"] / (cost["read"] + cost["append"])
		fmt.Fprintf(w, "%d B\tbridge / (read + append)\t\t%.2f\t\tat most %.2f\t\t\n", s.bytes, ratio, maxRatio)
		if ratio > maxRatio {
			missed = errors.Join(missed, fmt.Errorf("at %d bytes the bridge costs %.2f times read + append, at most %.2f is allowed", s.bytes, ratio, maxRatio))
		}
		if bound := p.budget + maxOverhead; peak >= bound {
			missed = errors.Join(missed, fmt.Errorf("at %d bytes the bridge used %d MiB, less than %d (memory.budget + %d) is allowed", s.bytes, peak, bound, maxOverhead))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if missed == nil && !p.noBridge {
		fmt.Fprintf(out, "passed: CPU at most %.1f times read + append, memory under %d + %d MiB\n", maxRatio, p.budget, maxOverhead)
	}
	return missed
}

func sorted(ms []measure, of func(measure) float64) []float64 {
	var v []float64
	for _, m := range ms {
		v = append(v, of(m))
	}
	slices.Sort(v)
	return v
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/s2read"
)

// verdict is what a round came to. Its JSON form is for scripts.
type verdict struct {
	Verified   bool `json:"verified"`
	Records    int  `json:"records"` // that a read_committed consumer can see
	Partitions int  `json:"partitions"`

	Missing    int `json:"missing"`
	Duplicates int `json:"duplicates"`
	Reordered  int `json:"reordered"`
	Altered    int `json:"altered"`
	Foreign    int `json:"foreign"` // in the streams and not served by Kafka
	Aborted    int `json:"aborted"` // of them from aborted transactions
	Broken     int `json:"broken"`  // order of fences, markers and data
	Commits    int `json:"commits_wrong"`

	Edges map[string]edgePair `json:"edges"` // by name of the edge

	AbortedLeftOut int       `json:"aborted_left_out"`
	Restarts       int       `json:"restarts"`
	KilledAt       []float64 `json:"killed_at_percent"` // of the records
	Fences         int       `json:"fences"`
	Seed           uint64    `json:"seed"`
	Seconds        float64   `json:"seconds"`

	Problems []string `json:"problems"`
	Error    string   `json:"error,omitempty"` // why it could not be found out
	Left     string   `json:"left_behind,omitempty"`
}

// verdict as far as it is known without a comparison.
func (r *round) verdict() verdict {
	return verdict{
		Partitions: int(r.stage.partitions), Restarts: r.restarts, KilledAt: []float64{}, Edges: map[string]edgePair{}, Seed: r.generator.seed,
		Seconds: math.Round(time.Since(r.began).Seconds()*10) / 10, Problems: []string{}, Left: r.stage.left(),
	}
}

// verify compares all streams with what Kafka serves. The bridge must have
// ended. An error means that it could not be found out.
func (r *round) verify(ctx context.Context) (v verdict, err error) {
	defer func() {
		v.Seconds = math.Round(time.Since(r.began).Seconds()*10) / 10
	}()
	v = r.verdict()
	s, ledger := r.stage, r.generator.ledger
	made := &servedTally{parts: make([]edgeTally, s.partitions)}
	truth, err := oracle.ReadKafka(ctx, []string{s.topic}, append(s.kafkaOptions(), kgo.WithHooks(made))...)
	if err != nil {
		return v, fmt.Errorf("compare with Kafka: %w", err)
	}
	v.Records = truth.Records()
	v.AbortedLeftOut = int(r.generator.aborted.Load())
	for _, at := range r.killedAt {
		v.KilledAt = append(v.KilledAt, math.Round(1000*float64(at)/float64(max(1, v.Records)))/10)
	}
	if tally := ledger.Compare(truth); !tally.OK() {
		return v, fmt.Errorf("what Kafka at %s serves is not what it acknowledged, so the streams cannot be judged: %v", s.broker, tally)
	}
	var reports []oracle.Report
	var seen edgeCounts
	reader := s2read.New(s.url, s.basin, s.token)
	for _, p := range truth.Partitions {
		tally := &streamTally{}
		report, err := oracle.Check(p, tally.over(reader.Stream(ctx, p.Name())), oracle.Expect{
			Group: s.group,
			// An hour, should the clocks of this machine and of S2 differ.
			PastBefore: r.began.Add(-time.Hour).UnixMilli(),
			Explain: func(offset int64) string {
				why := ledger.Explain(p.Identity.Topic, p.Identity.Partition, offset)
				if why == "aborted" {
					v.Aborted++
				}
				return why
			},
		})
		if err != nil {
			return v, fmt.Errorf("compare with S2: %w", err)
		}
		reports = append(reports, report)
		seen.plus(tally.counts)
	}
	v.Edges = pairs(made.counts(), seen)
	v.Edges[abortedName] = edgePair{v.AbortedLeftOut, v.Aborted}
	sum := oracle.Sum(reports)
	v.Missing, v.Duplicates, v.Reordered, v.Altered = sum.Missing, sum.Duplicates, sum.Reordered, sum.Altered
	v.Foreign, v.Broken, v.Fences = sum.Foreign, sum.Broken, sum.Fences
	v.Problems = append(v.Problems, sum.Violations...)
	commits, err := oracle.ReadCommits(ctx, s.kafka, s.group, s.topic)
	if err != nil {
		return v, fmt.Errorf("compare the commits: %w", err)
	}
	for i, c := range commits { // both are in the order of the partitions
		if err := oracle.CheckCommit(c, truth.Partitions[i], reports[i], s.partitions); err != nil {
			v.Commits++
			v.Problems = append(v.Problems, err.Error())
		}
	}
	same := v.sameEdges()
	v.Verified = sum.OK() && same && v.Commits == 0 && sum.Records == v.Records && len(commits) == int(s.partitions)
	return v, nil
}

// sameEdges holds the counts of the edges against each other: a second look,
// which does not lean on the comparison record by record.
func (v *verdict) sameEdges() bool {
	before := len(v.Problems)
	for _, name := range edgeNames {
		if e := v.Edges[name]; e.Made != e.Seen {
			v.Problems = append(v.Problems, fmt.Sprintf("%s: Kafka serves %s, S2 has %s", strings.ReplaceAll(name, "_", " "), grouped(e.Made), grouped(e.Seen)))
		}
	}
	if n := v.Edges[abortedName].Seen; n > 0 {
		v.Problems = append(v.Problems, fmt.Sprintf("%s records of aborted transactions are in S2", grouped(n)))
	}
	return len(v.Problems) == before
}

// wrong is the error for streams that differ.
func (v verdict) wrong() error {
	if v.Verified {
		return nil
	}
	return &exitError{exitFailed, fmt.Errorf("not verified: %s", v.counts())}
}

func (v verdict) counts() string {
	return fmt.Sprintf("missing %s, twice %s, out of order %s, altered %s, foreign %s, from aborted transactions %s, broken sequences %s, wrong commits %s",
		grouped(v.Missing), grouped(v.Duplicates), grouped(v.Reordered), grouped(v.Altered), grouped(v.Foreign), grouped(v.Aborted), grouped(v.Broken), grouped(v.Commits))
}

// print is the verdict for people.
func (v verdict) print(w io.Writer) {
	p := paintFor(w)
	head := p.green("verified: every record is in S2 exactly once, in order, byte for byte")
	if !v.Verified {
		head = p.red("not verified")
	}
	fmt.Fprintf(w, "\n%s\n\n", head)
	fmt.Fprintf(w, "  records   %s in %d partitions; %s of aborted transactions left out\n", grouped(v.Records), v.Partitions, grouped(v.AbortedLeftOut))
	fmt.Fprintf(w, "  streams   %s\n", strings.Replace(v.counts(), ", foreign", ",\n            foreign", 1))
	for i, line := range wrap("in Kafka / in S2:", edgeList(v.Edges), 88) {
		fmt.Fprintf(w, "  %-9s %s\n", []string{"edges", ""}[min(i, 1)], line)
	}
	fmt.Fprintf(w, "  bridge    %s; %s take-overs of streams\n", v.deaths(), grouped(v.Fences))
	fmt.Fprintf(w, "  took      %.1f s; --seed %d makes the same records\n", v.Seconds, v.Seed)
	if v.Left != "" {
		fmt.Fprintf(w, "\nleft behind: %s\n", v.Left)
	}
	for _, problem := range v.Problems {
		fmt.Fprintf(w, "  %s %s\n", p.red("-"), problem)
	}
}

// deaths tells how often the bridge was killed, and when, if that is not long.
func (v verdict) deaths() string {
	times := fmt.Sprintf("killed with SIGKILL and restarted %d times", v.Restarts)
	switch {
	case v.Restarts == 0:
		return "never killed"
	case v.Restarts == 1:
		times = "killed with SIGKILL and restarted once"
	}
	if len(v.KilledAt) == 0 || len(v.KilledAt) > 8 {
		return times
	}
	at := make([]string, len(v.KilledAt))
	for i, percent := range v.KilledAt {
		at[i] = fmt.Sprintf("%.0f %%", percent)
	}
	return times + " with " + strings.Join(at, ", ") + " of the records in S2"
}

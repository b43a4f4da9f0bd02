package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/s2read"
)

// Verdict is what the oracle finds when nothing moves any more.
type Verdict struct {
	oracle.Report     // the sum over all streams
	Served        int // records that Kafka serves
	Commits       int // of the group, that do not say what the streams hold
}

// OK says that every record is there exactly once, in order, byte for byte, and that the group's commits say so.
func (v Verdict) OK() bool { return v.Report.OK() && v.Commits == 0 && v.Records == v.Served }

// String is the verdict in a few lines.
func (v Verdict) String() string {
	word := "VERIFIED"
	if !v.OK() {
		word = "NOT VERIFIED"
	}
	s := fmt.Sprintf("%s: %d records served by Kafka, %d in S2; lost %d, duplicated %d, reordered %d, altered %d, foreign %d, broken %d, wrong commits %d; %d take-overs, %d in chunks, %d torn and begun anew",
		word, v.Served, v.Records, v.Missing, v.Duplicates, v.Reordered, v.Altered, v.Foreign, v.Broken, v.Commits, v.Fences, v.Chunked, v.Torn)
	if len(v.Violations) > 0 {
		s += "\n  " + strings.Join(v.Violations, "\n  ")
	}
	return s
}

// Settle waits until everything is copied, ends the bridges, and judges. An error means that nothing can be said, or that the
// bridges did not do their part.
func (w *World) Settle(ctx context.Context, patience time.Duration, logf func(format string, args ...any)) (Verdict, error) {
	if err := w.WaitForLag(ctx, patience); err != nil {
		return Verdict{}, err
	}
	logf("everything is committed; SIGTERM to all bridges")
	stopping := w.StopAll()
	logf("the oracle reads Kafka and S2")
	v, err := w.Judge(ctx)
	return v, errors.Join(stopping, err)
}

// Judge compares the ledger with Kafka, Kafka with the streams, the streams with the group's commits. Bridges and feed must have
// ended. An error means that nothing can be said.
func (w *World) Judge(ctx context.Context) (Verdict, error) {
	var v Verdict
	truth, err := oracle.ReadKafka(ctx, w.names(), w.seeds())
	if err != nil {
		return v, err
	}
	v.Served = truth.Records()
	if tally := w.ledger.Compare(truth); !tally.OK() {
		return v, fmt.Errorf("kafka does not serve what it acknowledged, so the streams cannot be judged: %v", tally)
	}
	reports, err := s2read.New(w.URL, w.Basin, "").CheckAll(ctx, truth, nil, func(s *oracle.Served) oracle.Expect {
		id := s.Identity
		return oracle.Expect{Group: group, PastBefore: w.began.UnixMilli(), Explain: func(offset int64) string {
			return w.ledger.Explain(id.Topic, id.Partition, offset)
		}}
	})
	if err != nil {
		return v, err
	}
	v.Report = oracle.Sum(reports)
	commits, err := w.commits(ctx)
	if err != nil {
		return v, err
	}
	if len(commits) != len(reports) {
		return v, fmt.Errorf("%d partitions have ends, and %d streams were read", len(commits), len(reports))
	}
	for i, c := range commits { // both are in the order of topic and partition
		if err := oracle.CheckCommit(c, truth.Partitions[i], reports[i], w.partitionsOf(c.Topic)); err != nil {
			v.Commits++
			v.Violations = append(v.Violations, err.Error())
		}
	}
	return v, nil
}

func (w *World) partitionsOf(topic string) int32 {
	for _, t := range w.Topics {
		if t.Name == topic {
			return t.Partitions
		}
	}
	return 0
}

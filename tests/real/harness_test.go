//go:build real

package real_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/produce"
	"kafka-s2-bridge/tests/oracle/s2read"
)

// The harness without the bridge: records of all shapes in Apache Kafka, copied by hand into s2-lite, both killed and
// restarted, are found to be right; and a copy with faults is found to be wrong.
func TestHarnessOnACopyByHand(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	began := time.Now().UnixMilli()
	w := newWorld(ctx, t)
	sum, err := produce.Run(ctx, produce.Options{
		Kafka: []kgo.Opt{w.brokers()}, Shapes: w.shapes, Ledger: w.ledger, Records: 40_000, TxShare: 0.3, AbortShare: 0.3,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("produced: %+v", sum)

	(&copier{world: w, group: "copy"}).run(ctx, t)
	for _, end := range []func() error{w.kafka.Kill, w.s2.Kill} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.kafka.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if err := w.s2.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	report := w.judge(ctx, t, "copy", oracle.Expect{PastBefore: began})
	if report.Records != 40_000 || report.Fences != 8 || report.Markers != 8 {
		t.Errorf("%v", report)
	}
}

// One fault in each of five partitions of a copy by hand.
func TestHarnessFindsFaults(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	w := newWorld(ctx, t)
	if _, err := produce.Run(ctx, produce.Options{Kafka: []kgo.Opt{w.brokers()}, Shapes: w.shapes, Ledger: w.ledger, Records: 4000}); err != nil {
		t.Fatal(err)
	}
	spoil := func(id oracle.Identity, n int, batch []oracle.Stored, _ []oracle.Record) []oracle.Stored {
		if n != 0 || id.Topic != "orders" {
			return batch
		}
		switch id.Partition {
		case 0:
			return batch[1:]
		case 1:
			return append(batch, batch[3])
		case 2:
			batch[0], batch[1] = batch[1], batch[0]
		case 3:
			batch[2].Body = append([]byte("altered "), batch[2].Body...)
		case 4:
			return append(batch, oracle.Stored{Body: []byte("from somebody else")})
		}
		return batch
	}
	(&copier{world: w, group: "copy", spoil: spoil}).run(ctx, t)
	truth, err := oracle.ReadKafka(ctx, w.topics, w.brokers())
	if err != nil {
		t.Fatal(err)
	}
	reports, err := s2read.New(w.s2.URL(), w.s2.Basin(), "").CheckAll(ctx, truth, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range reports {
		t.Log(r)
		if want := min(1, max(0, i-2)); r.Bad() != want { // audit's three partitions come first
			t.Errorf("%d violations in %s", r.Bad(), r.Stream)
		}
	}
	s := oracle.Sum(reports)
	if s.Missing != 1 || s.Duplicates != 1 || s.Reordered != 1 || s.Altered != 1 || s.Foreign != 1 {
		t.Error(s)
	}
}

package produce_test

import (
	"bytes"
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/produce"
)

var topics = []produce.Topic{{Name: "orders", Partitions: 5}, {Name: "audit", Partitions: 3}}

func TestShapesAreOfAllKindsAndRepeat(t *testing.T) {
	s := &produce.Shapes{Seed: 7, Topics: topics}
	again := &produce.Shapes{Seed: 7, Topics: topics}
	count := map[string]int{}
	largest := 0
	for n := range uint64(50_000) {
		r := s.Record(n)
		if n%100 == 0 && !reflect.DeepEqual(r, again.Record(n)) {
			t.Fatalf("record %d differs", n)
		}
		note := func(kind string, is bool) {
			if is {
				count[kind]++
			}
		}
		note("null key", r.Key == nil)
		note("empty key", r.Key != nil && len(r.Key) == 0)
		note("tombstone", r.Value == nil)
		note("empty value", r.Value != nil && len(r.Value) == 0)
		note("marked value", bytes.HasPrefix(r.Value, []byte("n=")))
		note("command", len(r.Headers) == 1 && r.Headers[0].Key == "" && string(r.Headers[0].Value) == "trim")
		note("null header", len(r.Headers) > 0 && r.Headers[0].Value == nil)
		note("no timestamp", r.Timestamp.UnixMilli() == -1)
		note("odd timestamp", r.Timestamp.UnixMilli() == 9_223_372_036_000)
		note("large", len(r.Value) > 100_000)
		note(r.Topic, true)
		largest = max(largest, len(r.Value))
	}
	for _, kind := range []string{"null key", "empty key", "tombstone", "empty value", "marked value", "command", "null header",
		"no timestamp", "odd timestamp", "large", "orders", "audit"} {
		if count[kind] == 0 {
			t.Errorf("no record with: %s", kind)
		}
	}
	if largest > 200_000 || count["orders"] < count["audit"] {
		t.Errorf("largest %d, orders %d, audit %d", largest, count["orders"], count["audit"])
	}
}

// The whole way on kfake: what was acknowledged is what is served, and the ledger notices where it is not.
func TestLedgerAgreesWithKafka(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(5, "orders"), kfake.SeedTopics(3, "audit"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	kafka := []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}
	ledger := oracle.NewLedger()
	sum, err := produce.Run(ctx, produce.Options{
		Kafka: kafka, Shapes: &produce.Shapes{Seed: 1, Topics: topics, MaxValue: 20_000}, Ledger: ledger,
		Records: 8000, TxShare: 0.4, AbortShare: 0.4,
	})
	if err != nil || sum.Visible != 8000 || sum.Aborted == 0 || ledger.Committed() != 8000 {
		t.Fatalf("%+v, %d committed, %v", sum, ledger.Committed(), err)
	}
	truth, err := oracle.ReadKafka(ctx, []string{"orders", "audit"}, kafka...)
	if err != nil {
		t.Fatal(err)
	}
	tally := ledger.Compare(truth)
	if !tally.OK() || truth.Records() != 8000 || tally.Committed != 8000 || tally.Aborted != sum.Aborted || tally.Unclaimed != 0 || len(truth.Partitions) != 8 {
		t.Fatalf("%d served; %v", truth.Records(), tally)
	}

	// Planted: a record that Kafka never served, one that it serves differently, one that it was not to serve.
	wrong := func(offset int64, tx int32) oracle.Tally {
		r := &kgo.Record{Topic: "orders", Offset: offset, Value: []byte("planted")}
		ledger.Produced(r, tx, nil)
		return ledger.Compare(truth)
	}
	if tally = wrong(1<<40, 0); tally.NotServed != 1 || tally.OK() {
		t.Error(tally)
	}
	tx := ledger.Begin()
	ledger.End(tx, oracle.Aborted)
	first := truth.Partitions[3].Offsets()[0] // audit sorts first: this is orders/0
	if tally = wrong(first, tx); tally.AbortedServed != 1 {
		t.Error(tally)
	}
	if tally = wrong(first, 0); tally.Differs != 1 {
		t.Error(tally)
	}
}

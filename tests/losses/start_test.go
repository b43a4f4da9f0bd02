package losses

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/s2-streamstore/s2-sdk-go/s2"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/s2mem"
)

// Each topic begins where its policy says; the loss policy is not asked. A restart before the first record does not move
// the start of "latest", nor of a time that was not reached.
func TestT26T27StartPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hour := time.Now().Add(-time.Hour).Truncate(time.Second)
	topics := []string{"earliest", "latest", "time", "future", "offset", "deleted", "above"}
	for _, topic := range topics {
		w.topic(topic, 1)
		for i := range 20 {
			w.send(&kgo.Record{Topic: topic, Timestamp: hour.Add(time.Duration(i) * time.Second), Value: fmt.Appendf(nil, "%d", i)})
		}
		w.delete(topic, 0, 3)
	}
	at := func(d time.Duration) string { return hour.Add(d).UTC().Format(time.RFC3339) }
	r := start(t, w.settings(bridge.Settings{"topic": tables(`
		{ name = "latest", start = "latest" }, { name = "time", start = "` + at(12*time.Second) + `" }, { name = "future", start = "` + at(24*time.Hour) + `" },
		{ name = "offset", start = "latest", start_offsets = { "0" = 7 } }, { name = "deleted", start = "offset:1", retention_lost = "hold" },
		{ name = "above", start = "offset:25" }`)}, topics...))
	r.known("latest", 0, 20)
	r.known("future", 0, 20)
	r.known("above", 0, 25)
	w.committed("latest", 0, 20)
	w.committed("future", 0, 20)
	w.committed("above", 0, 25)
	r.stop()
	w.produce("latest", 0, 5) // it must not begin behind these
	w.produce("future", 0, 5)
	w.keep(topics...)
	r.again()
	begins := map[string]int64{"earliest": 3, "latest": 20, "time": 12, "future": 20, "offset": 7}
	for topic := range begins {
		w.copied(topic, 0)
	}
	r.loses("deleted", 0, "retention-lost", 1, 3, "offset 3")
	w.produce("above", 0, 9) // 20 to 28: from 25 on they are copied
	w.reaches("above", 0, "above/0", 29)
	begins["above"] = 25
	w.keep(topics...)
	for topic, start := range begins {
		if list := r.gaps(topic + "/0"); len(list) > 0 {
			t.Errorf("a start is not a loss: %s has the gaps %v", topic, list)
		}
		w.exact(topic, 0, topic+"/0", expect{start: start})
		if first := w.firstOffset(topic + "/0"); first != start {
			t.Errorf("%s begins at offset %d, want %d", topic, first, start)
		}
	}
	r.resume("deleted/0", "gap")
	w.copied("deleted", 0)
	w.exact("deleted", 0, "deleted/0", expect{start: 1, gaps: []gap{lost("retention", 1, 3)}})
	r.green()
}

// Partitions that are added later are copied from offset 0, also what was written before they were found, whatever the start
// policy says; while the bridge runs, and while it is down.
func TestT58H29PartitionsAddedLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 2)
	w.produceAll("orders", 2, 5)
	r := start(t, w.settings(bridge.Settings{"policy.start": "latest"}, "orders"))
	r.known("orders", 0, 5)
	r.known("orders", 1, 5)
	w.committed("orders", 0, 5)
	w.committed("orders", 1, 5)
	w.flow("orders", 0, 1)
	w.add("orders", 3)
	w.produce("orders", 2, 10) // before it is found
	w.copied("orders", 2)
	w.flow("orders", 0, 1, 2)
	r.stop()
	w.add("orders", 4)
	w.produce("orders", 3, 10)
	w.keep("orders")
	r.again()
	w.copied("orders", 3)
	w.flow("orders", 0, 1, 2, 3)
	w.keep("orders")
	for p, start := range []int64{5, 5, 0, 0} {
		w.exact("orders", int32(p), fmt.Sprintf("orders/%d", p), expect{start: start})
	}
	r.green()
}

// add gives a topic more partitions.
func (w *world) add(topic string, partitions int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patient)
	defer cancel()
	made, err := w.admin.UpdatePartitions(ctx, partitions, topic)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.client.PurgeTopicsFromClient(topic) // or the producer does not know of them
}

// What Kafka leaves out by right is no loss: aborted transactions, their control records, what compaction took. The commit passes
// them, a restart writes nothing, and `bridge gaps` tells them apart.
func TestH30H31H32WhatKafkaLeavesOutByRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 1)
	if err := w.kafka.CreateTopic("prices", 1, map[string]string{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0", "segment.bytes": "1000"}); err != nil {
		t.Fatal(err)
	}
	w.produce("orders", 0, 5)
	w.transact("orders", 4, kgo.TryAbort)  // 5 to 8, and 9
	w.transact("orders", 3, kgo.TryCommit) // 10 to 12, and 13
	w.transact("orders", 2, kgo.TryAbort)  // 14 to 15, and 16
	for i := range 30 {
		w.send(&kgo.Record{Topic: "prices", Key: fmt.Appendf(nil, "%d", i%3), Value: []byte(strings.Repeat("x", 200))})
	}
	w.kafka.Compact()
	w.keep("orders", "prices")
	if n := w.history.Len(w.identity("prices", 0)); n == 0 || n > 29 {
		t.Fatalf("%d of 30 records survive the compaction", n)
	}
	r := start(t, w.settings(nil, "orders", "prices"))
	w.committed("orders", 0, 17)
	w.committed("prices", 0, 30)
	r.green()
	tails := []int{len(w.s2.Records("orders/0")), len(w.s2.Records("prices/0"))}
	r.stop()
	r.again()
	r.known("orders", 0, 17)
	r.known("prices", 0, 30)
	r.stop()
	if now := []int{len(w.s2.Records("orders/0")), len(w.s2.Records("prices/0"))}; now[0] != tails[0] || now[1] != tails[1] {
		t.Errorf("a restart without news made the streams grow from %v to %v", tails, now)
	}
	w.exactAll("orders", 0)
	w.exactAll("prices", 0)
	if list := r.gaps("orders/0"); len(list) > 0 {
		t.Errorf("bridge gaps lists %v", list)
	}
	if list := r.gaps("orders/0", "--all"); len(list) == 0 || list[0] != lost("compacted_or_transactional", 5, 10) {
		t.Errorf("bridge gaps --all lists %v", list)
	}
}

// transact produces n records in a transaction of its own and ends it.
func (w *world) transact(topic string, n int, end kgo.TransactionEndTry) {
	w.t.Helper()
	w.made++
	client, err := kgo.NewClient(kgo.SeedBrokers(w.address()), kgo.TransactionalID(fmt.Sprint("tx ", w.made)), kgo.ProducerLinger(0))
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), patient)
	defer cancel()
	if err := client.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	for i := range n {
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "%d of transaction %d", i, w.made)}).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := client.EndTransaction(ctx, end); err != nil {
		w.t.Fatal(err)
	}
}

// Streams that somebody made beforehand, with timestamps of their own: S2's timestamps are an index, the records are exact.
func TestH25StreamsWithTimestampsOfTheirOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	modes := []s2.TimestampingMode{s2.TimestampingModeArrival, s2.TimestampingModeClientRequire, s2.TimestampingModeClientPrefer}
	w.topic("orders", int32(len(modes)))
	client := s2.New("none", &s2.ClientOptions{BaseURL: w.s2.URL() + "/v1", MakeBasinBaseURL: func(string) string { return w.s2.URL() + "/v1" }})
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	var all []int32
	for i, mode := range modes {
		uncapped := i == 2
		_, err := client.Basin(s2mem.DefaultBasin).Streams.Create(ctx, s2.CreateStreamArgs{Stream: s2.StreamName(fmt.Sprintf("orders/%d", i)),
			Config: &s2.StreamConfig{Timestamping: &s2.TimestampingConfig{Mode: &mode, Uncapped: &uncapped}}})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, int32(i))
		for _, at := range []time.Time{time.Now().Add(time.Hour), time.UnixMilli(-1), time.UnixMilli(5), time.Now()} {
			w.send(&kgo.Record{Topic: "orders", Partition: int32(i), Timestamp: at, Value: []byte("value")})
		}
	}
	r := start(t, w.settings(nil, "orders"))
	w.copied("orders", all...)
	w.keep("orders")
	w.exactAll("orders", all...)
	r.green()
}

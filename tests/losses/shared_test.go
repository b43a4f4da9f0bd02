package losses

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/s2mem"
)

// recorded gives n records for partition 0 and 1 of a topic that are the same each time.
func (w *world) recorded(topic string, n int) func() []*kgo.Record {
	at := time.Now().Add(-time.Hour)
	return func() (records []*kgo.Record) {
		for i := range n {
			for p := range int32(2) {
				records = append(records, &kgo.Record{Topic: topic, Partition: p, Timestamp: at.Add(time.Duration(i) * time.Second), Value: fmt.Appendf(nil, "%d", i),
					Headers: []kgo.RecordHeader{{Key: "n", Value: []byte{byte(i)}}, {Key: "null"}}})
			}
		}
		return records
	}
}

// adopted judges a stream whose first part, up to offset end, was written for another identity, of that world, as two streams.
func (w *world) adopted(before *world, topic string, partition int32, was oracle.Identity, end int64) {
	w.t.Helper()
	stream, ours := fmt.Sprintf("%s/%d", topic, partition), w.identity(topic, partition).Hash()
	var seam uint64
	for i, s := range w.stored(stream) {
		if it := oracle.Decode(s); it.Kind == oracle.Fence && seam == 0 && len(it.Token) > 12 && it.Token[4:12] == ours {
			seam = uint64(i)
		}
	}
	if seam == 0 {
		w.t.Fatalf("%s was never fenced for the new identity:\n%s", stream, w.dump(stream))
	}
	before.exact(topic, partition, stream, expect{id: &was, before: end, to: seam})
	empty := lost("operator", end, end)
	w.exact(topic, partition, stream, expect{start: end, from: seam, gaps: []gap{empty}})
}

// Two clusters with topics of one name and one basin: the second bridge stands, and names both; the first one never notices.
func TestT65H51TwoClustersOnOneStream(t *testing.T) {
	t.Parallel()
	s2 := s2mem.Start(t, s2mem.Options{})
	a, b := newKafka(t, "cluster-a", t.TempDir(), s2), newKafka(t, "cluster-b", t.TempDir(), s2)
	for _, w := range []*world{a, b} {
		w.topic("orders", 2)
		w.produceAll("orders", 1, 10) // partition 0 only
	}
	first := start(t, a.settings(nil, "orders"))
	a.copied("orders", 0)
	second := start(t, b.settings(nil, "orders"))
	second.held("orders", 0, "foreign-identity", `cluster "cluster-a"`, `topic "orders"`, "partition 0", `group "losses"`)
	b.produce("orders", 1, 5)
	b.copied("orders", 1) // its own
	a.flow("orders", 0)
	a.produce("orders", 1, 5) // too late
	first.held("orders", 1, "foreign-identity", `cluster "cluster-b"`)
	second.resume("orders/0", "adopt")
	second.held("orders", 0, "foreign-identity", "not adopted")
	a.flow("orders", 0)
	second.stop()
	a.flow("orders", 0)
	a.keep("orders")
	b.keep("orders")
	a.exactAll("orders", 0)
	b.exactAll("orders", 1)
}

// Two topics of one cluster whose bridges name their streams alike.
func TestT65H51TwoTopicsOnOneStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("old-orders", 1)
	w.topic("orders", 2)
	w.produceAll("old-orders", 1, 10)
	w.produceAll("orders", 2, 10)
	first := start(t, w.settings(nil, "old-orders"))
	w.copied("old-orders", 0)
	second := start(t, w.settings(bridge.Settings{"kafka.group": "second", "stream.name": "old-{topic}/{partition}"}, "orders"))
	second.held("orders", 0, "foreign-identity", `topic "old-orders"`, "partition 0")
	await(t, patient, func() error {
		if at := w.position("old-orders/1"); at != 9 {
			return fmt.Errorf("it stands at %d", at)
		}
		return nil
	}, "the other partition")
	w.flow("old-orders", 0)
	first.green()
	w.keep("old-orders")
	w.exactAll("old-orders", 0)
}

// A cluster that was restored under another id, with the same log: the stream is adopted and goes on, without a record twice.
func TestT65H51ClusterRestoredUnderAnotherID(t *testing.T) {
	t.Parallel()
	s2 := s2mem.Start(t, s2mem.Options{})
	a := newKafka(t, "cluster-a", t.TempDir(), s2)
	a.topic("orders", 2)
	a.produceAll("orders", 2, 20)
	r := start(t, a.settings(nil, "orders"))
	a.copied("orders", 0, 1)
	a.keep("orders")
	was := a.identity("orders", 0)
	r.stop()
	a.kafka.Close()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(a.dir)); err != nil {
		t.Fatal(err)
	}
	meta, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	if err != nil || !strings.Contains(string(meta), "cluster-a") {
		t.Fatalf("the files of the cluster do not name it: %s, %v", meta, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "meta.json"), []byte(strings.Replace(string(meta), "cluster-a", "cluster-b", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newKafka(t, "cluster-b", dir, s2)
	b.show("orders/0")
	b.lead()
	b.produce("orders", 1, 5)
	r = start(t, b.settings(bridge.Settings{"kafka.group": group}, "orders"))
	b.keep("orders")
	for p := range int32(2) {
		id := was
		id.Partition = p
		if n, before := b.history.Len(b.identity("orders", p)), a.history.Len(id); n < before {
			t.Fatalf("orders/%d has %d records in the restored cluster, %d before", p, n, before)
		}
	}
	r.held("orders", 1, "foreign-identity", `cluster "cluster-a"`)
	r.is("orders", 0, func(s status) error {
		if s.Reason != "foreign-identity" {
			return errWaiting
		}
		return nil
	}, "not held before its first record")
	r.resume("orders/1", "adopt")
	b.copied("orders", 1)
	r.resume("orders/0", "adopt")
	b.flow("orders", 0, 1)
	b.keep("orders")
	b.adopted(a, "orders", 0, was, 20)
	b.adopted(a, "orders", 1, was, 20)
	r.green()
	r.stop()
	r = start(t, b.settings(nil, "orders"))
	b.flow("orders", 0, 1)
	r.green()
}

package losses

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/s2mem"
)

// What /metrics counts is what happened: records, bytes, fences, batches, gaps of every class, refused commits and appends, each
// compared with what became durable in S2 and what Kafka was asked, in a life in which everything happens that is counted.
func TestMetricsAreFacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	facts := w.count()
	topics := map[string]int32{"plain": 3, "transactional": 1, "expired": 1, "behind": 1, "large": 1, "letters": 1, "cut": 1}
	for topic, parts := range topics {
		if err := w.kafka.CreateTopic(topic, parts, map[string]string{"max.message.bytes": "4000000"}); err != nil {
			t.Fatal(err)
		}
	}
	w.topic("dead", 1)
	r := start(t, w.settings(bridge.Settings{"topic": tables(`
		{ name = "expired", retention_lost = "gap" }, { name = "behind", s2_behind = "gap" }, { name = "large", large_records = "skip" },
		{ name = "letters", large_records = "dead_letter", dead_letter_topic = "dead" }, { name = "cut", truncated = "gap" }`)},
		"plain", "transactional", "expired", "behind", "large", "letters", "cut"))
	for topic, parts := range topics {
		w.produceAll(topic, parts, 20)
	}
	all := func() {
		t.Helper()
		for topic, parts := range topics {
			for p := range parts {
				w.copied(topic, p)
			}
		}
	}
	all()
	r.shows(facts.metrics(topics))

	// Transactions: of offsets 20 to 30, three are records.
	w.transact("transactional", 4, kgo.TryAbort)
	w.transact("transactional", 3, kgo.TryCommit)
	w.transact("transactional", 1, kgo.TryAbort)
	w.produce("transactional", 0, 2)
	// Large ones: in chunks, skipped, to the dead letter topic.
	for _, topic := range []string{"plain", "large", "letters"} {
		w.big(topic, 2_500_000)
		w.produce(topic, 0, 2)
	}
	all()
	want := facts.metrics(topics)
	for name, n := range map[string]float64{ // counted by hand, too: those above would agree if the oracle read nothing
		`missing_offsets_total{class="compacted_or_transactional",partition="0",topic="transactional"}`: 8,
		`records_acknowledged_total{partition="0",topic="transactional"}`:                               25,
		`missing_offsets_total{class="refused",partition="0",topic="large"}`:                            1,
		`missing_offsets_total{class="dead_letter",partition="0",topic="letters"}`:                      1,
		`records_acknowledged_total{partition="0",topic="letters"}`:                                     22,
	} {
		if want[name] != n {
			t.Errorf("%s: the oracle counts %v, by hand it is %v", name, want[name], n)
		}
	}
	r.shows(want)

	// An answer that is lost, and one that lies: acquired again, and what was found is not counted as acknowledged.
	lost := facts.lose(w, "plain/1", s2mem.Fault{Do: s2mem.ApplyRefuse})
	w.produce("plain", 1, 1)
	w.hit(lost, 1)
	lie := facts.lose(w, "plain/2", s2mem.Fault{Do: s2mem.Refuse, Status: 412, Body: `{"seq_num_mismatch":7}`})
	w.produce("plain", 2, 1)
	w.hit(lie, 1)
	all()
	want = facts.metrics(topics)
	if want[`records_acknowledged_total{partition="1",topic="plain"}`] != 20 || want[`acquisitions_total{partition="2",topic="plain"}`] != 2 {
		t.Errorf("the lost answer, or the lie, changed nothing: %v", want)
	}
	want[`s2_requests_total{op="session",outcome="condition"}`] = 1
	r.shows(want)

	// Commits that Kafka refuses.
	refused := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: "large", Partitions: []int32{0}, Err: kerr.UnknownServerError, Count: 3})
	w.produce("large", 0, 1)
	w.hit(refused, 3)
	all()
	want = facts.metrics(topics)
	want[`commit_failures_total{partition="0",topic="large"}`] = 3
	r.shows(want)

	// Losses.
	denied := w.unread("expired", 0)
	w.flow("plain", 1)
	w.hit(denied, 1)
	w.produce("expired", 0, 10)
	w.delete("expired", 0, 27)
	denied.Remove()
	w.copied("expired", 0) // before leaders move: kfake does not know an epoch in which nothing was written
	w.s2.Rewind("behind/0", 12)
	w.s2.CutConnections()
	w.flow("behind", 0)
	w.keep("cut")
	w.restart(func() { w.cut("cut", 0, 14) })
	w.lead()
	w.produce("cut", 0, 12)
	w.flow("cut", 0)
	all()
	want = facts.metrics(topics)
	for _, name := range []string{"retention", "operator", "truncation"} {
		if n := counts(want, "class=\""+name+"\""); n != map[string]float64{"retention": 7, "operator": 10, "truncation": 6}[name] {
			t.Errorf("%s: the oracle counts %v", name, n)
		}
	}
	fences := counts(want, "acquisitions_total{")
	maps.Copy(want, map[string]float64{
		"assigned_partitions": 9, "memory_held_bytes": 0, "s2_sessions_open": float64(len(w.s2.Sessions())),
		`s2_requests_total{op="create",outcome="ok"}`: 9, `s2_requests_total{op="fence",outcome="ok"}`: fences,
	})
	for topic, parts := range topics {
		for p := range parts {
			want[fmt.Sprintf("last_stable_offset{partition=\"%d\",topic=%q}", p, topic)] = float64(w.kafka.PartitionInfo(topic, p).LastStableOffset)
		}
	}
	r.shows(want)
	r.green()
}

// counts sums the facts whose name contains the word.
func counts(of map[string]float64, word string) (n float64) {
	for name, v := range of {
		if strings.Contains(name, word) {
			n += v
		}
	}
	return n
}

// big appends a record that S2 does not take whole.
func (w *world) big(topic string, size int) {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.address()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(3_900_000))
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(w.t.Context(), &kgo.Record{Topic: topic, Key: []byte("large"), Value: bytes.Repeat([]byte("0123456789"), size/10)}).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// The comparison finds what it is there for.
func TestMetricsThatAreNoFacts(t *testing.T) {
	t.Parallel()
	page := map[string]float64{"records_acknowledged_total{a}": 3, `missing_offsets_total{class="retention",a}`: 2}
	for name, want := range map[string]map[string]float64{
		"right":        maps.Clone(page),
		"less":         {"records_acknowledged_total{a}": 4, `missing_offsets_total{class="retention",a}`: 2},
		"not there":    {"bytes_acknowledged_total{a}": 0, `missing_offsets_total{class="retention",a}`: 2},
		"class beside": {"records_acknowledged_total{a}": 3},
	} {
		if wrong := differ(page, want); (len(wrong) == 0) != (name == "right") {
			t.Errorf("%s: %v", name, wrong)
		}
	}
}

// Partitions move to a second member while records come, and from the first when it ends. What the members count is together
// what happened: a batch that is acknowledged while its partition is given up is neither forgotten nor counted twice.
func TestMetricsOfTwoMembersAreFacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	facts := w.count()
	const parts = 6
	topics := map[string]int32{"orders": parts}
	w.topic("orders", parts)
	all := func() {
		t.Helper()
		for p := range int32(parts) {
			w.copied("orders", p)
		}
	}
	one := start(t, w.settings(nil, "orders"))
	w.produceAll("orders", parts, 10)
	all()
	two := start(t, w.settings(nil, "orders"))
	await(t, patient, func() error {
		w.produceAll("orders", parts, 1)
		page, err := two.page()
		if err == nil && counts(page, "records_acknowledged_total{") < parts {
			err = errWaiting
		}
		return two.alive(err)
	}, "the second member copies")
	all()
	before, err := one.page()
	if err != nil {
		t.Fatal(err)
	}
	one.stop()
	w.produceAll("orders", parts, 5)
	all()
	want := facts.metrics(topics)
	await(t, patient, func() error {
		page, err := two.page()
		if err != nil {
			return err
		}
		for _, name := range []string{"records_acknowledged_total{", "bytes_acknowledged_total{", "missing_offsets_total{"} {
			have := counts(page, name) + counts(before, name)
			if fact := counts(want, name); have != fact {
				return fmt.Errorf("%s...} is %v and %v, the fact is %v", name, counts(before, name), counts(page, name), fact)
			}
		}
		if have, fact := counts(page, "acquisitions_total{")+counts(before, "acquisitions_total{"), counts(want, "acquisitions_total{"); have < fact {
			return fmt.Errorf("%v acquisitions made %v fences", have, fact)
		}
		if n := page["assigned_partitions"]; n != parts || counts(page, "durable_offset{") != counts(want, "durable_offset{") {
			return fmt.Errorf("%v partitions are assigned, their offsets sum up to %v", n, counts(page, "durable_offset{"))
		}
		return nil
	}, "the members' metrics")
	if n := counts(before, "records_acknowledged_total{"); n == 0 || n >= counts(want, "records_acknowledged_total{") {
		t.Errorf("the first member has copied %v: nothing has moved", n)
	}
}

package source

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
)

// bare is a partition without a group around it: for what only asks Kafka.
func (w *world) bare(topic string, cfg Config) *partition {
	s := &Source{cfg: cfg, client: w.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))}
	s.client.PauseFetchTopics(topic)
	p := newPartition(s, key{topic, 0})
	p.id = mapping.Identity{Cluster: "cluster", Topic: topic, TopicID: w.kafka.TopicInfo(topic).TopicID}
	w.until("the leader", func() bool {
		leader, _, err := s.client.PartitionLeader(topic, 0)
		return err == nil && leader >= 0
	})
	return p
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// stamped produces a record for each of the minutes past noon.
func (w *world) stamped(topic string, minutes ...int) {
	w.t.Helper()
	for _, m := range minutes {
		r := &kgo.Record{Topic: topic, Timestamp: noon.Add(time.Duration(m) * time.Minute), Value: []byte("v")}
		if err := w.kafkaC.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// The log: 0 to 4 at minutes 0, 10, 5, 20, 30; then 3 records of a transaction
// that is open, at the time of the test.
func TestWhereAStartPolicyBegins(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.topic("empty", 1)
	w.stamped("orders", 0, 10, 5, 20, 30)
	w.begin("orders", 0, 3)
	at := func(minutes int) handoff.StartPolicy {
		return handoff.StartPolicy{From: handoff.FromTime, At: noon.Add(time.Duration(minutes) * time.Minute)}
	}
	latest := handoff.StartPolicy{From: handoff.FromLatest}
	for name, c := range map[string]struct {
		topic           string
		start           handoff.StartPolicy
		want, uncommits int64
	}{
		"latest":                     {"orders", latest, 5, 8},
		"latest of an empty topic":   {"empty", latest, 0, 0},
		"the time of a record":       {"orders", at(20), 3, 3},
		"between two":                {"orders", at(6), 1, 1},
		"before all":                 {"orders", at(-60), 0, 0},
		"before 1970":                {"orders", handoff.StartPolicy{From: handoff.FromTime, At: time.UnixMilli(-2)}, 0, 0},
		"only open ones are so late": {"orders", at(31), 5, 5},
		"in the future":              {"orders", handoff.StartPolicy{From: handoff.FromTime, At: time.Now().Add(time.Hour)}, 5, 8},
		"a time, of an empty topic":  {"empty", at(0), 0, 0},
	} {
		for uncommitted, want := range map[bool]int64{false: c.want, true: c.uncommits} {
			cfg := w.config(c.topic)
			cfg.ReadUncommitted = uncommitted
			if got, err := w.bare(c.topic, cfg).Locate(t.Context(), c.start); err != nil || got != want {
				t.Errorf("%s, uncommitted %v: offset %d, %v; want %d", name, uncommitted, got, err, want)
			}
		}
	}
	p := w.bare("orders", w.config("orders"))
	for _, start := range []handoff.StartPolicy{{}, {From: handoff.FromOffset, Offset: 3}} {
		if got, err := p.Locate(t.Context(), start); err == nil {
			t.Errorf("Kafka was asked for %+v and said %d", start, got)
		}
	}
	w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Count: -1, Err: kerr.TopicAuthorizationFailed})
	for _, start := range []handoff.StartPolicy{latest, at(5)} {
		if got, err := p.Locate(t.Context(), start); err == nil {
			t.Errorf("Kafka refused, and the start is %d", got)
		}
	}
}

// The policy is for a stream that has no position, and for nothing else: not for
// a partition that came later, and not for a position that Kafka has no more.
func TestLatestIsOnlyForTheFirstStart(t *testing.T) {
	w := newWorld(t)
	w.policy.Start.From = handoff.FromLatest
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	m := w.join(w.config("orders"))
	w.until("a place to read from", func() bool { st, _ := m.of("orders", 0); return st.Phase == "flowing" || st.Phase == "idle" })
	w.produce("orders", 0, 5, 10)
	w.wantOffsets("orders", 0, []int64{10, 11, 12, 13, 14})
	w.wantCommitted("orders", 0, 15)
	m.leave()

	w.produce("orders", 0, 20, 10)
	if err := w.kafka.DeleteRecords("orders", 0, 25); err != nil {
		t.Fatal(err)
	}
	m = w.join(w.config("orders"))
	st := w.wantHeld(m, "orders", 0, handoff.RetentionLost)
	if st.Hold.From != 15 || st.Hold.To != 25 {
		t.Errorf("the hold names offsets [%d, %d), want [15, 25)", st.Hold.From, st.Hold.To)
	}
	w.wantOffsets("orders", 0, []int64{10, 11, 12, 13, 14})
}

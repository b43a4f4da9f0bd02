package source

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/tests/s2mem"
)

// recreate deletes a topic and creates it again; it gives the id that went.
func (w *world) recreate(topic string, partitions int32) [16]byte {
	w.t.Helper()
	old := w.kafka.TopicInfo(topic).TopicID
	if err := w.kafka.DeleteTopic(topic); err != nil {
		w.t.Fatal(err)
	}
	w.topic(topic, partitions)
	w.kafkaC.PurgeTopicsFromClient(topic)
	return old
}

// perTopicID is a configuration whose streams are named after the topic's id.
func (w *world) perTopicID(standing bool, topics ...string) Config {
	w.perID = true
	cfg := w.config(topics...)
	cfg.StreamPerTopicID = true
	cfg.NewStream = func(string) bool { return standing }
	return cfg
}

// wantStart waits until it is settled that a partition is read from offset 0.
func (w *world) wantStart(m *member, topic string) {
	w.t.Helper()
	w.until("a place to read from", func() bool { st, ok := m.of(topic, 0); return ok && st.Position == 0 })
}

// line finds the log line that has all these parts.
func (m *member) line(parts ...string) bool {
	return slices.ContainsFunc(strings.Split(m.log.String(), "\n"), func(l string) bool {
		return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(l, p) })
	})
}

func (w *world) wantOld(topic string, id [16]byte, end int64) {
	w.t.Helper()
	var want []int64
	for o := range end {
		want = append(want, o)
	}
	if got := w.copiedFrom(topic, id, 0); !slices.Equal(got, want) {
		w.t.Errorf("the old stream holds %v, want %v", got, want)
	}
}

// The standing policy: the new topic goes on in a stream of its own, from its
// first record, whatever the start policy says; the old stream stays as it was.
// Its neighbour flows on. The log says what the old one lacks.
func TestATopicThatWasCreatedAnewGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		regex, idle, lost bool
		says              string
	}{
		"named exactly":       {says: "nothing that was seen"},
		"by an expression":    {regex: true, says: "nothing that was seen"},
		"without new records": {idle: true, says: "nothing that was seen"},
		"with a loss":         {lost: true, says: "offsets 10 to 14 of the old topic"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.policy.Start.From = handoff.FromLatest
			cfg := w.perTopicID(true, "orders", "other")
			if c.regex {
				cfg = w.perTopicID(true, "other")
				cfg.Regexes = []string{"^(?:ord.*)$"}
			}
			cfg.Drain = 300 * time.Millisecond
			w.topic("orders", 1)
			w.topic("other", 1)
			m := w.join(cfg)
			for _, topic := range []string{"orders", "other"} {
				w.wantStart(m, topic)
				w.produce(topic, 0, 10, 10)
				w.wantCommitted(topic, 0, 10)
			}
			if c.lost {
				hold := w.s2.Fault(s2mem.Fault{Op: s2mem.OpBatch, Do: s2mem.Hold})
				w.produce("orders", 0, 5, 10)
				w.hit(hold, 1)
				w.until("the end to be seen", func() bool { st, _ := m.of("orders", 0); return st.LastStable == 15 })
				defer hold.Release()
			}
			old := w.recreate("orders", 1)
			if !c.idle {
				w.produce("orders", 0, 7, 10)
			}
			w.until("the line about it", func() bool {
				return m.line("topic was deleted and created anew", "topic=orders", uuid(old), uuid(w.kafka.TopicInfo("orders").TopicID),
					"old_stream_complete_through=9", "old_last_stable_offset=1", c.says)
			})
			if c.idle {
				w.until("a new owner", func() bool { return len(m.log.assignments("orders", 0)) == 2 })
				w.produce("orders", 0, 7, 10)
			}
			w.wantCopied("orders", 0, 0, 7)
			w.wantCommitted("orders", 0, 7)
			w.wantOld("orders", old, 10)
			w.produce("other", 0, 5, 10)
			w.wantCopied("other", 0, 0, 15)
			if as := m.log.assignments("orders", 0); len(as) != 2 || !as[1].New || as[1].Commit != nil {
				t.Errorf("the owners began with %+v", as)
			}
			w.until("nothing against being ready", func() bool { ok, _ := m.Ready(); return ok })
		})
	}
}

func uuid(id [16]byte) string { return mapping.Identity{TopicID: id}.TopicUUID() }

// Each member has one partition. Whoever gets which in the rebalance that
// follows: both are copied from their first record.
func TestATopicIsCreatedAnewUnderTwoMembers(t *testing.T) {
	w := newWorld(t)
	w.policy.Start.From = handoff.FromLatest
	cfg := w.perTopicID(true, "orders")
	w.topic("orders", 2)
	w.join(cfg)
	w.join(cfg)
	w.spread(1, 1)
	for p := range int32(2) {
		w.until("a place to read from", func() bool {
			a, okA := w.members[0].of("orders", p)
			b, okB := w.members[1].of("orders", p)
			return okA && a.Position == 0 || okB && b.Position == 0
		})
		w.produce("orders", p, 10, 10)
		w.wantCommitted("orders", p, 10)
	}
	for range 2 { // and once more
		w.recreate("orders", 2)
		for p := range int32(2) {
			w.produce("orders", p, 7, 10)
		}
		for p := range int32(2) {
			w.wantCopied("orders", p, 0, 7)
			w.wantCommitted("orders", p, 7)
		}
	}
}

// A topic that a member only knows of is created anew, and then becomes its own:
// the client still has the old id, and would fail for ever.
func TestAPartitionOfATopicThatTheClientKnowsByItsOldID(t *testing.T) {
	w := newWorld(t)
	cfg := w.perTopicID(false, "orders")
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	first := w.join(cfg)
	w.wantCommitted("orders", 0, 10)
	second := w.join(cfg)
	w.until("two members", func() bool {
		info := w.kafka.GroupInfo(group)
		return len(info.Members) == 2 && info.State == "Stable"
	})
	if second.owns(1) {
		first, second = second, first
	}
	metas := w.requests(kmsg.Metadata)
	w.recreate("orders", 1)
	w.produce("orders", 0, 7, 10)
	w.wantHeld(first, "orders", 0, handoff.Recreated)
	w.hit(metas, metas.Hits()+6) // both clients have noticed
	first.leave()
	w.wantCopied("orders", 0, 0, 7)
	w.wantCommitted("orders", 0, 7)
	w.until("nothing against being ready", func() bool { ok, _ := second.Ready(); return ok })
}

// Recreated while nobody ran: the group's commit names another identity.
func TestATopicThatWasCreatedAnewWhileStopped(t *testing.T) {
	w := newWorld(t)
	w.policy.Start.From = handoff.FromLatest
	cfg := w.perTopicID(false, "orders")
	w.topic("orders", 1)
	m := w.join(cfg)
	w.wantStart(m, "orders")
	w.produce("orders", 0, 10, 10)
	w.wantCommitted("orders", 0, 10)
	c := w.committed("orders", 0)
	m.leave()
	old := w.recreate("orders", 1)
	w.produce("orders", 0, 15, 10)
	w.commitAs("orders", 0, c.Offset, 0, c.Metadata) // brokers before 4.1 keep it
	m = w.join(cfg)
	w.wantCopied("orders", 0, 0, 15)
	w.wantCommitted("orders", 0, 15)
	w.wantOld("orders", old, 10)
	if as := m.log.assignments("orders", 0); len(as) != 1 || !as[0].New {
		t.Errorf("begun as %+v", as)
	}
}

// A broker that is behind names the old topic once: that is no reason to stop.
func TestOneStaleAnswerDoesNotStopAPartition(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	m := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 10)
	m.mu.Lock()
	p := m.parts[key{"orders", 0}]
	other := &topicInfo{cluster: "cluster", id: [16]byte{1}, partitions: 1}
	m.compareIDs(p, other)
	once := p.gone
	m.compareIDs(p, &topicInfo{cluster: "cluster", id: p.id.TopicID, partitions: 1})
	m.compareIDs(p, other)
	m.compareIDs(p, nil)
	apart := p.gone
	m.compareIDs(p, &topicInfo{cluster: "cluster", id: p.id.TopicID, partitions: 1})
	m.firstIDs["orders"] = [16]byte{2}
	for range 3 {
		m.compareIDs(p, &topicInfo{cluster: "cluster", id: [16]byte{2}, partitions: 1})
	}
	before := p.gone
	m.mu.Unlock()
	if once || apart || before {
		t.Errorf("stopped by one answer: %v, by two apart: %v, by one that names a topic of before: %v", once, apart, before)
	}
	w.produce("orders", 0, 5, 10)
	w.wantCopied("orders", 0, 0, 15)
}

// The client serves records of another topic id: they are not copied.
func TestRecordsOfAnotherTopicAreNotTaken(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	m := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 10)
	records := []*kgo.Record{{Topic: "orders", Offset: 10, Value: []byte("of another topic")}}
	m.deliver(kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: "orders", TopicID: [16]byte{9}, Partitions: []kgo.FetchPartition{{Partition: 0, Records: records}}}}}})
	w.produce("orders", 0, 5, 10)
	w.wantCopied("orders", 0, 0, 15) // the client was told to forget its topic
	w.wantCommitted("orders", 0, 15)
	for _, r := range w.s2.Records("orders/0") {
		if strings.Contains(string(r.Body), "another topic") {
			t.Error("copied")
		}
	}
}

// The client assigns a topic anew that was never revoked: it was forgotten and
// found again in between. The owner that is there goes first.
func TestAPartitionThatIsAssignedTwice(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	m := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 10)
	before := m.part("orders", 0)
	m.assigned(t.Context(), m.client, map[string][]int32{"orders": {0}})
	select {
	case <-before.owner.Done():
	default:
		t.Error("the owner before it may still write")
	}
	if now := m.part("orders", 0); now == nil || now == before || now.owner != nil || !now.paused {
		t.Errorf("in its place is %+v", now)
	}
}

// An expression's topic was away for so long that the client had it revoked, and
// came back as another one: that is said as well.
func TestAPartitionThatComesBackUnderAnotherTopic(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	m := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 10)
	m.mu.Lock()
	p := m.parts[key{"orders", 0}]
	old := p.id
	old.TopicID = [16]byte{7}
	p.told = true
	m.past[p.key] = past{id: old, durable: 4, position: 5, end: 9}
	m.resubscribe("orders")
	m.mu.Unlock()
	w.until("the line about it", func() bool {
		return m.line("created anew", old.TopicUUID(), p.id.TopicUUID(), "old_stream_complete_through=4", "old_last_stable_offset=9", "offsets 5 to 8 of the old topic")
	})
	w.produce("orders", 0, 5, 10)
	w.wantCopied("orders", 0, 0, 15)
	w.wantCommitted("orders", 0, 15)
}

func TestWhatAnOldTopicLost(t *testing.T) {
	for want, was := range map[string]past{
		"nothing that was seen": {durable: 9, position: 10, end: 10},
		"offsets 10 to 14 of the old topic, and what came after them unseen":             {durable: 9, position: 10, end: 15},
		"offsets 12 to 14 of the old topic, and what came after them unseen":             {durable: 9, position: 12, end: 15},
		"offsets 0 to 14 of the old topic, and what came after them unseen":              {durable: -1, position: -1, end: 15},
		"what the old topic held from offset 10 on, if anything; its end was never seen": {durable: 9, position: -1, end: -1},
	} {
		if got := was.lost(); got != want {
			t.Errorf("%+v: %s, want %s", was, got, want)
		}
	}
}

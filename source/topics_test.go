package source

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestTopicsAreFoundByNameAndExpression(t *testing.T) {
	w := newWorld(t, kfake.NumBrokers(1))
	for _, name := range []string{"orders-eu", "orders-us", "orders-test", "audit", "other"} {
		w.topic(name, 1)
		w.produce(name, 0, 3, 10)
	}
	cfg := w.config("audit")
	cfg.Regexes, cfg.Exclude = []string{"^(?:orders-.*)$"}, []string{"^(?:.*-test)$"}
	m := w.join(cfg)
	for _, name := range []string{"orders-eu", "orders-us", "audit"} {
		w.wantCommitted(name, 0, 3)
	}
	w.topic("orders-new", 2)
	w.topic("orders-new-test", 1)
	w.produce("orders-new", 1, 3, 10)
	w.produce("orders-new-test", 0, 3, 10)
	w.wantCopied("orders-new", 1, 0, 3)
	w.until("both partitions of the new topic", func() bool { return m.owns(5) })
	for _, st := range m.Status() {
		switch st.Topic {
		case "orders-eu", "orders-us", "audit", "orders-new":
		default:
			t.Errorf("%s is copied", st.Topic)
		}
	}
	if ok, why := m.Ready(); !ok {
		t.Errorf("not ready: %v", why)
	}
}

// Internal topics (the group's own offsets) change with every commit: copying
// them would never end. An expression does not reach them.
func TestInternalTopicsAreNotMeantByAnExpression(t *testing.T) {
	w := newWorld(t)
	w.topic("__consumer_offsets", 1)
	w.topic("orders", 1)
	if err := w.kafka.CreateTopic("flagged", 1, map[string]string{"kfake.is_internal": "true"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"__consumer_offsets", "flagged", "orders"} {
		w.produce(name, 0, 3, 10)
	}
	cfg := w.config()
	cfg.Regexes = []string{"^(?:.*)$"}
	m := w.join(cfg)
	w.wantCommitted("orders", 0, 3)
	for _, st := range m.Status() {
		if st.Topic != "orders" {
			t.Errorf("%s is copied", st.Topic)
		}
	}
}

func TestAnInternalTopicThatIsNamedExactlyIsCopied(t *testing.T) {
	w := newWorld(t)
	w.topic("__audit", 1)
	w.topic("orders", 1)
	w.produce("__audit", 0, 3, 10)
	cfg := w.config("__audit")
	cfg.Regexes = []string{"^(?:orders)$"}
	m := w.join(cfg)
	w.wantCommitted("__audit", 0, 3)
	w.until("both topics", func() bool { return m.owns(2) })
}

func TestATopicThatDoesNotExistIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 3, 10)
	m := w.join(w.config("orders", "later"))
	w.wantCommitted("orders", 0, 3)
	w.until("the missing topic as a reason", func() bool {
		ok, why := m.Ready()
		return !ok && contains(why, "topic later does not exist")
	})
	seen := w.requests(kmsg.Metadata)
	w.hit(seen, seen.Hits()+5)
	if n := m.log.count("topic does not exist"); n != 1 {
		t.Errorf("%d log lines tell of the missing topic, want 1", n)
	}
	w.topic("later", 1)
	w.produce("later", 0, 3, 10)
	w.wantCopied("later", 0, 0, 3)
	w.until("nothing against being ready", func() bool { ok, _ := m.Ready(); return ok })
}

// A topic that was deleted between the assignment and the question what its id
// is must not keep the other new partitions waiting.
func TestATopicThatKafkaDoesNotDescribeDelaysNoOther(t *testing.T) {
	w := newWorld(t)
	w.topic("gone", 1)
	w.topic("orders", 1)
	w.produce("gone", 0, 3, 10)
	w.produce("orders", 0, 3, 10)
	var assigned atomic.Bool
	w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Count: -1, Observe: true, When: func(kmsg.Request) bool {
		assigned.Store(true) // the question comes next
		return false
	}})
	hide := w.kafka.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Metadata}, Topic: "gone", Count: -1, Err: kerr.UnknownTopicOrPartition,
		When: func(kmsg.Request) bool { return assigned.Load() },
	})
	m := w.join(w.config("gone", "orders"))
	w.wantCommitted("orders", 0, 3)
	if ok, why := m.Ready(); ok || !contains(why, "gone/0") {
		t.Errorf("ready %v: %v", ok, why)
	}
	hide.Remove()
	w.wantCopied("gone", 0, 0, 3)
	w.until("nothing against being ready", func() bool { ok, _ := m.Ready(); return ok })
}

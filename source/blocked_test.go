package source

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const waitingGauge = "kafka_s2_bridge_open_transaction_offsets"

func (m *member) blocked(topic string) string {
	st, _ := m.of(topic, 0)
	return st.Blocked
}

// A transaction is left open, and other producers write behind it: from outside
// the bridge looks stuck. It says whose fault that is, and goes on by itself.
func TestAnOpenTransactionIsNamed(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.topic("other", 1)
	w.produce("orders", 0, 10, 10)
	open := w.client(kgo.TransactionalID("nightly-load"))
	if err := open.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := open.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.produce("orders", 0, 5, 10)
	m := w.join(w.config("orders", "other"))
	w.wantCopied("orders", 0, 0, 10)
	id, _, err := open.ProducerID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`an open transaction (transactional id "nightly-load", producer id %d, since offset 10) holds the last stable offset at 10; `, id)
	w.until("the transaction named", func() bool { return m.blocked("orders") == want+"6 offsets wait behind it" })
	st, _ := m.of("orders", 0)
	if st.HighWatermark != 16 || st.LastStable != 10 || st.Lag != 0 || m.gauge(waitingGauge, "orders") != 6 {
		t.Errorf("%+v, %v offsets wait", st, m.gauge(waitingGauge, "orders"))
	}
	if m.gauge(waitingGauge, "other") != -100 || m.blocked("other") != "" {
		t.Error("the neighbour waits too")
	}
	if ok, why := m.Ready(); !ok {
		t.Errorf("not ready: %v", why)
	}
	w.produce("orders", 0, 4, 10)
	w.until("more that waits", func() bool {
		return m.blocked("orders") == want+"10 offsets wait behind it" && m.gauge(waitingGauge, "orders") == 10
	})
	w.endTransaction(open, kgo.TryCommit)
	w.wantCommitted("orders", 0, 21)
	w.until("the end of it", func() bool { return m.blocked("orders") == "" && m.gauge(waitingGauge, "orders") == -100 })
	if a, b := m.log.count("holds the last stable offset"), m.log.count("the open transaction that held a partition has ended"); a != 1 || b != 1 {
		t.Errorf("%d log lines tell of the beginning, %d of the end", a, b)
	}
}

// Kafka is too old to say whose it is, or does not let us ask: the sentence goes
// without. Nobody else's partition is concerned.
func TestAnOpenTransactionThatKafkaDoesNotName(t *testing.T) {
	for name, c := range map[string]struct {
		fault kfake.Fault
		want  string
	}{
		"producers":    {kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeProducers}, Count: -1, Err: kerr.TopicAuthorizationFailed}, `^an open transaction holds the last stable offset at 3; 2 offsets wait behind it$`},
		"transactions": {kfake.Fault{Keys: []kmsg.Key{kmsg.ListTransactions}, Count: -1, Err: kerr.TransactionalIDAuthorizationFailed}, `^an open transaction \(producer id \d+, since offset 3\) holds the last stable offset at 3; 2 offsets wait behind it$`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.topic("orders", 1)
			w.produce("orders", 0, 3, 10)
			w.begin("orders", 0, 2)
			refuse := w.kafka.Fault(c.fault)
			m := w.join(w.config("orders"))
			w.until("the sentence", func() bool { return regexp.MustCompile(c.want).MatchString(m.blocked("orders")) })
			looks := w.requests(kmsg.ListOffsets)
			w.hit(looks, 6)
			if n := refuse.Hits(); n > 2 {
				t.Errorf("Kafka was asked %d times", n)
			}
			if n := m.log.count("level=WARN msg=\"an open transaction holds a partition"); n != 1 {
				t.Errorf("%d log lines", n)
			}
		})
	}
}

// Transactions that come and go are no news, nor is a bridge that is behind, nor
// one that copies open transactions as they are.
func TestWhatIsNotAnOpenTransaction(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 3, 10)
	w.begin("orders", 0, 2)
	cfg := w.config("orders")
	cfg.ReadUncommitted = true
	m := w.join(cfg)
	w.wantCommitted("orders", 0, 5)
	w.produce("orders", 0, 1, 10)
	w.until("lag 0", func() bool { st, _ := m.of("orders", 0); return st.Lag == 0 && st.HighWatermark == 6 })
	looks := w.requests(kmsg.ListOffsets)
	w.hit(looks, 12)
	if m.blocked("orders") != "" {
		t.Errorf("uncommitted records are copied, and yet: %s", m.blocked("orders"))
	}

	s := &Source{}
	p := newPartition(s, key{"orders", 0})
	p.owner = m.part("orders", 0).owner // its position is 6
	stands := func(lastStable, high int64) bool {
		p.seen(lastStable, high)
		return s.standsStill(p)
	}
	for i := range int64(10) {
		if stands(4+i%2, 20) {
			t.Fatal("the last stable offset moves")
		}
	}
	for range 10 {
		if stands(7, 20) {
			t.Fatal("we are behind it ourselves")
		}
		if stands(6, 6) {
			t.Fatal("nothing waits")
		}
	}
	p.seen(6, 20)
	asked := 0
	for range stillLooks + 2*blameLooks + 1 {
		if s.standsStill(p) {
			asked++
		}
	}
	if asked != 3 {
		t.Errorf("asked %d times whose it is, want 3", asked)
	}
}

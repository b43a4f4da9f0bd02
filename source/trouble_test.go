package source

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What Kafka refuses for one partition stops that one, is shown, is tried again
// with time in between, and passes.
func TestAFetchThatIsRefusedIsTriedAgain(t *testing.T) {
	for name, e := range map[string]*kerr.Error{
		"authorization": kerr.TopicAuthorizationFailed,
		"corrupt":       kerr.CorruptMessage,
		"storage":       kerr.KafkaStorageError,
		"unknown":       kerr.UnknownServerError,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.topic("secret", 1)
			w.topic("other", 1)
			w.produce("secret", 0, 10, 10)
			w.produce("other", 0, 5, 10)
			refuse := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, TopicID: w.kafka.TopicInfo("secret").TopicID, Count: -1, Err: e})
			m := w.join(w.config("secret", "other"))
			w.hit(refuse, 1)
			w.wantCopied("other", 0, 0, 5)
			w.wantQuietTopic("secret", "other")
			if n := refuse.Hits(); n > 100 {
				t.Errorf("the partition was fetched %d times", n)
			}
			w.until("a reason", func() bool {
				ok, why := m.Ready()
				return !ok && contains(why, "secret/0 cannot be fetched: "+e.Message)
			})
			refuse.Remove()
			w.wantCopied("secret", 0, 0, 10)
			w.until("nothing against being ready", func() bool { ok, _ := m.Ready(); return ok })
		})
	}
}

// The group does not tell its commit of one topic: the client leaves the
// partition out. That must be seen, and pass when the refusal has passed; until
// then the group is left in peace.
func TestACommitThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	w.topic("secret", 1)
	w.topic("other", 1)
	w.produce("secret", 0, 10, 10)
	w.produce("other", 0, 5, 10)
	refuse := w.kafka.Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Topic: "secret", Count: -1, Err: kerr.TopicAuthorizationFailed},
		kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, TopicID: w.kafka.TopicInfo("secret").TopicID, Count: -1, Err: kerr.TopicAuthorizationFailed},
	)
	m := w.join(w.config("secret", "other"))
	w.wantCopied("other", 0, 0, 5)
	w.until("a reason", func() bool { ok, why := m.Ready(); return !ok && contains(why, "secret/0 cannot be fetched") })
	joins := w.requests(kmsg.JoinGroup)
	w.hit(refuse, refuse.Hits()+4) // the watch asks
	if n := joins.Hits(); n > 0 {
		t.Errorf("%d joins while nothing had changed", n)
	}
	refuse.Remove()
	w.wantCopied("secret", 0, 0, 10)
	w.wantCommitted("secret", 0, 10)
	w.produce("other", 0, 5, 10)
	w.wantCopied("other", 0, 0, 10)
	w.until("nothing against being ready", func() bool { ok, _ := m.Ready(); return ok })
}

func TestAGroupThatRefusesTheMemberIsShown(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	refuse := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: group, TopLevel: true, Count: -1, Err: kerr.GroupAuthorizationFailed})
	m := w.join(w.config("orders"))
	w.until("a reason", func() bool { ok, why := m.Ready(); return !ok && contains(why, "not a member of group bridge") })
	refuse.Remove()
	w.wantCopied("orders", 0, 0, 10)
	w.until("nothing against being ready", func() bool { ok, _ := m.Ready(); return ok })
}

// flipper is a connection that alters one byte of what carries the mark.
type flipper struct {
	net.Conn
	mark []byte
	on   *atomic.Bool
	hits *atomic.Int32
}

func (f *flipper) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if i := bytes.Index(b[:n], f.mark); i >= 0 && f.on.Load() {
		b[i] ^= 1
		f.hits.Add(1)
	}
	return n, err
}

func TestACorruptBatchIsNotCopied(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.topic("other", 1)
	mark := []byte("a value that changes on its way")
	if err := w.kafkaC.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: mark}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.produce("other", 0, 5, 10)
	var on atomic.Bool
	var hits atomic.Int32
	on.Store(true)
	cfg := w.config("orders", "other")
	cfg.Dial = func(ctx context.Context, network, host string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, host)
		if err != nil {
			return nil, err
		}
		return &flipper{c, mark, &on, &hits}, nil
	}
	m := w.join(cfg)
	w.until("a batch that was altered", func() bool { return hits.Load() > 0 })
	w.until("a reason", func() bool { ok, why := m.Ready(); return !ok && contains(why, "orders/0 cannot be fetched") })
	w.wantCopied("other", 0, 0, 5)
	w.wantQuietTopic("orders", "other")
	if got := w.copied("orders", 0); len(got) != 0 {
		t.Errorf("copied %v", got)
	}
	on.Store(false)
	w.wantCopied("orders", 0, 0, 1)
}

// A batch that would not fit memory when it is unpacked stops its partition for
// good, and stays visible.
func TestABatchThatUnpacksBeyondTheBudgetIsShown(t *testing.T) {
	w := newWorld(t)
	w.topic("bomb", 1)
	w.topic("other", 1)
	bomber := w.client(kgo.ProducerBatchCompression(kgo.GzipCompression()), kgo.ProducerBatchMaxBytes(900_000))
	var recs []*kgo.Record
	for range 8 {
		recs = append(recs, &kgo.Record{Topic: "bomb", Value: make([]byte, 100_000)})
	}
	if err := bomber.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	cfg := w.config("bomb", "other")
	cfg.Budget, cfg.MaxRecordBytes = 64<<10, 32<<10
	m := w.join(cfg)
	w.until("a reason", func() bool { ok, why := m.Ready(); return !ok && contains(why, "bomb/0 cannot be fetched") })
	w.wantQuietTopic("bomb", "other")
	before := m.log.count("fetch error")
	metas := w.requests(kmsg.Metadata)
	w.hit(metas, 5) // several looks of the watch
	if ok, why := m.Ready(); ok || !contains(why, "bomb/0 cannot be fetched") {
		t.Errorf("ready %v: %v", ok, why)
	}
	if n := m.log.count("fetch error"); n != before {
		t.Errorf("%d more log lines", n-before)
	}
}

func TestTheBrokerGoesAndComesBack(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, kfake.DataDir(dir))
	w.topic("orders", 2)
	for p := range int32(2) {
		w.produce("orders", p, 10, 10)
	}
	m := w.join(w.config("orders"))
	for p := range int32(2) {
		w.wantCommitted("orders", p, 10)
	}
	w.restart(dir, func() {
		w.until("the broker missed", func() bool { ok, why := m.Ready(); return !ok && contains(why, "cannot be reached") })
	})
	for p := range int32(2) {
		w.produce("orders", p, 10, 10)
		w.wantCommitted("orders", p, 20)
		w.wantCopied("orders", p, 0, 20)
	}
	w.until("nothing against being ready", func() bool { ok, _ := m.Ready(); return ok })
}

// The end of the process must not wait for a Kafka that does not answer.
func TestTheEndDoesNotWaitForADeadBroker(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	m := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 10)
	w.kafka.Close()
	began := time.Now()
	m.leave()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("Run ended after %v", took)
	}
}

func TestLeadersAndCoordinatorsMove(t *testing.T) {
	const parts = 4
	w := newWorld(t, kfake.NumBrokers(3))
	w.topic("orders", parts)
	m := w.join(w.config("orders"))
	var n int64
	for i := range 6 {
		for p := range int32(parts) {
			w.produce("orders", p, 10, 10)
		}
		n += 10
		w.kafka.ShufflePartitionLeaders()
		if i%2 == 0 {
			w.kafka.RehashCoordinators()
		}
		if err := w.kafka.MoveTopicPartition("orders", int32(i%parts), int32(i%3)); err != nil {
			t.Fatal(err)
		}
		for p := range int32(parts) {
			w.produce("orders", p, 10, 10)
		}
		n += 10
	}
	for p := range int32(parts) {
		w.wantCopied("orders", p, 0, n)
		w.wantCommitted("orders", p, n)
		if st, _ := m.of("orders", p); st.Hold.Reason != "" {
			t.Errorf("partition %d is held: %+v", p, st.Hold)
		}
	}
	w.until("nothing against being ready", func() bool { ok, _ := m.Ready(); return ok })
}

package source

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/offsets"
	"kafka-s2-bridge/tests/s2mem"
)

// commitAs seeds the group's commit for a partition; the group is empty.
func (w *world) commitAs(topic string, partition int32, at int64, epoch int32, metadata string) {
	w.t.Helper()
	var set kadm.Offsets
	set.Add(kadm.Offset{Topic: topic, Partition: partition, At: at, LeaderEpoch: epoch, Metadata: metadata})
	if err := kadm.NewClient(w.kafkaC).CommitAllOffsets(w.t.Context(), group, set); err != nil {
		w.t.Fatal(err)
	}
}

// fetchedFrom gathers the offsets at which partition 0 of a topic is fetched.
func (w *world) fetchedFrom(topic string) *fetchLog {
	l := &fetchLog{seen: make(chan fetchedAt, 10_000)}
	id := w.kafka.TopicInfo(topic).TopicID
	w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Count: -1, Observe: true, When: func(r kmsg.Request) bool {
		for _, t := range r.(*kmsg.FetchRequest).Topics {
			for _, p := range t.Partitions {
				if t.TopicID == id && p.Partition == 0 {
					select {
					case l.seen <- fetchedAt{p.FetchOffset, p.CurrentLeaderEpoch}:
					default:
					}
				}
			}
		}
		return false
	}})
	return l
}

type fetchedAt struct {
	offset int64
	epoch  int32
}

type fetchLog struct{ seen chan fetchedAt }

func (l *fetchLog) none() bool { return len(l.seen) == 0 }

func (l *fetchLog) first(t *testing.T) fetchedAt {
	t.Helper()
	select {
	case f := <-l.seen:
		return f
	case <-time.After(patient):
		t.Fatal("nothing was fetched")
		return fetchedAt{}
	}
}

func TestNothingIsFetchedBeforeS2SaidWhereToStart(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	fetches := w.fetchedFrom("orders")
	hold := w.s2.Fault(s2mem.Fault{Op: s2mem.OpTail, Do: s2mem.Hold})
	m := w.join(w.config("orders"))
	w.hit(hold, 1)
	w.until("the assignment", func() bool { return m.owns(1) })
	// A neighbour that is answered at once flows meanwhile: see
	// TestASlowStreamDelaysNoOther. Here a whole fetch of nothing passes.
	if st, _ := m.of("orders", 0); st.Phase != "locating" || !fetches.none() {
		t.Fatalf("fetched while S2 had not answered: %+v", st)
	}
	hold.Release()
	w.wantCopied("orders", 0, 0, 10)
	if f := fetches.first(t); f.offset != 0 {
		t.Errorf("the first fetch was at %d", f.offset)
	}
	w.wantCommitted("orders", 0, 10)
}

func TestACommitOfOursIsWhereReadingStarts(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	first := w.join(w.config("orders"))
	meta := w.wantCommitted("orders", 0, 10)
	first.leave()
	w.kafka.ShufflePartitionLeaders() // epoch 1 from here on
	w.produce("orders", 0, 5, 10)

	fetches, epochs := w.fetchedFrom("orders"), w.requests(kmsg.OffsetForLeaderEpoch)
	tails := w.s2.Requests(s2mem.OpTail)
	m := w.join(w.config("orders"))
	w.wantCopied("orders", 0, 0, 15)
	if f := fetches.first(t); f.offset != 10 {
		t.Errorf("the first fetch was at %d, the commit at 10", f.offset)
	}
	if epochs.Hits() == 0 {
		t.Error("nobody asked whether the commit's leader epoch still holds")
	}
	if got := w.s2.Requests(s2mem.OpTail) - tails; got != 1 {
		t.Errorf("S2 was asked for its tail %d times: the acquisition's one time is enough", got)
	}
	as := m.log.assignments("orders", 0)
	if len(as) != 1 || as[0].Commit == nil || as[0].Commit.Offset != 10 || as[0].Commit.Epoch != 0 || as[0].Commit.Meta != meta || as[0].Parts != 1 {
		t.Errorf("the owner was started with %+v", as)
	}
}

// Somebody moved the group to the end of the topic with a tool that keeps the
// metadata, and no new record comes: what was jumped over is copied all the same.
func TestACommitThatAToolMoved(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	first := w.join(w.config("orders"))
	meta := w.wantCommitted("orders", 0, 10)
	first.leave()
	w.produce("orders", 0, 5, 10)
	w.commitAs("orders", 0, 15, 0, meta.Encode())

	fetches := w.fetchedFrom("orders")
	w.join(w.config("orders"))
	w.wantCopied("orders", 0, 0, 15)
	if f := fetches.first(t); f.offset != 10 {
		t.Errorf("the first fetch was at %d, the commit counts what is below 10", f.offset)
	}
}

// As TestACommitThatAToolMoved, but Kafka describes the topic too late: the watch
// begins the partition.
func TestACommitThatAToolMovedBeginsWithTheWatch(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	first := w.join(w.config("orders"))
	meta := w.wantCommitted("orders", 0, 10)
	first.leave()
	w.produce("orders", 0, 5, 10)
	w.commitAs("orders", 0, 12, 0, meta.Encode())
	var assigned atomic.Bool
	w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Count: -1, Observe: true, When: func(kmsg.Request) bool {
		assigned.Store(true)
		return false
	}})
	hide := w.kafka.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Metadata}, Topic: "orders", Count: -1, Err: kerr.UnknownTopicOrPartition,
		When: func(kmsg.Request) bool { return assigned.Load() },
	})
	m := w.join(w.config("orders"))
	w.until("adjust to give up", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		p := m.parts[key{"orders", 0}]
		return p != nil && p.adjusted && p.owner == nil
	})
	hide.Remove()
	w.wantCopied("orders", 0, 0, 15)
}

// Control records that a commit passed are read again, and are no reason to become
// the writer: a group of idle transactional partitions would fence all its streams
// at each start.
func TestPassedControlRecordsAreNoReasonToAcquire(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.transact("orders", 0, 3, kgo.TryCommit) // 0 to 2, marker 3
	first := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 4)
	first.leave()

	fetches := w.fetchedFrom("orders")
	tails := w.s2.Requests(s2mem.OpTail)
	m := w.join(w.config("orders"))
	w.until("the control record to be read again", func() bool {
		select {
		case f := <-fetches.seen:
			return f.offset == 4
		default:
			return false
		}
	})
	w.until("lag 0", func() bool { st, ok := m.of("orders", 0); return ok && st.Lag == 0 && st.LastStable == 4 })
	if st, _ := m.of("orders", 0); st.Phase != "idle" || w.s2.Requests(s2mem.OpTail) != tails {
		t.Errorf("%+v, and S2 was asked %d times", st, w.s2.Requests(s2mem.OpTail)-tails)
	}
	w.transact("orders", 0, 1, kgo.TryCommit)
	w.wantOffsets("orders", 0, []int64{0, 1, 2, 4})
}

func TestAStrangersCommitCountsForNothing(t *testing.T) {
	stranger := offsets.Meta{Next: 9, Last: 6, Parts: 1, ID: "stranger"}.Encode()
	for name, metadata := range map[string]string{"another identity": stranger, "no metadata": "", "another program": "host-7", "newer": `{"v":2}`} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.topic("orders", 1)
			w.produce("orders", 0, 10, 10)
			w.commitAs("orders", 0, 7, 0, metadata)
			m := w.join(w.config("orders"))
			w.wantCopied("orders", 0, 0, 10)
			if n := m.log.count("not of this bridge and stream"); n != 1 {
				t.Errorf("%d log lines tell of the commit, want 1", n)
			}
			if as := m.log.assignments("orders", 0); as[0].Commit != nil {
				t.Errorf("the owner was started with %+v", as[0].Commit)
			}
			w.wantCommitted("orders", 0, 10)
		})
	}
}

// The group's commits are gone (they expire, or somebody deleted the group): the
// streams say where to go on.
func TestWithoutCommitsTheStreamsSayWhereToStart(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 3)
	for p := range int32(3) {
		w.produce("orders", p, 10, 10)
	}
	first := w.join(w.config("orders"))
	for p := range int32(3) {
		w.wantCommitted("orders", p, 10)
	}
	first.leave()
	if _, err := kadm.NewClient(w.kafkaC).DeleteGroups(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	for p := range int32(3) {
		w.produce("orders", p, 5, 10)
	}
	fetches := w.fetchedFrom("orders")
	m := w.join(w.config("orders"))
	for p := range int32(3) {
		w.wantCopied("orders", p, 0, 15)
		w.wantCommitted("orders", p, 15)
	}
	if f := fetches.first(t); f.offset != 10 {
		t.Errorf("the first fetch was at %d, the stream ends at 10", f.offset)
	}
	for p := range int32(3) {
		if st, _ := m.of("orders", p); st.Acquisitions[handoff.First] != 1 || st.Acquisitions[handoff.KafkaPosition] != 0 {
			t.Errorf("partition %d: %+v", p, st)
		}
	}
}

func TestASlowStreamDelaysNoOther(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 4)
	for p := range int32(4) {
		w.produce("orders", p, 10, 10)
	}
	hold := w.s2.Fault(s2mem.Fault{Op: s2mem.OpTail, Stream: "orders/2", Do: s2mem.Hold})
	m := w.join(w.config("orders"))
	for _, p := range []int32{0, 1, 3} {
		w.wantCommitted("orders", p, 10)
	}
	if st, _ := m.of("orders", 2); st.Phase != "locating" || len(w.copied("orders", 2)) > 0 {
		t.Errorf("partition 2 is %+v", st)
	}
	hold.Release()
	w.wantCommitted("orders", 2, 10)
}

// Positions that become known at about the same time are set together: each
// time costs the client everything that it has fetched ahead.
func TestPositionsAreSetInBatches(t *testing.T) {
	const n = 200
	w := newWorld(t)
	w.level = slog.LevelDebug // the client tells of each SetOffsets
	w.topic("orders", n)
	for p := range int32(n) {
		w.produce("orders", p, 1, 10)
	}
	m := w.join(w.config("orders"))
	for p := range int32(n) {
		w.wantCopied("orders", p, 0, 1)
	}
	if sets := m.log.count("from manual SetOffsets"); sets == 0 || sets > n/4 {
		t.Errorf("positions of %d partitions were set by %d calls", n, sets)
	}
}

func TestNewPartitionsAreCopiedFromTheirBeginning(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	m := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 10)
	if _, err := kadm.NewClient(w.kafkaC).UpdatePartitions(t.Context(), 3, "orders"); err != nil {
		t.Fatal(err)
	}
	w.kafkaC.ForceMetadataRefresh()
	late := w.client()
	for p := int32(1); p < 3; p++ {
		for range 5 {
			if err := late.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Partition: p, Value: []byte("v")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for p := int32(1); p < 3; p++ {
		w.wantCopied("orders", p, 0, 5)
		w.wantCommitted("orders", p, 5)
	}
	if as := m.log.assignments("orders", 2); as[0].Parts != 3 {
		t.Errorf("the new partition's owner knows of %d partitions", as[0].Parts)
	}
	w.wantCopied("orders", 0, 0, 10)
}

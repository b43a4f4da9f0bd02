package source

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// seed commits for a partition as a bridge would that found so many partitions.
func (w *world) seed(topic string, partition, parts int32, change func(*mapping.Identity)) {
	w.t.Helper()
	id := mapping.Identity{Cluster: "cluster", Topic: topic, TopicID: w.kafka.TopicInfo(topic).TopicID, Partition: partition}
	if change != nil {
		change(&id)
	}
	w.commitAs(topic, partition, 7, 0, offsets.Meta{Next: 9, Last: 6, Parts: parts, ID: id.Hash()}.Encode())
}

func TestWhichPartitionsAreNew(t *testing.T) {
	anonymous := func(id *mapping.Identity) { *id = id.Anonymous() }
	stranger := func(id *mapping.Identity) { id.Cluster = "another" }
	for name, c := range map[string]struct {
		seed func(w *world)
		want []int32 // of partitions 0 to 3
	}{
		"a group that begins": {func(*world) {}, nil},
		"two came later":      {func(w *world) { w.seed("orders", 0, 2, nil) }, []int32{2, 3}},
		"the smallest count is the oldest": {func(w *world) {
			w.seed("orders", 0, 4, nil)
			w.seed("orders", 1, 3, nil)
		}, []int32{3}},
		"what has a commit is not new": {func(w *world) {
			w.seed("orders", 0, 2, nil)
			w.seed("orders", 3, 4, nil)
		}, []int32{2}},
		"nothing came":           {func(w *world) { w.seed("orders", 0, 4, nil) }, nil},
		"from a time without id": {func(w *world) { w.seed("orders", 1, 3, anonymous) }, []int32{3}},
		"others count for nothing": {func(w *world) {
			w.commitAs("orders", 1, 7, 0, "")
			w.commitAs("orders", 2, 7, 0, "another program")
		}, nil},
		// A bridge's commit for another identity: of the topic that had the name
		// before. But it says nothing of the siblings.
		"a topic that was created anew": {func(w *world) { w.seed("orders", 1, 1, stranger) }, []int32{1}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.topic("orders", 4)
			c.seed(w)
			m := w.join(w.config("orders"))
			w.until("the assignment", func() bool { return m.owns(4) })
			var got []int32
			for n := range int32(4) {
				as := m.log.assignments("orders", n)
				if len(as) != 1 {
					t.Fatalf("partition %d had %d owners", n, len(as))
				}
				if as[0].New {
					got = append(got, n)
				}
				if as[0].New && as[0].Commit != nil {
					t.Errorf("partition %d is new and has a commit", n)
				}
			}
			if len(got) != len(c.want) {
				t.Fatalf("%v are new, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Fatalf("%v are new, want %v", got, c.want)
				}
			}
		})
	}
}

// A policy of "latest" must not swallow what was written to a partition before
// the bridge had noticed it.
func TestAPartitionThatComesLaterIsCopiedWhole(t *testing.T) {
	w := newWorld(t)
	w.policy.Start.From = handoff.FromLatest
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	cfg := w.config("orders")
	m := w.join(cfg)
	w.until("a place to read from", func() bool { st, _ := m.of("orders", 0); return st.Phase == "flowing" || st.Phase == "idle" })
	w.produce("orders", 0, 1, 10)
	w.wantCommitted("orders", 0, 11)
	if _, err := kadm.NewClient(w.kafkaC).UpdatePartitions(t.Context(), 3, "orders"); err != nil {
		t.Fatal(err)
	}
	late := w.client() // its metadata is new
	for p := int32(1); p < 3; p++ {
		for range 5 {
			if err := late.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Partition: p, Value: []byte("v")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		w.wantCopied("orders", p, 0, 5)
		w.wantCommitted("orders", p, 5)
	}
	w.wantOffsets("orders", 0, []int64{10})
}

// The group tells the commit of the partition, and then not those of its
// siblings: nothing is guessed, and nobody else waits for that.
func TestWithoutTheSiblingsNothingIsBegun(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	w.topic("other", 1)
	w.produce("orders", 1, 5, 10)
	w.produce("other", 0, 5, 10)
	w.seed("orders", 0, 1, nil)
	var asked atomic.Int32
	refuse := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: group, TopicID: w.kafka.TopicInfo("orders").TopicID, Count: -1, Err: kerr.GroupAuthorizationFailed,
		When: func(r kmsg.Request) bool {
			// The client asks for the partitions that it was assigned, as a
			// member; whoever asks for whole topics does not say who he is.
			g := r.(*kmsg.OffsetFetchRequest).Groups
			whole := len(g) == 1 && g[0].MemberID == nil
			if whole {
				asked.Add(1)
			}
			return whole
		}})
	m := w.join(w.config("orders", "other"))
	w.wantCommitted("other", 0, 5)
	w.until("a reason", func() bool {
		ok, why := m.Ready()
		return !ok && contains(why, "orders/1 cannot be fetched: the group's commits of its topic, which tell whether the partition is new, cannot be read")
	})
	w.until("it to be asked again", func() bool { return asked.Load() > 2 })
	if n := len(m.log.assignments("orders", 1)); n != 0 {
		t.Fatalf("the partition was begun: %+v", m.log.assignments("orders", 1))
	}
	refuse.Remove()
	w.wantCopied("orders", 1, 0, 5)
	if as := m.log.assignments("orders", 1); len(as) != 1 || !as[0].New {
		t.Errorf("begun as %+v", as)
	}
	w.until("no such reason", func() bool { _, why := m.Ready(); return !contains(why, "orders/1") })
}

// Kafka answers nothing of this for longer than anybody should wait: adjust ends,
// and the watch begins the partition later.
func TestAdjustAnswersInTime(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	w.produce("orders", 1, 5, 10)
	w.seed("orders", 0, 1, nil)
	held, release := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	w.kafka.ControlKey(int16(kmsg.OffsetFetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		g := r.(*kmsg.OffsetFetchRequest).Groups
		if len(g) != 1 || g[0].MemberID != nil || once.Swap(true) {
			return nil, nil, false
		}
		w.kafka.SleepControl(func() { close(held); <-release })
		return nil, nil, false
	})
	m := w.join(w.config("orders"))
	<-held
	w.until("adjust to give up", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		p := m.parts[key{"orders", 1}]
		return p != nil && p.adjusted && p.owner == nil
	})
	close(release)
	w.wantCopied("orders", 1, 0, 5)
}

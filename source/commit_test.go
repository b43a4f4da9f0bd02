package source

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
	"kafka-s2-bridge/tests/s2mem"
)

func TestACommitSaysWhatItCounts(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	w.kafka.ShufflePartitionLeaders()
	w.produce("orders", 1, 25, 10)
	w.join(w.config("orders"))
	w.wantCommitted("orders", 1, 25)

	fetched, err := kadm.NewClient(w.kafkaC).FetchOffsets(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	o, ok := fetched.Lookup("orders", 1)
	if !ok || o.At != 25 || o.LeaderEpoch != 1 {
		t.Fatalf("the group has %+v", o)
	}
	id := mapping.Identity{Cluster: "cluster", Topic: "orders", TopicID: w.kafka.TopicInfo("orders").TopicID, Partition: 1}
	// A fence, an open marker and 25 records.
	if meta, ok := offsets.ParseMeta(o.Metadata); !ok || meta != (offsets.Meta{Next: 27, Last: 24, Parts: 2, ID: id.Hash()}) {
		t.Errorf("metadata %s", o.Metadata)
	}
	if _, ok := fetched.Lookup("orders", 0); ok {
		t.Error("a partition without records has a commit")
	}
}

// The commit that follows a takeover names the open marker: an offset that the
// client takes for committed already, so it must be told.
func TestATakeoverCommitsAtOnce(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	first := w.join(w.config("orders"))
	before := w.wantCommitted("orders", 0, 10)
	first.leave()
	n := len(w.commits.of("orders", 0))

	w.produce("orders", 0, 1, 10)
	stall := w.s2.Fault(s2mem.Fault{Op: s2mem.OpBatch, Batch: 2, Do: s2mem.Hold}) // the record behind the marker
	w.join(w.config("orders"))
	w.hit(stall, 1)
	w.until("the commit of the takeover", func() bool { return len(w.commits.of("orders", 0)) > n })
	c := w.commits.of("orders", 0)[n]
	meta, _ := offsets.ParseMeta(*c.meta)
	if c.offset != 10 || meta.Last != 9 || meta.Next != before.Next+2 {
		t.Errorf("the takeover committed %d, %+v; before it was %+v", c.offset, meta, before)
	}
	stall.Release()
	w.wantCommitted("orders", 0, 11)
}

func TestControlRecordsMoveTheCommit(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.transact("orders", 0, 3, kgo.TryCommit) // 0 to 2, marker 3
	w.transact("orders", 0, 5, kgo.TryAbort)  // 4 to 8, marker 9
	m := w.join(w.config("orders"))
	meta := w.wantCommitted("orders", 0, 10)
	if meta.Last != 2 {
		t.Errorf("the commit behind the aborted tail counts %+v", meta)
	}
	w.wantCopied("orders", 0, 0, 3)
	w.until("lag 0", func() bool { st, ok := m.of("orders", 0); return ok && st.Lag == 0 && st.LastStable == 10 })

	// A start behind control records alone, and a topic of nothing else.
	m.leave()
	w.transact("orders", 0, 2, kgo.TryAbort) // 10, 11, marker 12
	m = w.join(w.config("orders"))
	if meta = w.wantCommitted("orders", 0, 13); meta.Last != 2 {
		t.Errorf("the commit behind the aborted tail counts %+v", meta)
	}
	w.topic("void", 1)
	w.transact("void", 0, 4, kgo.TryAbort)
	m.leave()
	m = w.join(w.config("orders", "void"))
	if meta = w.wantCommitted("void", 0, 5); meta.Last != -1 {
		t.Errorf("the commit of a topic without data counts %+v", meta)
	}
	w.until("lag 0 of both", func() bool {
		a, okA := m.of("orders", 0)
		b, okB := m.of("void", 0)
		return okA && okB && a.Lag == 0 && b.Lag == 0
	})
}

func (m *member) commitFailures() float64 {
	return testutil.ToFloat64(m.metrics.commitFailures.WithLabelValues("orders", "0"))
}

// What goes wrong with a commit only delays it: it is counted and made again.
func TestAFailedCommitIsCountedAndRepeated(t *testing.T) {
	for name, f := range map[string]kfake.Fault{
		"refused":                   {Err: kerr.GroupAuthorizationFailed},
		"answer lost":               {Err: kerr.RequestTimedOut}, // kfake applies it all the same
		"offset metadata too large": {Err: kerr.OffsetMetadataTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.topic("orders", 1)
			f.Keys, f.Count, f.Group = []kmsg.Key{kmsg.OffsetCommit}, 3, group
			fault := w.kafka.Fault(f)
			w.produce("orders", 0, 10, 10)
			m := w.join(w.config("orders"))
			w.hit(fault, 3)
			w.wantCommitted("orders", 0, 10)
			w.wantCopied("orders", 0, 0, 10)
			w.until("all three failures counted", func() bool { return m.commitFailures() >= 3 })
			if n := m.log.count("commit of an offset failed"); n != 3 {
				t.Errorf("%d log lines tell of failed commits, want 3", n)
			}
		})
	}
}

// The coordinator cuts the connection instead of answering.
func TestACommitWithoutAnAnswerIsRepeated(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	cuts := 0
	w.kafka.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if cuts++; cuts > 2 {
			return nil, nil, false
		}
		w.kafka.KeepControl()
		return nil, context.Canceled, true
	})
	w.produce("orders", 0, 10, 10)
	w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 10)
}

// The client takes this offset for committed and would never try again.
func TestAFailedExplicitCommitIsRepeated(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	m := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 10)
	n := len(w.commits.of("orders", 0))
	fault := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Err: kerr.GroupAuthorizationFailed, Count: 1})
	m.mu.Lock()
	p := m.parts[key{"orders", 0}]
	last := p.marks[len(p.marks)-1]
	m.mu.Unlock()
	p.Mark(last, true)
	w.hit(fault, 1)
	w.until("the commit again", func() bool { return len(w.commits.of("orders", 0)) > n+1 })
	w.until("nothing left to commit", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return !p.unsaved
	})
}

// A newer mark must not be overtaken by the explicit one before it.
func TestAnExplicitCommitNamesTheLastMark(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	m := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 10)
	m.mu.Lock()
	p := m.parts[key{"orders", 0}]
	last := p.marks[len(p.marks)-1]
	p.marks = append(p.marks, offsets.Mark{Offset: 11, Meta: last.Meta})
	m.hurry(p)
	m.mu.Unlock()
	w.wantCommitted("orders", 0, 11)
}

func TestWithoutAMarkNothingIsCommitted(t *testing.T) {
	mark := func(offset int64) offsets.Mark {
		return offsets.Mark{Offset: offset, Meta: offsets.Meta{Next: 7, Last: offset - 1, Parts: 1, ID: "12345678"}}
	}
	s := &Source{parts: map[key]*partition{
		{"a", 0}: {key: key{"a", 0}, marks: []offsets.Mark{mark(5), mark(9), mark(12)}},
		{"a", 1}: {key: key{"a", 1}},
		{"b", 0}: {key: key{"b", 0}, marks: []offsets.Mark{mark(3)}},
	}}
	request := func(of map[string][]int64) *kmsg.OffsetCommitRequest {
		req := kmsg.NewPtrOffsetCommitRequest()
		for _, topic := range []string{"a", "b"} {
			rt := kmsg.NewOffsetCommitRequestTopic()
			rt.Topic = topic
			for i, o := range of[topic] {
				rp := kmsg.NewOffsetCommitRequestTopicPartition()
				rp.Partition, rp.Offset = int32(i), o
				rt.Partitions = append(rt.Partitions, rp)
			}
			req.Topics = append(req.Topics, rt)
		}
		return req
	}
	// a/0 has the mark, a/1 none, a/2 is not ours, b/0 has none at this offset:
	// no topic may be left empty, for Kafka would not answer for it.
	req := request(map[string][]int64{"a": {9, 9, 9}, "b": {4}})
	if err := s.attach(req); err != nil {
		t.Fatal(err)
	}
	if len(req.Topics) != 1 || len(req.Topics[0].Partitions) != 1 || *req.Topics[0].Partitions[0].Metadata != mark(9).Meta.Encode() {
		t.Errorf("the request became %+v", req.Topics)
	}
	if err := s.attach(request(map[string][]int64{"a": {5}, "b": {4}})); err == nil {
		t.Error("an offset below the one that was committed has metadata still")
	}
}

// While the group joins, which lasts as long as its slowest member, the client
// lets nobody commit. Copying must go on, and nobody may wait for a lock.
func TestNobodyWaitsWhileTheGroupJoins(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	m := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 10)

	joining, release := make(chan struct{}), make(chan struct{})
	w.kafka.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.DropControl()
		w.kafka.SleepControl(func() { close(joining); <-release })
		return nil, nil, false
	})
	m.client.ForceRebalance()
	<-joining
	m.mu.Lock()
	p := m.parts[key{"orders", 0}]
	last := p.marks[len(p.marks)-1]
	m.mu.Unlock()
	for i := int64(1); i <= 5; i++ {
		p.Mark(last, true)
		w.produce("orders", 0, 10, 10)
		w.wantCopied("orders", 0, 0, 10+10*i)
	}
	close(release)
	w.wantCommitted("orders", 0, 60)
}

// Out of the group for a while, a member comes back under another id and keeps a
// partition: what others have committed meanwhile is not set back, not by marks of
// before, and not by control records that it reads once more.
func TestMarksOfBeforeAnAbsence(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	m := w.join(w.config("orders"))
	meta := w.wantCommitted("orders", 0, 10)
	at := func(offset int64) offsets.Mark { return offsets.Mark{Offset: offset, Epoch: 0, Meta: meta} }

	m.mu.Lock()
	p := m.parts[key{"orders", 0}]
	p.doubted, p.marks, p.unsaved = true, []offsets.Mark{at(7)}, true
	m.lookSoon()
	m.mu.Unlock()
	w.until("the doubt settled", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return !p.doubted && !p.unsaved && len(p.marks) == 0
	})
	m.Source.mark(p, at(8), true)
	n := len(w.commits.of("orders", 0))
	w.produce("orders", 0, 10, 10)
	w.wantCommitted("orders", 0, 20)
	for _, c := range w.commits.of("orders", 0)[n:] {
		if c.offset < 10 {
			t.Errorf("the commit was set back to %d", c.offset)
		}
	}
}

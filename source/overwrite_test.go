package source

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/offsets"
)

// hundred is a member that has copied and committed 100 records. The stream is a
// fence, an open marker, and the records.
func (w *world) hundred() (*member, *partition) {
	w.t.Helper()
	w.topic("orders", 1)
	w.topic("clock", 1)
	w.produce("orders", 0, 100, 10)
	m := w.join(w.config("orders", "clock"))
	w.wantCommitted("orders", 0, 100)
	return m, m.part("orders", 0)
}

// countedAt is the mark that counts the records below an offset.
func (p *partition) countedAt(offset int64) offsets.Mark {
	return offsets.Mark{Offset: offset, Meta: offsets.Meta{Next: uint64(offset) + 2, Last: offset - 1, Parts: 1, ID: p.id.Hash()}}
}

// lower allows the commit to fall to a mark.
func (l *commitLog) lower(m offsets.Mark) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lowered[m.Meta.Encode()] = true
}

// An operator's answer takes the commit back from 100 to 5. The client still
// holds the mark for 100, takes none below it, and is told the new position only
// by the Seek that follows; none of that may bring 100 back, or swallow 6 and 7.
func TestACommitIsOverwritten(t *testing.T) {
	w := newWorld(t)
	w.every = time.Hour // the watch repeats what was lost: not here
	m, p := w.hundred()
	n := len(w.commits.of("orders", 0))
	w.commits.lower(p.countedAt(5))
	if err := p.Overwrite(t.Context(), p.countedAt(5)); err != nil {
		t.Fatal(err)
	}
	if c := w.committed("orders", 0); c.Offset != 5 || c.Metadata != p.countedAt(5).Meta.Encode() {
		t.Fatalf("Kafka has %+v", c)
	}
	for i := range int64(2) { // the client commits all that it holds, by the clock
		w.produce("clock", 0, 1, 10)
		w.wantCommitted("clock", 0, i+1)
	}
	if c := w.committed("orders", 0); c.Offset != 5 {
		t.Fatalf("the client has committed %d", c.Offset)
	}
	// Before the Seek is carried out the owner's marks count already.
	p.Mark(p.countedAt(6), false)
	w.wantCommitted("orders", 0, 6)
	// Cut 999 is nobody's: the real owner drops what comes from there.
	p.Seek(999, 6, -1)
	w.until("the new position", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return p.cut == 999 })
	for offset := int64(7); offset < 12; offset++ {
		p.Mark(p.countedAt(offset), false)
		if meta := w.wantCommitted("orders", 0, offset); meta != p.countedAt(offset).Meta {
			t.Errorf("the commit at %d counts %+v", offset, meta)
		}
	}
	for _, c := range w.commits.of("orders", 0)[n:] {
		if c.offset >= 100 {
			t.Errorf("the overwritten commit came back: %+v", c)
		}
	}
	// And where it was before.
	p.Mark(p.countedAt(100), false)
	w.wantCommitted("orders", 0, 100)
}

// The other way round, the client knows the position before the commit is
// overwritten. Then its own timer is good enough for the marks that follow.
func TestACommitIsOverwrittenBehindASeek(t *testing.T) {
	w := newWorld(t)
	w.every = time.Hour
	m, p := w.hundred()
	p.Seek(999, 5, -1)
	w.until("the new position", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return p.cut == 999 })
	w.commits.lower(p.countedAt(5))
	if err := p.Overwrite(t.Context(), p.countedAt(5)); err != nil {
		t.Fatal(err)
	}
	n := len(w.commits.of("orders", 0))
	for offset := int64(6); offset < 90; offset++ {
		p.Mark(p.countedAt(offset), false)
	}
	w.wantCommitted("orders", 0, 89)
	if got := len(w.commits.of("orders", 0)) - n; got > 5 {
		t.Errorf("%d commits for marks that came at once", got)
	}
}

// The mark that is overwritten is on its way, or fails and is tried again: it is
// not committed after the one that was put in its place.
func TestAnOverwriteIsTheLastWord(t *testing.T) {
	w := newWorld(t)
	m, p := w.hundred()
	fault := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Err: kerr.CoordinatorLoadInProgress, Count: 2})
	p.Mark(p.countedAt(100), true)
	w.hit(fault, 1)
	w.commits.lower(p.countedAt(5))
	w.until("the overwritten commit", func() bool { return p.Overwrite(t.Context(), p.countedAt(5)) == nil })
	n := len(w.commits.of("orders", 0))
	p.Mark(p.countedAt(5), true) // a commit that changes nothing, as a clock
	w.until("another commit", func() bool { return len(w.commits.of("orders", 0)) > n })
	m.repeat()
	w.produce("clock", 0, 1, 10)
	w.wantCommitted("clock", 0, 1)
	if c := w.committed("orders", 0); c.Offset != 5 {
		t.Errorf("Kafka has %+v", c)
	}
}

func (m *member) repeat() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.repeatCommits()
}

// The whole way: S2 has lost what it acknowledged, and the operator says that it
// is to be copied again. The commit falls first, and then rises with the stream.
func TestAReplayTakesTheCommitBack(t *testing.T) {
	w := newWorld(t)
	m, _ := w.hundred()
	m.leave()
	if !w.s2.Rewind("orders/0", 52) { // fence, open marker, records 0 to 49
		t.Fatal("no stream")
	}
	w.produce("orders", 0, 1, 10)
	m = w.join(w.config("orders"))
	w.wantHeld(m, "orders", 0, handoff.S2Behind)
	w.commits.forget()
	if err := m.Resume(t.Context(), "orders", 0, handoff.AnswerReplay); err != nil {
		t.Fatal(err)
	}
	w.wantCopied("orders", 0, 0, 101)
	w.wantCommitted("orders", 0, 101)
	if commits := w.commits.of("orders", 0); commits[0].offset != 50 {
		t.Errorf("the first commit after the answer is %+v, want 50", commits[0])
	}
	w.produce("orders", 0, 5, 10)
	w.wantCommitted("orders", 0, 106)
	w.wantCopied("orders", 0, 0, 106)
}

// Kafka refuses: the caller is told, the commit stays, and what was marked before
// is still what is committed by itself.
func TestAnOverwriteThatIsRefused(t *testing.T) {
	w := newWorld(t)
	m, p := w.hundred()
	fault := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Err: kerr.GroupAuthorizationFailed, Count: 1})
	before := m.commitFailures()
	w.commits.lower(p.countedAt(5)) // it is asked for, and refused
	if err := p.Overwrite(t.Context(), p.countedAt(5)); !errors.Is(err, kerr.GroupAuthorizationFailed) {
		t.Errorf("%v", err)
	}
	w.hit(fault, 1)
	if m.commitFailures() != before+1 {
		t.Error("the failure was not counted")
	}
	p.Mark(p.countedAt(100), true)
	n := len(w.commits.of("orders", 0))
	w.until("a commit", func() bool { return len(w.commits.of("orders", 0)) > n })
	w.produce("orders", 0, 10, 10)
	w.wantCommitted("orders", 0, 110)
	asked := 0
	for _, c := range w.commits.of("orders", 0) {
		if c.offset == 5 {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("the refused offset was asked for %d times", asked)
	}
}

// While the group joins nobody may commit. An Overwrite waits for that, and for
// no longer than it is told.
func TestAnOverwriteWaitsWhileTheGroupJoins(t *testing.T) {
	w := newWorld(t)
	m, p := w.hundred()
	joining, release := make(chan struct{}), make(chan struct{})
	w.kafka.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.DropControl()
		w.kafka.SleepControl(func() { close(joining); <-release })
		return nil, nil, false
	})
	m.client.ForceRebalance()
	<-joining
	ended, end := context.WithCancel(t.Context())
	given := make(chan error)
	go func() { given <- p.Overwrite(ended, p.countedAt(4)) }()
	w.until("an overwrite under way", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return p.overwrite != nil })
	if err := p.Overwrite(t.Context(), p.countedAt(3)); err == nil {
		t.Error("two at once")
	}
	end()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	w.until("no overwrite under way", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return p.overwrite == nil })
	w.produce("orders", 0, 10, 10) // the owner is not held up
	w.wantCopied("orders", 0, 0, 110)
	w.commits.lower(p.countedAt(5))
	go func() { given <- p.Overwrite(t.Context(), p.countedAt(5)) }()
	w.until("an overwrite under way", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return p.overwrite != nil })
	close(release)
	if err := <-given; err != nil {
		t.Fatal(err)
	}
	w.wantCommitted("orders", 0, 5)
}

// Who has lost the partition changes nothing any more.
func TestAnOverwriteOfAPartitionThatWent(t *testing.T) {
	w := newWorld(t)
	m, p := w.hundred()
	m.leave()
	if err := p.Overwrite(t.Context(), p.countedAt(5)); !errors.Is(err, errGivenUp) {
		t.Errorf("%v", err)
	}
	if c := w.committed("orders", 0); c.Offset != 100 {
		t.Errorf("Kafka has %+v", c)
	}
}

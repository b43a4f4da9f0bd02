package source

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/tests/s2mem"
)

// spread waits until each of the members owns as many partitions as it should.
func (w *world) spread(counts ...int) {
	w.t.Helper()
	w.until("the partitions to be spread", func() bool {
		for i, n := range counts {
			if m := w.members[len(w.members)-len(counts)+i]; n >= 0 && !m.owns(n) {
				return false
			}
		}
		return true
	})
}

// handedOver checks that each partition was committed by one member at a time:
// who gave it up does not commit any more.
func (w *world) handedOver(topic string, partitions int32) {
	w.t.Helper()
	for p := range partitions {
		var order []string
		for _, c := range w.commits.of(topic, p) {
			if n := len(order); n == 0 || order[n-1] != c.member {
				order = append(order, c.member)
			}
		}
		seen := map[string]bool{}
		for _, m := range order {
			if seen[m] {
				w.t.Errorf("%s/%d was committed by members in this order: %v", topic, p, order)
			}
			seen[m] = true
		}
	}
}

func TestARevokedPartitionIsDrainedAndCommittedFirst(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	first := w.join(w.config("orders"))
	w.spread(2)
	// What both partitions have in flight is acknowledged only when the other
	// member has asked to join, so that whoever goes, goes with something.
	hold := w.s2.Fault(s2mem.Fault{Op: s2mem.OpBatch, Batch: 2, Count: 2, Do: s2mem.HoldFlush})
	for p := range int32(2) {
		w.produce("orders", p, 10, 10)
	}
	w.hit(hold, 2)
	revoked := w.logged(first, "draining")
	second := w.join(w.config("orders"))
	w.until("a partition that drains", revoked)
	hold.Release()
	w.spread(1, 1)
	for p := range int32(2) {
		w.wantCommitted("orders", p, 10)
		w.wantCopied("orders", p, 0, 10)
	}
	var moved int32 = -1
	for p := range int32(2) {
		if as := second.log.assignments("orders", p); len(as) > 0 {
			moved = p
			if as[0].Commit == nil || as[0].Commit.Offset != 10 {
				t.Errorf("the next owner of partition %d found the commit %+v", p, as[0].Commit)
			}
		}
	}
	if moved < 0 {
		t.Fatal("no partition moved")
	}
	w.produce("orders", moved, 10, 10)
	w.wantCommitted("orders", moved, 20)
	w.handedOver("orders", 2)
}

// logged waits for a phase of any partition.
func (w *world) logged(m *member, phase string) func() bool {
	return func() bool {
		for _, st := range m.Status() {
			if st.Phase == phase {
				return true
			}
		}
		return false
	}
}

// A stream that never answers must not keep the group waiting for longer than
// the drain: the next owner fences, so letting go is safe.
func TestADrainEnds(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	cfg := w.config("orders")
	cfg.Drain = 300 * time.Millisecond
	first := w.join(cfg)
	w.spread(2)
	hold := w.s2.Fault(s2mem.Fault{Op: s2mem.OpBatch, Batch: 2, Count: 2, Do: s2mem.Hold})
	for p := range int32(2) {
		w.produce("orders", p, 10, 10)
	}
	w.hit(hold, 2)
	w.join(cfg)
	w.spread(1, 1)
	if !first.owns(1) {
		t.Error("the first member let both go")
	}
	hold.Release() // what was given up is refused: its token is not the stream's any more
	for p := range int32(2) {
		w.wantCommitted("orders", p, 10)
		w.wantCopied("orders", p, 0, 10)
	}
	w.handedOver("orders", 2)
}

// Members come and go while records flow. Nothing is lost, nothing doubled,
// nothing hangs; a partition that comes back is not mute.
func TestMembersComeAndGo(t *testing.T) {
	const parts, rounds = 4, 4
	w := newWorld(t)
	w.topic("orders", parts)
	base := w.join(w.config("orders"))
	w.spread(parts)
	var produced [parts]int64
	feed := func(n int) {
		for p := range int32(parts) {
			w.produce("orders", p, n, 100)
			produced[p] += int64(n)
		}
	}
	for range rounds {
		feed(20)
		guest := w.join(w.config("orders"))
		feed(20)
		w.spread(parts/2, parts/2)
		feed(20)
		guest.leave()
		w.members = w.members[:1]
		feed(20)
		w.until("all partitions back", func() bool { return base.owns(parts) })
		for p := range int32(parts) {
			w.wantCommitted("orders", p, produced[p])
			w.wantCopied("orders", p, 0, produced[p])
		}
	}
	w.handedOverNever(parts)
}

// handedOverNever: with one member that stays, its commits come back after each
// guest's; nobody commits twice in between two turns of the same partition.
func (w *world) handedOverNever(parts int32) {
	w.t.Helper()
	for p := range parts {
		last := int64(-1)
		for _, c := range w.commits.of("orders", p) {
			if c.offset < last {
				w.t.Errorf("orders/%d: the commit falls from %d to %d", p, last, c.offset)
			}
			last = c.offset
		}
	}
}

// A member that dies without a word: its owners stop where they are, nothing is
// committed for it, and the others take over when its session has expired.
func TestAKilledMemberIsReplaced(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 4)
	cfg := w.config("orders")
	cfg.SessionTimeout = time.Second
	victim := w.join(cfg)
	w.join(cfg)
	w.spread(2, 2)
	for p := range int32(4) {
		w.produce("orders", p, 10, 10)
		w.wantCommitted("orders", p, 10)
	}
	cut := atomic.Bool{}
	id, _ := victim.client.GroupMetadata()
	for _, k := range []kmsg.Key{kmsg.Heartbeat, kmsg.OffsetCommit, kmsg.JoinGroup, kmsg.LeaveGroup} {
		w.kafka.ControlKey(int16(k), func(r kmsg.Request) (kmsg.Response, error, bool) {
			w.kafka.KeepControl()
			if !cut.Load() || memberOf(r) != id {
				return nil, nil, false
			}
			return nil, errDead, true
		})
	}
	cut.Store(true)
	victim.kill() // its owners end as in a crash
	for p := range int32(4) {
		w.produce("orders", p, 10, 10)
	}
	w.until("the survivor to own all", func() bool { return w.members[1].owns(4) })
	for p := range int32(4) {
		w.wantCommitted("orders", p, 20)
		w.wantCopied("orders", p, 0, 20)
	}
}

func memberOf(r kmsg.Request) string {
	switch r := r.(type) {
	case *kmsg.HeartbeatRequest:
		return r.MemberID
	case *kmsg.OffsetCommitRequest:
		return r.MemberID
	case *kmsg.JoinGroupRequest:
		return r.MemberID
	case *kmsg.LeaveGroupRequest:
		if len(r.Members) > 0 {
			return r.Members[0].MemberID
		}
	}
	return ""
}

var errDead = kerr.BrokerNotAvailable

// The coordinator has forgotten the member. What was in flight is lost to it:
// its ack comes after the partition went, and nothing is committed for it.
func TestAMemberThatWasKickedOutComesBack(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	m := w.join(w.config("orders"))
	w.spread(2)
	for p := range int32(2) {
		w.produce("orders", p, 10, 10)
		w.wantCommitted("orders", p, 10)
	}
	old, _ := m.client.GroupMetadata()
	hold := w.s2.Fault(s2mem.Fault{Op: s2mem.OpBatch, Count: 2, Do: s2mem.HoldAnswer})
	for p := range int32(2) {
		w.produce("orders", p, 10, 10)
	}
	w.hit(hold, 2)
	n := [2]int{len(w.commits.of("orders", 0)), len(w.commits.of("orders", 1))}
	w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: group, Err: kerr.UnknownMemberID, TopLevel: true, Count: 1})
	for p := range int32(2) {
		w.until("a new assignment", func() bool { return len(m.log.assignments("orders", p)) == 2 })
	}
	hold.Release()
	for p := range int32(2) {
		w.wantCommitted("orders", p, 20)
		w.wantCopied("orders", p, 0, 20)
		w.produce("orders", p, 10, 10)
		w.wantCommitted("orders", p, 30)
		for _, c := range w.commits.of("orders", p)[n[p]:] {
			if now, _ := m.client.GroupMetadata(); c.member == old && old != now {
				t.Errorf("partition %d was committed at %d by the member that lost it", p, c.offset)
			}
		}
	}
	w.until("nothing against being ready", func() bool { ok, _ := m.Ready(); return ok })
}

// A member for which the group has nothing is ready all the same, also after it
// lost its session.
func TestASpareMemberIsReady(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 10)
	spare := w.join(w.config("orders"))
	w.until("two members", func() bool {
		info := w.kafka.GroupInfo(group)
		return len(info.Members) == 2 && info.State == "Stable"
	})
	w.until("the spare member ready", func() bool { ok, _ := spare.Ready(); return ok })
	id, _ := spare.client.GroupMetadata()
	fault := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: group, Err: kerr.UnknownMemberID, TopLevel: true, Count: 1,
		When: func(r kmsg.Request) bool { return memberOf(r) == id }})
	w.hit(fault, 1)
	w.until("a line about the lost membership", func() bool { return spare.log.count("no membership in the group") == 1 })
	w.until("the spare member ready again", func() bool { ok, _ := spare.Ready(); return ok })
	if !spare.owns(0) && !w.members[0].owns(0) {
		t.Error("one of the two should own nothing")
	}
}

package source

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/tests/s2mem"
)

const mib = 1 << 20

// fill produces so many bytes to a partition, in records of 10 kB.
func (w *world) fill(topic string, partition int32, bytes int) (records int64) {
	w.t.Helper()
	n := bytes / 10_000
	w.produce(topic, partition, n, 10_000)
	return int64(n)
}

func (m *member) heldBytes() (all int, by map[int32]int) {
	by = map[int32]int{}
	for _, st := range m.Status() {
		all += st.HeldBytes
		by[st.Partition] = st.HeldBytes
	}
	return all, by
}

// settled tells that nothing more is fetched: every partition is paused.
func (m *member) settled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.parts {
		if !p.paused {
			return false
		}
	}
	return len(m.parts) > 0
}

// S2 takes nothing while Kafka is full. Memory stays bounded, and the member
// stays in the group for longer than a session lasts.
func TestAStalledS2BoundsMemoryAndKeepsTheMembership(t *testing.T) {
	const parts, budget = 8, 8 * mib
	w := newWorld(t)
	w.topic("orders", parts)
	var n int64
	for p := range int32(parts) {
		n = w.fill("orders", p, 6*mib)
	}
	stall := w.s2.Fault(s2mem.Fault{Op: s2mem.OpBatch, Count: -1, Do: s2mem.HoldFlush})
	cfg := w.config("orders")
	cfg.Budget, cfg.SessionTimeout = budget, time.Second
	m := w.join(cfg)
	w.until("everything paused", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.overfull || m.held > budget/2 })
	beats := w.requests(kmsg.Heartbeat)
	for range 8 { // eight heartbeats are more than two sessions
		at := beats.Hits()
		w.until("a heartbeat", func() bool {
			if held, _ := m.heldBytes(); held > budget+fetchBytes {
				t.Fatalf("%d bytes are held, the budget is %d", held, budget)
			}
			return beats.Hits() > at
		})
	}
	w.until("everything paused", m.settled)
	for p := range int32(parts) {
		if as := m.log.assignments("orders", p); len(as) != 1 {
			t.Errorf("partition %d was assigned %d times", p, len(as))
		}
	}
	stall.Remove()
	for p := range int32(parts) {
		w.wantCopied("orders", p, 0, n)
		w.wantCommitted("orders", p, n)
	}
	w.until("all memory given back", func() bool { held, _ := m.heldBytes(); return held == 0 })
}

// A stream that takes nothing has had the whole budget to itself before the
// others get records: they flow all the same.
func TestAStalledStreamLeavesRoomForOthers(t *testing.T) {
	const parts, budget = 3, 32 * mib // the smallest that the configuration allows
	w := newWorld(t)
	w.topic("orders", parts)
	w.fill("orders", 0, 40*mib)
	stall := w.s2.Fault(s2mem.Fault{Op: s2mem.OpBatch, Stream: "orders/0", Count: -1, Do: s2mem.HoldFlush})
	cfg := w.config("orders")
	cfg.Budget = budget
	m := w.join(cfg)
	w.until("the stalled partition paused", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		p := m.parts[key{"orders", 0}]
		return p != nil && p.full && p.paused
	})
	for p := int32(1); p < parts; p++ {
		n := w.fill("orders", p, 24*mib)
		w.wantCopied("orders", p, 0, n)
		w.wantCommitted("orders", p, n)
	}
	if _, by := m.heldBytes(); by[0] == 0 || by[0] > budget {
		t.Errorf("the stalled partition holds %d bytes", by[0])
	}
	stall.Remove()
	w.until("the stalled stream to catch up", func() bool { st, _ := m.of("orders", 0); return st.Lag == 0 })
}

// Streams that stall one after the other take less each time.
func TestStreamsThatStallInTurnLeaveRoomForTheLast(t *testing.T) {
	const stalled, budget = 6, 16 * mib
	w := newWorld(t)
	w.topic("orders", stalled+1)
	cfg := w.config("orders")
	cfg.Budget = budget
	m := w.join(cfg)
	stall := w.s2.Fault(s2mem.Fault{Op: s2mem.OpBatch, Count: -1, Do: s2mem.HoldFlush, When: func(c s2mem.Call) bool {
		return c.Stream != streamOf("orders", stalled)
	}})
	for p := range int32(stalled) {
		w.fill("orders", p, 8*mib)
		w.until("the stalled partition paused", func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			q := m.parts[key{"orders", p}]
			return q != nil && q.full && q.paused
		})
	}
	n := w.fill("orders", stalled, 24*mib)
	w.wantCopied("orders", stalled, 0, n)
	stall.Remove()
	for p := range int32(stalled) {
		w.until("the stalled stream to catch up", func() bool { st, ok := m.of("orders", p); return ok && st.Lag == 0 })
	}
}

func TestARecordLargerThanTheBudgetPasses(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	for range 3 {
		w.produce("orders", 0, 1, 900_000)
		w.produce("orders", 1, 1, 900_000)
	}
	cfg := w.config("orders")
	cfg.Budget = 256 << 10
	m := w.join(cfg)
	for p := range int32(2) {
		w.wantCopied("orders", p, 0, 3)
	}
	w.until("all memory given back", func() bool { held, _ := m.heldBytes(); return held == 0 })
}

func TestTheAccountOfWhatIsHeld(t *testing.T) {
	s := &Source{cfg: Config{Budget: 1600}, parts: map[key]*partition{}}
	add := func(n int32) *partition {
		p := &partition{s: s, key: key{"t", n}}
		s.parts[p.key] = p
		return p
	}
	a, b := add(0), add(1)
	s.hold(a, 299) // of 1200 free: a quarter of 901 is 225
	if !a.full || b.full {
		t.Fatalf("full: %v %v", a.full, b.full)
	}
	s.hold(b, 100)
	if b.full {
		t.Fatal("b is full with 100 of 801 free")
	}
	s.hold(a, -150)
	if !a.full {
		t.Fatal("a goes on above half of its share")
	}
	s.hold(a, -60)
	if a.full {
		t.Fatal("a is paused below half of its share")
	}
	s.hold(b, 2000)
	if !s.overfull {
		t.Fatal("not overfull above the budget")
	}
	s.hold(b, -600)
	if s.held != 1589 || !s.overfull {
		t.Fatalf("held %d, overfull %v", s.held, s.overfull)
	}
	s.forget(b)
	if s.held != 89 || s.overfull || s.parts[b.key] != nil {
		t.Fatalf("held %d after b went, overfull %v", s.held, s.overfull)
	}
	s.hold(b, 500)
	if s.held != 89 {
		t.Fatal("what was given up still counts")
	}
	s.hold(a, -89)
	if s.held != 0 || a.full {
		t.Fatalf("held %d at the end", s.held)
	}
}

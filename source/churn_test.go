package source

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A static member that restarts within its session time-out gets its partitions
// back without a rebalance, with the same generation: the tokens of its two
// lives differ all the same.
func TestAStaticMemberComesBackWithItsGeneration(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	cfg := w.config("orders")
	cfg.InstanceID = "pod-0"
	first := w.join(cfg)
	for p := range int32(2) {
		w.produce("orders", p, 10, 10)
		w.wantCommitted("orders", p, 10)
	}
	token := w.s2.Token("orders/0")
	first.leave()
	if info := w.kafka.GroupInfo(group); len(info.Members) != 1 {
		t.Fatalf("the member left the group: %+v", info)
	}
	second := w.join(cfg)
	for p := range int32(2) {
		w.produce("orders", p, 10, 10)
		w.wantCommitted("orders", p, 20)
		w.wantCopied("orders", p, 0, 20)
	}
	a, b := first.log.assignments("orders", 0)[0], second.log.assignments("orders", 0)[0]
	if a.Generation != b.Generation {
		t.Errorf("generation %d, after the restart %d", a.Generation, b.Generation)
	}
	if w.s2.Token("orders/0") == token {
		t.Error("both lives wrote with the same token")
	}
}

// Rebalances that change nothing come in every round of a cooperative group.
func TestRoundsWithoutAChange(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	m := w.join(w.config("orders"))
	w.spread(2)
	for i := int64(1); i <= 5; i++ {
		syncs := w.requests(kmsg.SyncGroup)
		m.client.ForceRebalance()
		w.hit(syncs, 1)
		syncs.Remove()
		for p := range int32(2) {
			w.produce("orders", p, 10, 10)
			w.wantCopied("orders", p, 0, 10*i)
		}
	}
	for p := range int32(2) {
		w.wantCommitted("orders", p, 50)
		if n := len(m.log.assignments("orders", p)); n != 1 {
			t.Errorf("partition %d had %d owners", p, n)
		}
		if st, _ := m.of("orders", p); st.Acquisitions[0] != 1 {
			t.Errorf("partition %d was acquired %v times", p, st.Acquisitions)
		}
	}
}

// Owners ask for positions and commits as fast as they can while members come
// and go: nobody may wait for somebody who waits for him.
func TestStormsOfMarksAndSeeksDuringRebalances(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 4)
	for p := range int32(4) {
		w.produce("orders", p, 10, 10)
	}
	m := w.join(w.config("orders"))
	for p := range int32(4) {
		w.wantCommitted("orders", p, 10)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(200 * time.Microsecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			for _, p := range m.partitionsNow() {
				p.disturb()
			}
		}
	}()
	for range 3 {
		guest := w.join(w.config("orders"))
		w.spread(2, 2)
		guest.leave()
		w.members = w.members[:1]
		w.until("all partitions back", func() bool { return m.owns(4) })
	}
	close(stop)
	<-stopped
	for p := range int32(4) {
		w.produce("orders", p, 10, 10)
		w.wantCommitted("orders", p, 20)
		w.wantCopied("orders", p, 0, 20)
	}
}

func (m *member) partitionsNow() (list []*partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.parts {
		list = append(list, p)
	}
	return list
}

// disturb does what an owner might: commit explicitly what is marked already,
// and read on from where the partition stands.
func (p *partition) disturb() {
	p.s.mu.Lock()
	cut, marks := p.cut, slices.Clone(p.marks)
	p.s.mu.Unlock()
	if n := len(marks); n > 0 {
		p.Mark(marks[n-1], true)
		p.Seek(cut, marks[n-1].Offset, marks[n-1].Epoch)
	}
	p.Held(1)
	p.Held(-1)
}

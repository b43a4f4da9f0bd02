package source

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/s2mem"
)

// gauge reads one of the registered metrics of a partition; -100: not there.
func (m *member) gauge(name, topic string) float64 {
	families, err := m.registry.Gather()
	if err != nil {
		m.w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, g := range f.GetMetric() {
			labels := ""
			for _, l := range g.GetLabel() {
				labels += l.GetValue() + " "
			}
			if strings.HasPrefix(labels, "0 "+topic) || topic == "" {
				return g.GetGauge().GetValue()
			}
		}
	}
	return -100
}

func TestLagReachesZeroBehindTransactions(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"committed", "aborted", "open", "plain"} {
		w.topic(name, 1)
	}
	w.transact("committed", 0, 3, kgo.TryCommit)
	w.produce("aborted", 0, 3, 10)
	w.transact("aborted", 0, 3, kgo.TryAbort)
	w.produce("open", 0, 3, 10)
	pending := w.begin("open", 0, 2)
	w.produce("plain", 0, 3, 10)
	m := w.join(w.config("committed", "aborted", "open", "plain"))
	for _, name := range []string{"committed", "aborted", "open", "plain"} {
		w.until("lag 0 of "+name, func() bool {
			st, _ := m.of(name, 0)
			return st.Lag == 0 && m.gauge("kafka_s2_bridge_lag", name) == 0
		})
	}
	if got := m.gauge("kafka_s2_bridge_last_stable_offset", "open"); got != 3 {
		t.Errorf("the last stable offset below an open transaction is %v, want 3", got)
	}
	w.endTransaction(pending, kgo.TryCommit)
	w.wantCopied("open", 0, 0, 5)
	w.wantCommitted("open", 0, 6)
	w.until("lag 0", func() bool {
		return m.gauge("kafka_s2_bridge_last_stable_offset", "open") == 6 && m.gauge("kafka_s2_bridge_lag", "open") == 0
	})
	if got := m.gauge("kafka_s2_bridge_assigned_partitions", ""); got != 4 {
		t.Errorf("%v partitions are assigned", got)
	}
	if n, err := testutil.GatherAndCount(m.registry, "kafka_s2_bridge_lag"); err != nil || n != 4 {
		t.Errorf("%d lags, %v", n, err)
	}
}

// Lag is seen while S2 takes nothing, and so is the memory that this costs.
func TestLagGrowsWhileS2Stalls(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	m := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 10)
	stall := w.s2.Fault(s2mem.Fault{Op: s2mem.OpBatch, Count: -1, Do: s2mem.HoldFlush})
	w.produce("orders", 0, 25, 10)
	w.until("lag 25", func() bool { return m.gauge("kafka_s2_bridge_lag", "orders") == 25 })
	if got := m.gauge("kafka_s2_bridge_memory_held_bytes", ""); got <= 0 {
		t.Errorf("%v bytes are held", got)
	}
	stall.Remove()
	w.until("lag 0", func() bool { return m.gauge("kafka_s2_bridge_lag", "orders") == 0 })
	w.until("no memory held", func() bool { return m.gauge("kafka_s2_bridge_memory_held_bytes", "") == 0 })
}

func TestRunLeavesTheGroup(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	w.produce("orders", 0, 10, 10)
	m := w.join(w.config("orders"))
	w.wantCopied("orders", 0, 0, 10)
	m.leave()
	if info := w.kafka.GroupInfo(group); len(info.Members) != 0 {
		t.Errorf("still a member: %+v", info.Members)
	}
	if c := w.committed("orders", 0); c == nil || c.Offset != 10 {
		t.Errorf("what S2 had acknowledged was left uncommitted: %+v", c)
	}
	if n := len(m.Status()); n != 0 {
		t.Errorf("%d partitions are still owned", n)
	}
}

// A partition that the client was still looking up when it was moved begins
// where the assignment had put it: that is not a log which was cut back.
func TestRecordsFromBeforeTheWantedPositionAreReadPast(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	m := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 10)
	m.mu.Lock()
	p := m.parts[key{"orders", 0}]
	p.sought = &seek{p.cut, 10, 0}
	m.mu.Unlock()
	m.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{"orders": {0: {Epoch: -1, Offset: 0}}})
	w.produce("orders", 0, 5, 10)
	w.wantCopied("orders", 0, 0, 15)
	w.wantCommitted("orders", 0, 15)
	if st, _ := m.of("orders", 0); st.Hold.Reason != "" || st.Acquisitions[0] != 1 || st.Acquisitions[4] != 0 {
		t.Errorf("the owner was troubled: %+v", st)
	}
}

package losses

import (
	"testing"

	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/s2mem"
)

// The acknowledgement of a gap marker is lost, and the marker is found by the next reading: it is told and counted all the same.
func TestAGapMarkerWhoseAckIsLostIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 20)
	r := start(t, w.settings(bridge.Settings{"policy.retention_lost": "gap"}, "orders"))
	w.copied("orders", 0)
	r.stop()
	w.produce("orders", 0, 20)
	w.delete("orders", 0, 35)
	lost := w.s2.Fault(s2mem.Fault{Op: s2mem.OpBatch, Stream: "orders/0", Do: s2mem.ApplyRefuse, When: func(c s2mem.Call) bool {
		h := c.Records()[0].Headers
		return len(h) == 1 && string(h[0].Value) == "gap"
	}})
	r.again()
	w.hit(lost, 1)
	w.copied("orders", 0)
	r.gone("orders", 0, "retention", 15)
	r.says("gap marker written", "reason=retention", "from=20", "to=35", "offsets=15")
}

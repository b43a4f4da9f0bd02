package losses

import (
	"testing"

	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/s2mem"
)

// The stream was restored from an old copy, or S2 lost what it had acknowledged. Each partition is answered in its own way:
// copied again, given up, restored; the same while the bridge runs and while it is down.
func TestH21StreamIsBehindWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"running": true, "down": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.topic("orders", 4)
			w.produceAll("orders", 4, 20)
			w.show("orders/0")
			r := start(t, w.settings(nil, "orders"))
			w.copied("orders", 0, 1, 2, 3)
			w.keep("orders")
			if !running {
				r.stop()
			}
			forgotten := w.s2.Records("orders/2")[12:]
			for _, stream := range []string{"orders/0", "orders/1", "orders/2"} {
				w.s2.Rewind(stream, 12) // fence, open, offsets 0 to 9
			}
			w.s2.CutConnections()
			if !running {
				r.again()
			}
			w.produceAll("orders", 4, 5)
			for p := range int32(3) {
				r.held("orders", p, "s2-behind", "12", "22")
				if at := w.position(streamsOf("orders", p)); at != 9 {
					t.Errorf("orders/%d went on to %d", p, at)
				}
			}
			w.flow("orders", 3)
			r.resume("orders/0", "replay")
			r.resume("orders/1", "gap")
			w.copied("orders", 0, 1)
			w.restore("orders/2", forgotten)
			r.resume("orders/2", "retry")
			w.copied("orders", 2)
			w.flow("orders", 0, 1, 2, 3)
			w.keep("orders")
			w.exactAll("orders", 0, 2, 3)
			w.exact("orders", 1, "orders/1", expect{gaps: []gap{lost("operator", 10, 20)}})
			r.gone("orders", 1, "operator", 10)
			r.says("gap marker written", "partition=1", "reason=operator", "from=10", "to=20")
			r.green()
			r.stop()
			r.again()
			w.flow("orders", 0, 1, 2, 3)
			r.unheld("orders", 0, 1, 2, 3)
		})
	}
}

// The stream was deleted, or deleted and made anew by somebody: no token, no records. Nothing is created before the answer.
func TestT35H20StreamDeleted(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"running": true, "down": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.topic("orders", 4)
			w.produceAll("orders", 4, 20)
			r := start(t, w.settings(nil, "orders"))
			w.copied("orders", 0, 1, 2, 3)
			w.keep("orders")
			if !running {
				r.stop()
			}
			for _, stream := range []string{"orders/0", "orders/1", "orders/2"} {
				w.s2.Delete(stream)
			}
			w.s2.Create("orders/2")
			if !running {
				r.again()
			}
			w.produceAll("orders", 4, 5)
			for p := range int32(3) {
				r.held("orders", p, "s2-behind", "0", "22")
			}
			if _, there := w.s2.Tail("orders/0"); there {
				t.Error("the stream was made before anybody was asked")
			}
			w.flow("orders", 3)
			r.resume("orders/0", "replay")
			r.resume("orders/1", "gap")
			r.resume("orders/2", "replay")
			w.copied("orders", 0, 1, 2)
			w.flow("orders", 0, 1, 2, 3)
			w.keep("orders")
			w.exactAll("orders", 0, 2, 3)
			w.exact("orders", 1, "orders/1", expect{gaps: []gap{lost("operator", 0, 20)}})
			r.gone("orders", 1, "operator", 20)
			r.green()
		})
	}
}

// The standing policies, and that a replay of what Kafka has deleted meanwhile is another loss, which is asked for.
func TestH21StreamIsBehindByStandingPolicy(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"replay", "gap"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.topic("orders", 2)
			w.produceAll("orders", 2, 20)
			r := start(t, w.settings(bridge.Settings{"policy.s2_behind": policy}, "orders"))
			w.copied("orders", 0, 1)
			w.keep("orders")
			r.stop()
			w.s2.Rewind("orders/0", 12)
			w.s2.Delete("orders/1")
			w.delete("orders", 1, 15)
			w.produceAll("orders", 2, 5)
			w.keep("orders")
			r.again()
			w.copied("orders", 0, 1)
			switch policy {
			case "replay":
				w.exactAll("orders", 0)
				w.exact("orders", 1, "orders/1", expect{start: 15}) // begins where policy.start says: at the log start
			case "gap":
				w.exact("orders", 0, "orders/0", expect{gaps: []gap{lost("operator", 10, 20)}})
				// Nobody knows where the stream that was deleted began; from Kafka's log start on it is named.
				w.exact("orders", 1, "orders/1", expect{start: 15, gaps: []gap{lost("operator", 15, 20)}})
				r.gone("orders", 0, "operator", 10)
				r.gone("orders", 1, "operator", 5)
			}
			w.flow("orders", 0, 1)
			r.green()
		})
	}
}

// A stream that is being deleted takes its time: its name answers 409 until then. Nothing but a delay, also behind an answer.
func TestH23StreamDeletionPending(t *testing.T) {
	t.Parallel()
	w := worldWith(t, s2mem.Options{DeletionDelay: pending})
	w.topic("orders", 3)
	w.s2.Create("orders/0")
	w.s2.Delete("orders/0")
	w.produceAll("orders", 3, 10)
	r := start(t, w.settings(nil, "orders"))
	w.copied("orders", 1, 2) // they do not wait for it
	r.says("not writing, trying again", "partition=0", "stream_deletion_pending")
	w.copied("orders", 0)
	w.s2.Delete("orders/1")
	w.produce("orders", 1, 5)
	r.held("orders", 1, "s2-behind")
	r.resume("orders/1", "replay")
	w.flow("orders", 2)
	w.copied("orders", 1)
	w.flow("orders", 0, 1, 2)
	w.keep("orders")
	w.exactAll("orders", 0, 1, 2)
	r.green()
}

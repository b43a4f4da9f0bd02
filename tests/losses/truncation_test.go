package losses

import (
	"strings"
	"syscall"
	"testing"

	"kafka-s2-bridge/tests/real/bridge"
)

// lead elects leaders that know where their epoch begins: kfake's do when something was written in it.
func (w *world) lead() { w.kafka.ShufflePartitionLeaders() }

// An unclean election while the bridge is down, or runs: Kafka's log is cut back from 20 to 14 and has grown to 26 with other
// records, so the old position is valid again. Never is an offset in the stream twice; the answer keeps the stream, and goes on
// behind it.
func TestT28T29H27LogCutBackAndFilledAgain(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"running": true, "down": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.topic("orders", 2)
			w.produceAll("orders", 2, 20)
			w.show("orders/0")
			r := start(t, w.settings(nil, "orders"))
			w.copied("orders", 0, 1)
			w.keep("orders")
			if running {
				r.signal(syscall.SIGSTOP) // it sees the end of this only
			} else {
				r.stop()
			}
			w.restart(func() { w.cut("orders", 0, 14) })
			w.lead()
			w.produce("orders", 0, 12) // 14 to 25
			if running {
				r.signal(syscall.SIGCONT)
			} else {
				r.again()
			}
			r.loses("orders", 0, "truncated", 14, 20, "14", "19")
			w.flow("orders", 1)
			if at := w.position("orders/0"); at != 19 {
				t.Errorf("the stream went on to %d", at)
			}
			r.resume("orders/0", "gap")
			w.copied("orders", 0)
			r.gone("orders", 0, "truncation", 6)
			r.says("gap marker written", "partition=0", "reason=truncation", "from=14", "to=20")
			w.flow("orders", 0, 1)
			w.keep("orders") // of 14 to 19 the old ones count
			w.exact("orders", 0, "orders/0", expect{gaps: []gap{lost("truncation", 14, 20)}})
			w.exactAll("orders", 1)
			if list := r.gaps("orders/0"); len(list) != 1 || list[0] != lost("truncation", 14, 20) {
				t.Errorf("bridge gaps lists %v", list)
			}
			r.green()
			r.stop()
			r.again()
			w.flow("orders", 0, 1)
			r.unheld("orders", 0, 1)
		})
	}
}

// The log stays short after it was cut: the position does not exist. Held all the same; after the answer the end is waited for,
// and what comes behind the old end is copied, nothing before it.
func TestT27T28H27LogCutBackAndStillShort(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"running": true, "down": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.topic("orders", 2)
			w.produceAll("orders", 2, 20)
			w.show("orders/0")
			r := start(t, w.settings(nil, "orders"))
			w.copied("orders", 0, 1)
			w.keep("orders")
			if !running {
				r.stop()
			}
			w.restart(func() { w.cut("orders", 0, 14) })
			w.lead()
			w.produce("orders", 0, 2) // 14 and 15
			if !running {
				r.again()
			}
			r.loses("orders", 0, "truncated", 14, 20, "14", "19")
			w.flow("orders", 1)
			r.resume("orders/0", "gap")
			r.says("gap marker written", "partition=0", "reason=truncation", "from=14", "to=20")
			w.reaches("orders", 0, "orders/0", 20)
			r.gone("orders", 0, "truncation", 6)
			r.green() // it waits, and nothing is wrong
			r.stop()
			r.again() // the next owner waits as well
			w.produce("orders", 0, 3)
			w.flow("orders", 1)
			if at := w.position("orders/0"); at != 19 {
				t.Errorf("the stream went on to %d", at)
			}
			w.produce("orders", 0, 4) // 19 to 22
			w.copied("orders", 0)
			w.flow("orders", 0, 1)
			w.keep("orders")
			w.exact("orders", 0, "orders/0", expect{gaps: []gap{lost("truncation", 14, 20)}})
			w.exactAll("orders", 1)
			r.green()
		})
	}
}

// By standing policy nobody is asked, and another partition of the same log is not touched.
func TestT28H27LogCutBackByStandingPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 2)
	w.produceAll("orders", 2, 20)
	w.show("orders/0")
	r := start(t, w.settings(bridge.Settings{"policy.truncated": "gap"}, "orders"))
	w.copied("orders", 0, 1)
	w.keep("orders")
	r.signal(syscall.SIGSTOP)
	w.restart(func() { w.cut("orders", 0, 14) })
	w.lead()
	w.produce("orders", 0, 12)
	r.signal(syscall.SIGCONT)
	w.flow("orders", 0, 1)
	r.gone("orders", 0, "truncation", 6)
	w.keep("orders")
	w.exact("orders", 0, "orders/0", expect{gaps: []gap{lost("truncation", 14, 20)}})
	w.exactAll("orders", 1)
	if held := r.lines("partition held"); len(held) > 0 {
		t.Errorf("it was held: %s", strings.Join(held, "\n"))
	}
}

// A new leader that has everything, a broker that comes back: no loss, no hold, nothing doubled.
func TestT30H34LeadersChangeWithoutALoss(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 3)
	w.produceAll("orders", 3, 5)
	r := start(t, w.settings(nil, "orders"))
	for range 3 {
		w.copied("orders", 0, 1, 2)
		w.lead()
		w.produce("orders", 0, 5)
		w.restart(func() {})
		w.produce("orders", 1, 5)
		w.lead()
	}
	w.flow("orders", 0, 1, 2)
	w.keep("orders")
	w.exactAll("orders", 0, 1, 2)
	if held := r.lines("partition held"); len(held) > 0 {
		t.Errorf("it was held: %s", strings.Join(held, "\n"))
	}
	r.green()
}

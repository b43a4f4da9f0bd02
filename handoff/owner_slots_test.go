package handoff

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/mapping"
)

// 10,000 partitions that start at once must not ask S2 at once.
func TestNoMoreThanTheSlotsAtWork(t *testing.T) {
	bubble(t, func(t *testing.T, first *world) {
		var now, peak atomic.Int64
		var owners []*Owner
		for range 20 {
			w := newWorld(t)
			w.opt.Slots = first.opt.Slots
			w.onAsk = func(context.Context) error {
				peak.Store(max(peak.Load(), now.Add(1)))
				<-time.After(time.Second)
				now.Add(-1)
				return nil
			}
			owners = append(owners, w.own(t.Context()))
		}
		pass(time.Minute)
		if p := peak.Load(); p != int64(cap(first.opt.Slots)) {
			t.Errorf("%d at work at once, there are %d slots", p, cap(first.opt.Slots))
		}
		if n := len(first.opt.Slots); n != 0 {
			t.Errorf("%d slots were not given back", n)
		}
		for _, o := range owners {
			if s := o.Status(); s.Phase != "idle" {
				t.Errorf("phase %s", s.Phase)
			}
			o.Release(time.Second)
			gone(o)
		}
	})
}

// A partition that waits (back-off, a rival's session time-out, a hold) holds no
// slot: 64 sick partitions must not stop the healthy ones from starting.
func TestWaitsHoldNoSlot(t *testing.T) {
	bubble(t, func(t *testing.T, sick *world) {
		sick.opt.Slots = make(chan struct{}, 1)
		sick.opt.BackoffMin = 20 * time.Second
		sick.onAsk = func(context.Context) error { return errors.New("S2 is down") }
		a := sick.own(t.Context())
		synctest.Wait()
		if n := len(sick.opt.Slots); n != 0 {
			t.Fatalf("%d slots are held in a back-off", n)
		}
		healthy := newWorld(t)
		healthy.opt.Slots = sick.opt.Slots
		b := healthy.own(t.Context())
		synctest.Wait()
		healthy.serve(b, 0, 3)
		synctest.Wait()
		if m := healthy.lastMark(t); m.Offset != 4 {
			t.Errorf("marked %+v", m)
		}
		if s := a.Status(); s.Trouble == "" || s.Phase != "locating" {
			t.Errorf("status %+v", s)
		}
		for _, o := range []*Owner{a, b} {
			o.Release(time.Second)
			gone(o)
		}
	})
}

// Given up while it waits for a slot: it ends at once, and takes none along.
func TestReleaseWhileWaitingForASlot(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.opt.Slots = make(chan struct{}, 1)
		w.opt.Slots <- struct{}{} // somebody else is at work
		o := w.own(t.Context())
		synctest.Wait()
		o.Release(time.Second)
		if took := gone(o); took != 0 {
			t.Errorf("took %s", took)
		}
		if n := len(w.opt.Slots); n != 1 {
			t.Errorf("%d slots taken, want the other's one", n)
		}
	})
}

// One slot is enough for all requests of an acquisition, also where Kafka
// reports trouble in the middle of it: an owner that waited for a second slot
// would wait for itself.
func TestOneSlotIsEnough(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.opt.Slots = make(chan struct{}, 1)
		o := w.own(t.Context())
		synctest.Wait()
		w.serve(o, 0, 3)
		synctest.Wait()
		w.change(func() {
			w.onEpoch = func(context.Context) (int64, error) { <-time.After(time.Second); return 1000, nil }
		})
		for range 3 {
			o.Trouble(Trouble{Cut: w.seeks[len(w.seeks)-1].Cut, Kind: DataLoss, Offset: 900})
			pass(500 * time.Millisecond)
		}
		pass(time.Minute)
		if s := o.Status(); s.Phase != "flowing" {
			t.Errorf("status %+v", s)
		}
		o.Release(time.Second)
		gone(o)
		if n := len(w.opt.Slots); n != 0 {
			t.Errorf("%d slots were not given back", n)
		}
	})
}

// A writer asks Kafka beside its session, too. Its question still has no answer
// when the session has to be given up: the acquisition that follows must not wait
// for the slot that the question holds.
func TestAQuestionBesideTheSessionLeavesItsSlot(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.opt.Slots = make(chan struct{}, 1)
		w.opt.Policy.Refused = DeadLetterRecord
		o := w.own(t.Context())
		synctest.Wait()
		w.serve(o, 0, 3)
		synctest.Wait()
		w.change(func() {
			w.onEpoch = func(context.Context) (int64, error) { <-time.After(10 * time.Second); return 1000, nil }
		})
		cut := w.seeks[len(w.seeks)-1].Cut
		o.Fetched(cut, 100, []*kgo.Record{{Offset: 4, LeaderEpoch: 1, Key: make([]byte, mapping.MaxMetered)}})
		synctest.Wait() // the letter is there: is its record still Kafka's?
		if n := len(w.opt.Slots); n != 1 || len(w.letters) != 1 {
			t.Fatalf("%d slots taken, letters %v", n, w.letters)
		}
		o.Trouble(Trouble{Cut: w.seeks[len(w.seeks)-1].Cut, Kind: DataLoss, Offset: 900})
		pass(time.Minute)
		if s := o.Status(); s.Phase != "flowing" {
			t.Errorf("status %+v", s)
		}
		o.Release(time.Second)
		gone(o)
		if n := len(w.opt.Slots); n != 0 {
			t.Errorf("%d slots were not given back", n)
		}
	})
}

// The governor's permits: a batch goes no earlier than its permit, and grows
// while it waits.
func TestPermits(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.opt.Paced = true
		wait := time.Duration(0)
		w.opt.Reserve = func() time.Duration { return wait }
		began := time.Now()
		var sent []time.Duration
		w.onSend = func(_ *session, b *mapping.Batch) bool {
			if _, _, data := b.Span(); data {
				sent = append(sent, time.Since(began))
			}
			return true
		}
		o := w.own(t.Context())
		synctest.Wait()
		w.serve(o, 0, 0) // a permit at once
		synctest.Wait()
		wait = 2 * time.Second
		w.serve(o, 1, 1)
		synctest.Wait()
		w.serve(o, 2, 5)
		pass(3 * time.Second)
		if len(sent) != 2 || sent[0] != 0 || sent[1] != 2*time.Second {
			t.Errorf("sent at %v", sent)
		}
		if m := w.lastMark(t); m.Offset != 6 {
			t.Errorf("marked %+v", m)
		}
		o.Release(time.Second)
		gone(o)
	})
}

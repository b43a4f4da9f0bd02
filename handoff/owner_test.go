package handoff

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// bubble runs a test in virtual time. An owner that is left behind fails it.
func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t)) })
}

// gone waits for the owner's end and says how long it took.
func gone(o *Owner) time.Duration {
	began := time.Now()
	<-o.Done()
	return time.Since(began)
}

// pass lets the bubble's time pass, and everything come to rest.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (w *world) lastMark(t *testing.T) offsets.Mark {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.marks) == 0 {
		t.Fatal("nothing was marked")
	}
	return w.marks[len(w.marks)-1]
}

func TestOwnerCopies(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		o := w.own(t.Context())
		synctest.Wait()
		w.serve(o, 0, 9)
		synctest.Wait()
		w.serve(o, 10, 14)
		synctest.Wait()
		if m := w.lastMark(t); m.Offset != 15 || m.Last != 14 || m.Next != w.s2.tail {
			t.Errorf("marked %+v, the stream ends at %d", m, w.s2.tail)
		}
		if s := o.Status(); s.Phase != "flowing" || s.Durable != 14 || s.Records != 15 || s.Bytes != 75 || s.InflightBytes != 0 {
			t.Errorf("status %+v", s)
		}
		// 15 records were handed over at a cost of 100 each, and nothing of it
		// is held any more.
		if w.held != -1500 {
			t.Errorf("Held reported %d in all, want -1500", w.held)
		}
		o.Release(time.Minute)
		if took := gone(o); took != 0 {
			t.Errorf("an owner with nothing in flight took %s to end", took)
		}
		if len(w.opt.Slots) != 0 {
			t.Errorf("%d slots were not given back", len(w.opt.Slots))
		}
	})
}

// The poll loop hands over while S2 hangs: if that blocked, one stalled
// partition would stop all others and the group would expel the process.
func TestHandOverNeverBlocks(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.onAsk = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		o := w.own(t.Context())
		began := time.Now()
		for i := range int64(1000) {
			o.Fetched(0, 100, records(i, i))
			o.Trouble(Trouble{Kind: OutOfRange, Cut: 99})
			_ = o.Status()
		}
		o.Release(time.Second)
		if took := time.Since(began); took != 0 {
			t.Errorf("handing over took %s", took)
		}
		gone(o)
	})
}

// Draining: the ack that comes in time is committed; Done closes behind it, and
// no mark can follow (the world's Mark fails the test if one does).
func TestReleaseWaitsForAcks(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		o, ack := w.stalled(t)
		o.Release(10 * time.Second)
		time.AfterFunc(3*time.Second, ack)
		if took := gone(o); took != 3*time.Second {
			t.Errorf("draining took %s", took)
		}
		if m := w.lastMark(t); m.Offset != 3 {
			t.Errorf("marked %+v", m)
		}
		ack() // late, for nobody
	})
}

// stalled gives an owner that has records 0-2 in flight and no ack for them;
// ack acknowledges them.
func (w *world) stalled(t *testing.T) (o *Owner, ack func()) {
	var under *session
	w.onSend = func(s *session, b *mapping.Batch) bool {
		if _, _, data := b.Span(); !data {
			return true
		}
		under = s
		return false
	}
	o = w.own(t.Context())
	synctest.Wait()
	w.serve(o, 0, 2)
	synctest.Wait()
	if under == nil {
		t.Fatal("nothing was sent")
	}
	return o, func() {
		w.change(func() { under.sent = nil })
		under.on.Acked(2, 5)
	}
}

// Draining ends at its deadline: the group must not be kept waiting, and who is
// next reads what landed.
func TestReleaseEndsAtItsDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.opt.AckTimeout = time.Hour
		o, ack := w.stalled(t)
		o.Release(10 * time.Second)
		if took := gone(o); took != 10*time.Second {
			t.Errorf("draining took %s", took)
		}
		if m := w.lastMark(t); m.Offset != 0 {
			t.Errorf("marked %+v without an ack", m)
		}
		ack()
		if !w.session(0).aborted {
			t.Error("the session was not aborted")
		}
	})
}

func TestReleaseWithoutPatience(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		o, _ := w.stalled(t)
		o.Release(0)
		if took := gone(o); took > time.Millisecond {
			t.Errorf("took %s", took)
		}
	})
}

// Lost: not one mark more, at once.
func TestAbandon(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		o, ack := w.stalled(t)
		o.Abandon()
		if took := gone(o); took != 0 {
			t.Errorf("took %s", took)
		}
		ack()
		if m := w.lastMark(t); m.Offset != 0 {
			t.Errorf("marked %+v", m)
		}
		// Whatever still comes finds a closed door.
		o.Fetched(0, 1, records(9, 9))
		o.Trouble(Trouble{})
		o.Release(time.Second)
		o.Abandon()
	})
}

func TestContextEndsTheOwner(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		w.onAsk = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		o := w.own(ctx)
		synctest.Wait()
		cancel()
		gone(o)
	})
}

// A request that hangs is cut off and waited for: an answer after Done would
// come to a partition that another owner of this process may have by now.
func TestRequestsAreCutOffAndWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		returned := false
		w.onAsk = func(ctx context.Context) error {
			<-ctx.Done()
			<-time.After(time.Second) // a client that is slow to give up
			returned = true
			return ctx.Err()
		}
		o := w.own(t.Context())
		synctest.Wait()
		o.Release(time.Minute)
		if took := gone(o); took != time.Second || !returned {
			t.Errorf("done after %s, request returned: %t", took, returned)
		}
		if len(w.opt.Slots) != 0 {
			t.Errorf("%d slots were not given back", len(w.opt.Slots))
		}
	})
}

// Done waits for the sessions' ends: until then net/http may hold on to memory
// and connections of this partition.
func TestSessionsAreWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.onAbort = func(s *session) { time.AfterFunc(4*time.Second, func() { s.end(errors.New("aborted")) }) }
		o, _ := w.stalled(t)
		o.Abandon()
		if took := gone(o); took != 4*time.Second {
			t.Errorf("done after %s", took)
		}
	})
}

// Another partition may get a batch's memory only when the session that was
// given it is cut off: else its records would go into our stream, under our
// token. The session's Abort in this test compares.
func TestMemoryIsNotReusedBeforeAbort(t *testing.T) {
	for name, end := range map[string]func(*Owner){
		"trouble": func(o *Owner) { o.Trouble(Trouble{Cut: 1, Kind: DataLoss, Offset: 2}) },
		"hold":    func(o *Owner) { o.Trouble(Trouble{Cut: 1, Kind: TopicRecreated}) },
		"lost":    func(o *Owner) { o.Abandon() },
		"revoked": func(o *Owner) { o.Release(time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				o, _ := w.stalled(t)
				end(o)
				synctest.Wait()
				if !w.session(0).aborted && name != "revoked" {
					t.Error("the session was not aborted")
				}
				o.Abandon()
				gone(o)
			})
		})
	}
}

// An ack that never comes: the path is suspect, the next session gets another.
func TestSuspectPath(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		o, _ := w.stalled(t)
		pass(5 * time.Second)
		if w.suspects != 1 || !w.session(0).aborted {
			t.Errorf("%d suspicions", w.suspects)
		}
		w.change(func() { w.onSend = nil })
		pass(time.Second)
		if m := w.lastMark(t); m.Offset != 3 {
			t.Errorf("marked %+v", m)
		}
		o.Release(time.Second)
		gone(o)
	})
}

// A session without traffic is closed; S2's advice closes one at once. Both
// leave the token standing.
func TestSessionsAreClosed(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		o := w.own(t.Context())
		synctest.Wait()
		w.serve(o, 0, 2)
		synctest.Wait()
		pass(time.Minute)
		if !w.session(0).finished {
			t.Error("the idle session was not finished")
		}
		w.serve(o, 3, 5)
		synctest.Wait()
		w.session(1).on.Advised()
		synctest.Wait()
		if !w.session(1).finished {
			t.Error("the session was not finished on advice")
		}
		if n := o.Status().Acquisitions; n != [causeCount]uint64{First: 1} {
			t.Errorf("acquisitions %v", n)
		}
		o.Release(time.Second)
		gone(o)
	})
}

// S2 need not answer a half-close. A session that was finished and never ended
// is cut off at the end: else the rebalance would wait for it.
func TestFinishedSessionsDoNotHoldTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.silent = true
		o := w.own(t.Context())
		synctest.Wait()
		w.serve(o, 0, 2)
		pass(time.Minute)
		if !w.session(0).finished || w.session(0).ended {
			t.Fatal("the idle session was not finished, or ended")
		}
		o.Release(time.Second)
		if took := gone(o); took != 0 {
			t.Errorf("took %s", took)
		}
	})
}

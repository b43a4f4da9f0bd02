package sim

import (
	"errors"
	"fmt"

	"kafka-s2-bridge/handoff"
)

// see looks at every event before the machine takes it, and passes the points
// that lie on its way.
func (w *world) see(o *owner, ev handoff.Event) {
	switch ev := ev.(type) {
	case handoff.Begin:
		w.say(o.name, "> begin")
	case handoff.Fetched:
		n := len(ev.Records)
		w.say(o.name, "> fetched", int64(ev.Cut), ev.Records[0].Offset, ev.Records[n-1].Offset, int64(n))
	case handoff.Trouble:
		w.say(o.name, "> trouble", int64(ev.Cut), int64(ev.Kind), ev.Offset)
	case handoff.Release:
		w.say(o.name, "> release")
	case handoff.Lost:
		w.say(o.name, "> lost")
	case handoff.Asked:
		w.say(o.name, "> asked", int64(ev.ID), int64(ev.Tail), failed(ev.Err))
		w.note("token %q exists %v err %v", ev.Token, ev.Exists, ev.Err)
		o.passed("after-ask", ev.Err)
	case handoff.Created:
		w.say(o.name, "> created", int64(ev.ID), failed(ev.Err))
	case handoff.Fenced:
		w.say(o.name, "> fenced", int64(ev.ID), int64(ev.Seq), failed(ev.Err))
		o.passed("after-fence-acked", ev.Err)
	case handoff.Page:
		w.say(o.name, "> page", int64(ev.ID), int64(len(ev.Records)), failed(ev.Err))
		o.passed("after-read", ev.Err)
	case handoff.Ranged:
		w.say(o.name, "> ranged", int64(ev.ID), ev.Start, ev.End, failed(ev.Err))
	case handoff.EpochEnded:
		w.say(o.name, "> epoch ended", int64(ev.ID), ev.End, failed(ev.Err))
	case handoff.Acked:
		w.say(o.name, "> acked", int64(ev.Session), int64(ev.Start), int64(ev.End))
		if o.newest == nil || o.newest.id != ev.Session || o.newest.gone {
			w.hit("late-ack-of-old-session")
		}
		if o.drainBy > 0 {
			o.passed("in-drain", nil)
		}
		o.passed("after-ack", nil)
	case handoff.Ended:
		w.say(o.name, "> ended", int64(ev.Session), failed(ev.Err))
		w.note("err %v", ev.Err)
	case handoff.Advised:
		w.say(o.name, "> advised", int64(ev.Session))
	case handoff.Tick:
		w.say(o.name, "> tick")
	}
}

func failed(err error) int64 {
	if err != nil {
		return 1
	}
	return 0
}

// passed is a point on the way of an event that brings good news.
func (o *owner) passed(point string, err error) {
	if err == nil {
		o.at(point)
	}
}

// watch looks at the machine's state after every step.
func (w *world) watch(o *owner) {
	s := o.machine.Status()
	if s.Phase == o.phase && s.Hold.Reason == o.reason {
		return
	}
	w.say(o.name, o.phase+" -> "+s.Phase+" "+string(s.Hold.Reason))
	w.note("%s", s.Hold.Detail)
	w.hit("phase " + o.phase + " -> " + s.Phase)
	if s.Phase == "held" && s.Hold.Reason != o.reason {
		w.hit("held " + string(s.Hold.Reason))
		if !o.mayHold(s.Hold.Reason) {
			w.violate("%s is held for no reason: %s: %s", o.name, s.Hold.Reason, s.Hold.Detail)
		}
	}
	if o.phase == "flowing" {
		o.stopped = w.now
	}
	o.phase, o.reason = s.Phase, s.Hold.Reason
	o.flowed = o.flowed || s.Phase == "flowing"
}

// mayHold: only a fault that explains a hold may lead to it.
func (o *owner) mayHold(r handoff.Reason) bool {
	d := o.p.damage
	switch r {
	case handoff.RetentionLost:
		return d.has(expire)
	case handoff.Truncated:
		return d.has(truncate) || d.has(recreateTopic)
	case handoff.Recreated:
		return d.has(recreateTopic)
	case handoff.ForeignIdentity:
		return d.has(recreateTopic) || d.has(changeToken)
	case handoff.ForeignRecord:
		return d.has(foreignAppend)
	case handoff.TokenCleared:
		return d.has(clearToken) || d.has(foreignAppend)
	case handoff.S2Behind:
		return d.has(deleteStream)
	case handoff.PositionUnproven:
		return d.has(trim) || d.has(deleteStream) // between two questions
	case handoff.Rival:
		return d.has(rivalWar)
	case handoff.RecordRefused:
		return d.has(bigRecord)
	case handoff.Unauthorized:
		return o.w.hits[denied.String()] > 0
	}
	return false
}

// settled tells whether every partition is where it should be.
func (w *world) settled() bool { return w.unsettled() == "" }

func (w *world) unsettled() string {
	for _, p := range w.partitions {
		if err := p.rest(); err != nil {
			return err.Error()
		}
	}
	return ""
}

// rest: a partition has its owner, who is held or has nothing left to do.
func (p *partition) rest() error {
	if p.owner == nil {
		return fmt.Errorf("%s has no owner", p.name)
	}
	o := p.owner.ownerOf(p)
	if o == nil {
		return fmt.Errorf("%s: %s does not own it yet", p.name, p.owner.name)
	}
	s := o.machine.Status()
	switch s.Phase {
	case "held":
		if s.Hold.Reason == handoff.Unauthorized {
			return errors.New(p.name + " is unauthorized, for ever")
		}
		if s.Hold.Reason == handoff.Rival {
			return errors.New(p.name + " is held, and its rival is gone")
		}
		return nil
	case "idle", "flowing":
	default:
		return fmt.Errorf("%s: %s is %s: %s", p.name, o.name, s.Phase, s.Trouble)
	}
	last := p.lastVisible()
	if o.cursor.paused {
		return fmt.Errorf("%s: %s is %s, but reads nothing", p.name, o.name, s.Phase)
	}
	if o.cursor.offset <= last {
		return fmt.Errorf("%s: %s has read up to %d of %d", p.name, o.name, o.cursor.offset, last)
	}
	if o.machine.Held() > 0 {
		return fmt.Errorf("%s: %s holds what is not acknowledged", p.name, o.name)
	}
	if s.Phase == "flowing" && p.topic == o.topic && (p.commit == nil || p.commit.offset <= last) {
		return fmt.Errorf("%s: %s has not committed %d", p.name, o.name, last+1)
	}
	return nil
}

// final compares every stream with Kafka when all is quiet.
func (w *world) final() {
	for _, p := range w.partitions {
		o := p.owner.ownerOf(p)
		s := o.machine.Status()
		line := &p.stream.line
		if s.Phase == "held" {
			w.hit("end held " + string(s.Hold.Reason))
			continue
		}
		w.hit("end " + s.Phase)
		if o.topic != p.topic {
			w.violate("%s: %s goes on with a topic that is gone", p.name, o.name)
		}
		held := line.begun && line.topic == p.topic
		if p.damage.has(deleteStream) && p.allStored() {
			// Nothing has come since the stream was deleted, so its owner has
			// not looked; a zombie may have begun another one meanwhile.
			w.hit("end deleted and not noticed")
			continue
		}
		if line.last != nil && s.Phase == "idle" && o.judged >= 0 && line.last.cut > o.judged {
			// Truncated just behind the answer about the epoch, and nothing has
			// come since: the next record makes it look.
			w.hit("end truncated and not noticed")
			continue
		}
		for _, e := range p.log {
			if !e.due() || e.rec.Offset >= p.stable || e.rec.Offset <= line.hidden {
				continue
			}
			if !held || !p.stream.exists || e.rec.Offset > line.durable || !e.stored {
				w.violate("%s: offset %d is not in the stream at the end (complete up to %d), and %s is %s", p.name, e.rec.Offset, line.durable, o.name, s.Phase)
				return
			}
		}
		// (One that is idle has not looked: the next record makes it.)
		if held && line.last != nil && line.last.cut != 0 && s.Phase != "idle" {
			w.violate("%s: the stream ends with offset %d, which Kafka has no more, and %s is %s", p.name, line.last.rec.Offset, o.name, s.Phase)
		}
		// What retention took must have been copied before; again, one that is
		// idle has not looked.
		for _, e := range p.all {
			if e.topic == p.topic && e.due() && e.expired && e.cut == 0 && !e.stored && held && e.rec.Offset >= line.first && e.rec.Offset > line.hidden && s.Phase != "idle" {
				w.violate("%s: offset %d was lost in silence", p.name, e.rec.Offset)
			}
		}
	}
}

// allStored: everything that Kafka has was in a stream once.
func (p *partition) allStored() bool {
	for _, e := range p.log {
		if e.due() && e.rec.Offset < p.stable && !e.stored {
			return false
		}
	}
	return true
}

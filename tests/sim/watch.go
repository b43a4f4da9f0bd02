package sim

import (
	"errors"
	"fmt"
	"slices"

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
		o.p.blow()
		if ev.Kind == handoff.DataLoss {
			o.news = news{o.p.cuts, ev.Offset, true}
		}
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
		o.passed("after-range", ev.Err)
	case handoff.EpochEnded:
		w.say(o.name, "> epoch ended", int64(ev.ID), int64(ev.Of), ev.End, failed(ev.Err))
		o.passed("after-epoch", ev.Err)
	case handoff.Located:
		w.say(o.name, "> located", int64(ev.ID), ev.Offset, failed(ev.Err))
		if ev.Err == nil && o.located < 0 {
			o.located = ev.Offset
		}
		o.passed("after-locate", ev.Err)
	case handoff.Recalled:
		w.say(o.name, "> recalled", int64(ev.ID), int64(len(ev.Records)), failed(ev.Err))
		o.passed("after-recall", ev.Err)
	case handoff.Overwritten:
		w.say(o.name, "> overwritten", int64(ev.ID), ev.Mark.Offset, failed(ev.Err))
		if ev.Err == nil {
			o.rewinding, o.setLower, o.known, o.highMark = false, true, ev.Mark.Last, ev.Mark.Offset
		}
		o.passed("after-overwrite", ev.Err)
	case handoff.DeadLettered:
		w.say(o.name, "> dead lettered", int64(ev.ID), failed(ev.Err))
		o.passed("after-letter", ev.Err)
	case handoff.Resume:
		w.say(o.name, "> resume "+string(ev.Answer))
		o.p.blow()
	case handoff.Acked:
		w.say(o.name, "> acked", int64(ev.Session), int64(ev.Start), int64(ev.End))
		if o.newest == nil || o.newest.id != ev.Session || o.newest.gone {
			w.hit("late-ack-of-old-session")
		}
		if o.drainBy > 0 {
			o.passed("in-drain", nil)
		}
		if x := o.newest; x != nil && x.acked != nil && x.acked.gap && ev.Session == x.id && ev.Start == x.acked.seq {
			if o.adopting != nil && ev.End == ev.Start+1 && o.phase == "flowing" {
				o.use(o.adopting)
				o.adopting = nil // until then it may have to be done anew
			}
			o.passed("after-gap-acked", nil)
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
	w.facts(o, s)
	if s.Next > 0 && (s.Phase == "idle" || (s.Phase == "flowing" && o.phase != s.Phase && o.found)) { // it has read the stream
		o.known, o.begun = max(o.known, s.Durable), true
	}
	if s.Phase == o.phase && s.Hold.Reason == o.reason {
		return
	}
	w.say(o.name, o.phase+" -> "+s.Phase+" "+string(s.Hold.Reason))
	w.note("%s", s.Hold.Detail)
	w.hit("phase " + o.phase + " -> " + s.Phase)
	if s.Phase == "held" {
		w.hit("held " + string(s.Hold.Reason))
		if !o.mayHold(s.Hold) {
			w.violate("%s is held for no reason: %s: %s", o.name, s.Hold.Reason, s.Hold.Detail)
		}
		w.page(o)
	}
	if o.phase == "flowing" {
		o.stopped = w.now
	}
	o.phase, o.reason = s.Phase, s.Hold.Reason
	o.flowed = o.flowed || s.Phase == "flowing"
}

// mayHold: only what explains a hold may lead to it.
func (o *owner) mayHold(h handoff.Hold) bool {
	w, p := o.w, o.p
	d := p.damage
	switch h.Reason {
	case handoff.RetentionLost:
		return o.topic != p.topic || (h.From < h.To && h.To <= p.start)
	case handoff.Truncated:
		return p.cuts > 0 || d.has(recreateTopic) || d.has(restore) // its epochs may be others
	case handoff.Recreated:
		return d.has(recreateTopic) || o.outdated()
	case handoff.ForeignIdentity:
		if o.half {
			w.hit("half adopted")
			return true
		}
		return d.has(recreateTopic) || d.has(changeToken) || d.has(restore) || o.outdated()
	case handoff.ForeignRecord:
		return d.has(foreignAppend)
	case handoff.TokenCleared:
		return d.has(clearToken) || d.has(foreignAppend) || d.has(rollBack) // between two questions
	case handoff.S2Behind:
		return d.has(deleteStream) || d.has(rollBack) || o.known > p.stream.line.durable // others copy again behind a trim
	case handoff.PositionUnproven:
		return d.has(trim) || d.has(deleteStream) || d.has(rollBack) // between two questions
	case handoff.Rival:
		return d.has(rivalWar)
	case handoff.RecordRefused:
		for _, e := range p.all {
			if what, refused := w.policy.refuses(e); refused && e.topic == o.topic && e.rec.Offset == h.From {
				w.hit(w.policy.name(e) + " record held")
				return what == handoff.HoldRecord
			}
		}
	case handoff.Unauthorized:
		return w.hits[denied.String()] > 0
	case handoff.FormatUnknown:
		return d.has(newerFormat)
	}
	return false
}

// outdated: it knows its topic by no id, and others know one by now.
func (o *owner) outdated() bool { return o.id.TopicID == [16]byte{} && o.p.id.TopicID != [16]byte{} }

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
	if s.Phase == "flowing" && o.cursor.paused && p.end < s.Position && s.InflightBytes == 0 && p.commit != nil && p.topic == o.topic {
		return nil // what comes next is not there yet
	}
	if o.cursor.paused {
		return fmt.Errorf("%s: %s is %s, but reads nothing", p.name, o.name, s.Phase)
	}
	if o.cursor.offset <= last {
		return fmt.Errorf("%s: %s has read up to %d of %d", p.name, o.name, o.cursor.offset, last)
	}
	if o.cursor.arrives > p.w.now || len(o.mail) > 0 {
		return fmt.Errorf("%s: something is on its way to %s", p.name, o.name)
	}
	if o.machine.Held() > 0 {
		return fmt.Errorf("%s: %s holds what is not acknowledged", p.name, o.name)
	}
	if s.Phase == "flowing" && p.topic == o.topic && (p.commit == nil || (p.commit.offset <= last && !p.commit.lower)) {
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
		p.stream.hide()
		p.stream.kept()
		p.thrifty()
		if s.Phase == "held" {
			w.hit("end held " + string(s.Hold.Reason))
			continue
		}
		w.hit("end " + s.Phase)
		if o.topic != p.topic {
			w.violate("%s: %s goes on with a topic that is gone", p.name, o.name)
		}
		held := line.begun && line.topic == p.topic
		wants := func(e *entry) bool {
			first := line.first
			if !held {
				first = p.began
			}
			if !held && w.policy.Start.From == handoff.FromOffset && !o.fresh {
				first = max(first, w.policy.Start.Offset) // it waits there
			}
			return e.due() && e.rec.Offset < p.stable && e.rec.Offset > line.hidden && e.rec.Offset >= first && !(held && line.names(e.rec.Offset))
		}
		if (p.damage.has(deleteStream) || p.damage.has(rollBack)) && p.allStored(wants, o.known) {
			// Nothing has come since S2 lost something, so its owner has
			// not looked; a zombie may have begun another one meanwhile.
			w.hit("end deleted and not noticed")
			continue
		}
		if line.last != nil && line.last.cut > o.judged && s.Phase == "idle" && (o.judged >= 0 || o.blind) {
			// Truncated just behind the answer about the epoch, or a tool took the
			// commit's, and nothing has come since: the next record makes it look.
			w.hit("end truncated and not noticed")
			continue
		}
		if line.last != nil && s.Phase == "flowing" && o.judged >= 0 && line.last.cut > o.judged && p.lastVisible() < slices.Min(p.points[o.judged:]) {
			w.hit("end truncated and not noticed")
			continue
		}
		for _, e := range p.log {
			if wants(e) && (!held || !p.stream.exists || e.made != p.stream.made) {
				w.violate("%s: offset %d is not in the stream at the end (complete up to %d), and %s is %s", p.name, e.rec.Offset, line.durable, o.name, s.Phase)
				return
			}
		}
		// (One that is idle has not looked: the next record makes it.)
		if last := line.last; held && last != nil && last.cut != 0 && !p.stream.excused(last) && s.Phase != "idle" {
			w.violate("%s: the stream ends with offset %d, which Kafka has no more, and %s is %s", p.name, line.last.rec.Offset, o.name, s.Phase)
		}
		// What retention took must have been copied before; again, one that is
		// idle has not looked.
		for _, e := range p.all {
			if e.topic == p.topic && held && e.expired && e.cut == 0 && !e.stored && wants(e) && s.Phase != "idle" {
				w.violate("%s: offset %d was lost in silence", p.name, e.rec.Offset)
			}
		}
	}
}

// allStored: everything of Kafka's log that is wanted, from behind an offset on,
// was in a stream once, or was named there.
func (p *partition) allStored(wants func(*entry) bool, behind int64) bool {
	for _, e := range p.log {
		if wants(e) && !e.stored && !p.named.names(e.rec.Offset) && e.rec.Offset > behind {
			return false
		}
	}
	return true
}

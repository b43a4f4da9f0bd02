package sim

import (
	"time"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
)

// gap is a marker that is in the stream.
type gap struct {
	mapping.Gap
	cuts int // truncations until then
}

func (g *gap) has(offset int64) bool { return g.From <= offset && offset < g.To }

// names: a gap marker of the stream accounts for the offset.
func (l *lineage) names(offset int64) bool {
	for i := range l.gaps {
		if l.gaps[i].has(offset) {
			return true
		}
	}
	return false
}

// excused: a marker says that the stream holds a history there that Kafka has
// dropped.
func (s *stream) excused(e *entry) bool {
	for i := range s.line.gaps {
		if g := &s.line.gaps[i]; g.Reason == mapping.ReasonTruncation && g.has(e.rec.Offset) && e.cut <= g.cuts {
			return true
		}
	}
	return false
}

// gapped judges a gap marker the instant that it is in the stream: it stands
// behind the acquisition's open marker, what it says is true, and there was
// leave to give that up.
func (s *stream) gapped(o *owner, token string, g *mapping.Gap) {
	w, p, line := s.w, s.p, &s.line
	s.hide()
	w.say(s.name, "gap "+g.Reason, g.From, g.To)
	switch {
	case line.opener != token:
		w.violate("%s: %s wrote a gap marker without an open marker of its own", s.name, o.name)
	case line.topic != o.topic:
		w.violate("%s: %s wrote a gap marker for another topic", s.name, o.name)
	case g.From == g.To && g.Reason == mapping.ReasonOperator && g.To == line.durable+1 && o.toldToAdopt():
		// The epochs below it are another cluster's.
		w.hit("gap that hides epochs")
		line.gaps = append(line.gaps, gap{*g, p.cuts})
		line.epoch, line.blind, line.tells = -1, len(p.points), nil
		if o.judged >= 0 {
			line.blind = o.judged // what was cut since its question is hidden, too
		}
		return
	case g.From >= g.To:
		w.violate("%s: %s wrote a gap marker that names nothing (%d to %d)", s.name, o.name, g.From, g.To)
	case g.At < 0 || g.At > int64(w.now/time.Millisecond):
		w.violate("%s: %s wrote a gap marker of the time %d", s.name, o.name, g.At)
	case g.Reason != mapping.ReasonTruncation && g.From <= line.durable:
		w.violate("%s: %s gave up offsets from %d on, and the stream has %d", s.name, o.name, g.From, line.durable)
	}
	var leave *word
	var ok bool
	switch g.Reason {
	case mapping.ReasonTruncation:
		s.cutBack(o, g)
		leave, ok = o.leave(handoff.Truncated, handoff.AnswerGap, covers(g))
	case mapping.ReasonRetention:
		s.skipped(o, g)
		if o.topic == p.topic && g.To > p.start {
			w.violate("%s: %s gave up offsets up to %d as deleted, Kafka's log starts at %d", s.name, o.name, g.To, p.start)
		}
		leave, ok = o.leave(handoff.RetentionLost, handoff.AnswerGap, covers(g))
	case mapping.ReasonOperator:
		s.skipped(o, g)
		for _, e := range p.log {
			// What Kafka wrote anew behind a cut that its client told of was never S2's.
			anew := e.born > 0 && e.born <= o.telling.cuts && e.rec.Offset >= o.telling.from
			if o.topic == p.topic && anew && g.From <= e.rec.Offset && e.rec.Offset < g.To && e.due() && !e.stored && !p.named.names(e.rec.Offset) {
				w.violate("%s: %s gave up offset %d as lost by S2, which it never had", s.name, o.name, e.rec.Offset)
			}
		}
		leave, ok = o.leave(handoff.S2Behind, handoff.AnswerGap, covers(g))
	default:
		leave, ok = s.leftOut(o, g)
	}
	if !ok {
		w.violate("%s: %s gave up offsets %d to %d (%s) without leave", s.name, o.name, g.From, g.To, g.Reason)
	}
	how := " by policy"
	if leave != nil {
		how = " by an operator"
		o.use(leave)
	}
	w.hit("gap " + g.Reason + how)
	line.gaps = append(line.gaps, gap{*g, p.cuts})
	o.untold = append(o.untold, gap{*g, p.cuts})
	p.named.gaps = append(p.named.gaps, gap{*g, p.cuts})
	line.durable, line.epoch = g.To-1, -1
	if g.Reason == mapping.ReasonTruncation {
		line.last, line.tells = nil, nil
		for _, point := range p.points[min(max(o.judged, 0), len(p.points)):] {
			if o.topic == p.topic && point < g.From {
				// Kafka was cut once more, and deeper, since it was asked.
				w.hit("truncation hidden by another")
				line.hidden = max(line.hidden, line.durable)
				p.hidden = max(p.hidden, line.hidden)
			}
		}
	}
	line.blind = len(p.points)
}

// skipped wants nothing between the position and the marker that a consumer
// could see.
func (s *stream) skipped(o *owner, g *mapping.Gap) {
	for _, e := range s.p.log {
		if o.topic == s.p.topic && e.rec.Offset > s.line.durable && e.rec.Offset < g.From && e.due() && e.rec.Offset > s.line.hidden && e.born <= o.cursor.cuts {
			s.w.violate("%s: %s wrote a gap marker from %d on, and offset %d before it is missing", s.name, o.name, g.From, e.rec.Offset)
		}
	}
}

// cutBack judges the marker of a truncation: the stream holds, from there on, a
// history that Kafka has dropped, and nothing of it is left unnamed.
func (s *stream) cutBack(o *owner, g *mapping.Gap) {
	w, p, line := s.w, s.p, &s.line
	if g.To != line.durable+1 {
		w.violate("%s: %s wrote a truncation up to %d, the stream is complete up to %d", s.name, o.name, g.To, line.durable)
	}
	if o.topic != p.topic {
		return // Kafka has dropped it all
	}
	lost := false
	for n, point := range p.points {
		before := false // a marker accounts for this one
		for i := range line.gaps {
			if h := &line.gaps[i]; h.Reason == mapping.ReasonTruncation && n < h.cuts && h.has(point) {
				before = true
			}
		}
		lost = lost || (point < g.To && !before)
		if point < g.From && point < p.start && !before {
			w.hit("truncation hidden by retention")
			line.hidden = max(line.hidden, p.start-1)
			p.hidden = max(p.hidden, line.hidden)
		}
	}
	for _, e := range p.all { // or the stream holds what it took, behind such a marker
		lost = lost || (e.topic == o.topic && e.made == s.made && e.cut != 0 && e.rec.Offset < g.To && !s.excused(e))
	}
	if guess := line.blind >= 0 && line.tells == nil; !lost && !guess && !p.damage.has(restore) { // else the epochs may be another cluster's
		w.violate("%s: %s wrote a truncation from %d to %d, and Kafka's log was not cut there: %v", s.name, o.name, g.From, g.To, p.points)
	}
	for _, e := range p.all {
		if e.topic != o.topic || e.made != s.made || e.cut == 0 || e.cut > o.judged || e.rec.Offset >= g.From || e.rec.Offset < p.start || e.rec.Offset <= line.hidden || s.excused(e) {
			continue
		}
		w.violate("%s: %s wrote a truncation from %d on, and offset %d is dropped, too", s.name, o.name, g.From, e.rec.Offset)
	}
}

// leftOut judges the marker of records that cannot be copied, neighbours.
func (s *stream) leftOut(o *owner, g *mapping.Gap) (used *word, ok bool) {
	for offset := g.From; offset < g.To; offset++ {
		word, ok := s.refused(o, g.Reason, offset, offset == g.From)
		if !ok {
			return nil, false
		}
		if word != nil {
			o.use(word)
			used = word
		}
	}
	return used, true
}

func (s *stream) refused(o *owner, reason string, offset int64, first bool) (*word, bool) {
	w, p := s.w, s.p
	for i := len(p.all) - 1; i >= 0; i-- {
		e := p.all[i]
		if e.topic != o.topic || e.rec.Offset != offset || e.class != data || !e.served {
			continue
		}
		what, refused := w.policy.refuses(e)
		if !refused {
			continue
		}
		if reason == mapping.ReasonDeadLetter && e.letters == 0 {
			continue
		}
		if first {
			s.between(o, e, i)
		}
		switch {
		case reason == mapping.ReasonDeadLetter:
			w.hit(w.policy.name(e) + " record dead lettered")
			return nil, what == handoff.DeadLetterRecord
		case what == handoff.SkipRecord:
			w.hit(w.policy.name(e) + " record skipped")
			return nil, true
		}
		for _, word := range o.words {
			if word.answer == handoff.AnswerGap && word.hold.Reason == handoff.RecordRefused && word.hold.From == offset && o.unused(word) {
				return word, true
			}
		}
		return nil, false
	}
	w.violate("%s: %s left out offset %d (%s), which can be copied, or is not in the dead letter topic", s.name, o.name, offset, reason)
	return nil, true
}

// letter is a record that reaches the dead letter topic.
func (p *partition) letter(o *owner, l handoff.Letter) {
	p.w.say(o.name, "letter lands", l.Record.Offset)
	same := func(e *entry) bool { return e.rec.Differs(&l.Record) == "" }
	e, _ := p.find(o.topic, l.Record.Offset, l.Record.LeaderEpoch, same)
	if e == nil || !same(e) {
		p.w.violate("%s put offset %d into the dead letter topic, which Kafka never had so", o.name, l.Record.Offset)
		return
	}
	if what, refused := p.w.policy.refuses(e); !refused || what != handoff.DeadLetterRecord || l.Why == "" {
		p.w.violate("%s put offset %d into the dead letter topic without leave", o.name, l.Record.Offset)
	}
	if e.letters++; e.letters > 1 {
		p.w.hit("letter-again")
	}
}

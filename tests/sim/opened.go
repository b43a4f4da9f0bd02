package sim

import (
	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
)

// opened judges an open marker the instant that it is in the stream.
func (s *stream) opened(o *owner, token string, m *mapping.Open) {
	w, p, line := s.w, s.p, &s.line
	s.hide()
	id := o.id
	if m.Cluster != id.Cluster || m.Topic != id.Topic || m.TopicID != id.TopicUUID() || m.Partition != id.Partition || m.Group != "sim" {
		w.violate("%s: %s wrote an open marker of another identity", s.name, o.name)
	}
	replayed := false
	switch {
	case token == line.opener:
		w.violate("%s: %s wrote a second open marker behind one fence", s.name, o.name)
	case line.begun && line.topic != o.topic:
		w.violate("%s: %s opened a stream of another topic", s.name, o.name)
	case !line.begun:
		s.begins(o, m.Resume)
	case m.Resume != line.durable+1:
		replayed = true
		s.again(o, m.Resume)
	}
	s.setBack(o, m.Resume)
	word, ok := o.adopting, o.adopting != nil
	if !ok && line.foreign > s.first {
		word, ok = o.adopts()
	}
	if ok {
		if line.foreign > s.first {
			w.hit("foreign-records-adopted")
		}
		line.foreign, o.adopting = 0, word
	}
	if !line.begun || replayed {
		line.begun, line.topic, line.first = true, o.topic, m.Resume
		p.began, p.firsts[s.made] = m.Resume, max(m.Resume, p.firsts[s.made])
	}
	line.durable, line.opener, line.epoch = m.Resume-1, token, m.Epoch
}

// begins judges where an empty stream begins.
func (s *stream) begins(o *owner, resume int64) {
	w, p, start := s.w, s.p, s.w.policy.Start
	if o.topic != p.topic {
		return
	}
	for _, e := range p.log {
		if e.due() && e.rec.Offset < resume && o.begun && p.owner == o.m && ((e.stored && e.rec.Offset >= p.began) || e.rec.Offset > o.known) && !p.named.names(e.rec.Offset) {
			w.violate("%s: %s began anew at %d, offset %d is left out", s.name, o.name, resume, e.rec.Offset)
			return
		}
	}
	want := int64(-1)
	_, again := o.leave(handoff.PositionUnproven, handoff.AnswerReplay, nil)
	switch {
	case o.begun || o.set:
		return
	case o.fresh:
		w.hit("start new")
		want = 0
	case start.From == handoff.FromOffset:
		switch {
		case start.Offset < p.start:
			w.hit("start below the log")
		case start.Offset > p.end:
			w.hit("start above the log")
		}
		w.hit("start offset")
		want = start.Offset
	case start.From == handoff.FromLatest:
		w.hit("start latest")
		want = o.located
	case start.From == handoff.FromTime:
		w.hit("start time")
		want = o.located
	default:
		w.hit("start earliest")
		again = true
	}
	switch {
	case resume == want:
	case start.From != handoff.FromOffset && p.cuts > 0 && resume >= 0 && resume < want:
		w.hit("start behind a truncation") // Kafka's log was cut back below it since
	case again: // from the log start on nothing is left out
		for _, e := range p.log {
			if e.rec.Offset < resume && e.due() {
				w.violate("%s: %s began at %d, offset %d before it is left out", s.name, o.name, resume, e.rec.Offset)
			}
		}
	default:
		w.violate("%s: %s began at %d, not at %d", s.name, o.name, resume, want)
	}
	if p.late && resume > 0 {
		w.violate("%s: it appeared when the group was at work, and %s began at %d", s.name, o.name, resume)
	}
}

// again judges a position that is not the stream's: nobody could know that one
// any more, and somebody said to copy again.
func (s *stream) again(o *owner, resume int64) {
	w, line := s.w, &s.line
	if s.p.damage.has(rollBack) && line.next <= s.first && resume == o.known+1 {
		// S2 lost the end, others wrote as many records there, and a trim took
		// them: nobody can tell.
		w.hit("loss hidden by a trim")
		line.hidden, s.p.hidden, line.last = resume-1, max(s.p.hidden, resume-1), nil
		return
	}
	word, ok := o.leave(handoff.PositionUnproven, handoff.AnswerReplay, nil)
	if !ok {
		w.violate("%s: %s opened at %d, the stream is complete up to %d", s.name, o.name, resume, line.durable)
		return
	}
	for seq := s.first; seq+1 < s.tail(); seq++ {
		switch e := mapping.Classify(s.recs[seq].Stored); {
		case e.Kind == mapping.Data && (e.Position.Chunk == nil || e.Position.Chunk.Index+1 == e.Position.Chunk.Count),
			e.Kind == mapping.OpenMark, e.Kind == mapping.GapMark:
			w.violate("%s: %s copies again from %d, and record %d tells the position", s.name, o.name, resume, seq)
		}
	}
	w.hit("copied-again-behind-a-trim")
	s.begins(o, resume)
	if word != nil {
		o.use(word)
	}
	line.last, line.newest, line.gaps = nil, nil, nil
	for _, e := range s.p.all {
		if e.made == s.made {
			e.made = 0
		}
	}
}

// setBack: before anything is appended where S2 has less than the group's
// commit counts, the commit counts no more than S2 has. Or what is between is
// given up.
func (s *stream) setBack(o *owner, resume int64) {
	p := s.p
	if o.topic != p.topic || p.owner != o.m {
		return
	}
	if c := p.ours(); c != nil && c.Last >= resume && c.Last <= o.known {
		if _, ok := o.leave(handoff.S2Behind, handoff.AnswerGap, nil); !ok {
			s.w.violate("%s: %s goes on at %d, and the group's commit counts offset %d", s.name, o.name, resume, c.Last)
		}
	}
	if o.setLower {
		if word, _ := o.replays(); word != nil && word.answer == handoff.AnswerReplay {
			o.use(word)
		}
		o.setLower = false
	}
}

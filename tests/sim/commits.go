package sim

import (
	"slices"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/offsets"
)

// checkMark judges a commit when the owner makes it.
func (o *owner) checkMark(m offsets.Mark) {
	w, p, s := o.w, o.p, o.p.stream
	if o.topic != p.topic {
		return // it cannot be committed any more
	}
	if m.Offset < o.highMark {
		w.violate("%s: mark fell from %d to %d", o.name, o.highMark, m.Offset)
	}
	if m.Offset > o.highMark { // else it says what was said before
		p.covered(o.name, m.Offset, o.cursor.cuts, o.made)
	}
	o.highMark = m.Offset
	if id := o.id.Hash(); m.ID != id {
		w.violate("%s: mark of identity %s", o.name, m.ID)
	}
	if s.exists && s.made == o.made {
		if m.Next == 0 || m.Next > uint64(len(s.line.after)) || s.line.after[m.Next-1] != m.Last {
			w.violate("%s: mark counts offset %d behind sequence number %d, the stream has %v", o.name, m.Last, m.Next, s.line.after)
		}
	}
	if m.Offset < m.Last+1 {
		w.violate("%s: mark of %d counts offset %d", o.name, m.Offset, m.Last)
	}
	if m.Next > 0 {
		o.known, o.begun = max(o.known, m.Last), true
	}
}

// covered: everything below a commit is in the stream, named by a gap marker,
// or was never to be, as far as the log went that its owner knows: with so many
// truncations. An owner that has not noticed yet that the stream is another one
// (made) may count what was there.
func (p *partition) covered(who string, offset int64, cuts, made int) {
	c, s := &p.checks, p.stream
	if c.topic != p.topic {
		*c = checks{topic: p.topic}
	}
	if offset > p.high && offset != p.firsts[made] && !p.beyond(offset) {
		p.w.violate("%s: commit of %d, beyond everything that was stable (%d)", who, offset, p.high)
	}
	s.hide()
	past := !s.exists || made != s.made
	surely := true // everything up to here is settled for ever
	for i := c.verified; i < len(p.all); i++ {
		e := p.all[i]
		switch {
		case e.topic != p.topic, e.served && !e.due(), e.cut != 0:
		case e.made == s.made && s.exists, s.line.names(e.rec.Offset):
		case past && e.born > 0: // the stream may have held another history there
			surely = false
		case past && (e.stored || p.named.names(e.rec.Offset)), past && e.rec.Offset < max(p.began, p.firsts[made]):
			surely = false
		case e.rec.Offset <= s.line.durable && (s.line.last != nil && s.line.last.cut != 0 || s.line.tells != nil && s.line.tells.cut != 0):
			surely = false // the stream holds another history there; who goes on has to say so
		case e.rec.Offset < s.line.first: // gone before the stream began, or not wanted
		case e.rec.Offset <= p.hidden: // see hide
		case e.rec.Offset >= offset, e.born > cuts:
			surely = false
		default:
			p.w.violate("%s: commit of %d, and offset %d is not in the stream", who, offset, e.rec.Offset)
			return
		}
		if surely {
			c.verified = i + 1
		}
	}
}

// beyond: the copy begins at, or behind a truncation goes on at, an offset that
// Kafka's log does not reach yet.
func (p *partition) beyond(offset int64) bool {
	line := &p.stream.line
	if offset == line.first || offset == p.began {
		return true
	}
	for _, g := range slices.Concat(line.gaps, p.named.gaps) { // the stream that had it may be gone
		if g.To == offset {
			return true
		}
	}
	return false
}

// checkCommit judges a commit when the group takes it.
func (p *partition) checkCommit(m *process, c commitment, meta string) {
	if _, ok := offsets.ParseMeta(meta); !ok {
		p.w.violate("%s committed %s/%d without metadata", m.name, p.name, c.mark.Offset)
	}
	if p.owner != m {
		p.w.violate("%s committed %s/%d, which is not its own", m.name, p.name, c.mark.Offset)
	}
	if c.mark.Offset < p.highOf {
		p.w.violate("%s: commit of %s fell from %d to %d", m.name, p.name, p.highOf, c.mark.Offset)
	}
	rises := c.mark.Offset > p.highOf
	p.highOf = c.mark.Offset
	if rises && (!c.lower || p.stream.line.begun) { // else it says where the stream is to begin: see begins
		p.covered(m.name, c.mark.Offset, c.cuts, c.made)
	}
}

// does looks at every action before it is carried out.
func (w *world) does(o *owner, a handoff.Action) {
	switch a := a.(type) {
	case handoff.Ask:
		w.say(o.name, "ask", int64(a.ID))
	case handoff.Create:
		w.say(o.name, "create", int64(a.ID))
	case handoff.Fence:
		w.say(o.name, "fence", int64(a.ID))
		if o.drainBy > 0 {
			w.violate("%s fences although it was told to let go", o.name)
		}
	case handoff.Read:
		w.say(o.name, "read", int64(a.ID), int64(a.From), int64(a.Count))
	case handoff.Range:
		w.say(o.name, "range", int64(a.ID))
	case handoff.EpochEnd:
		w.say(o.name, "epoch end", int64(a.ID), int64(a.Epoch))
	case handoff.Locate:
		w.say(o.name, "locate", int64(a.ID), int64(a.Start.From))
	case handoff.Recall:
		w.say(o.name, "recall", int64(a.ID), a.First, a.Last)
	case handoff.Overwrite:
		w.say(o.name, "overwrite", int64(a.ID), a.Mark.Offset, int64(a.Mark.Next), a.Mark.Last)
		word, ok := o.replays()
		if word != nil {
			w.hit("set back by an operator")
		} else {
			w.hit("set back by policy")
		}
		if !ok {
			w.violate("%s sets the commit back to %d without leave", o.name, a.Mark.Offset)
		}
		o.rewinding = true
	case handoff.DeadLetter:
		w.say(o.name, "dead letter", int64(a.ID), a.Letter.Record.Offset)
	case handoff.Open:
		w.say(o.name, "open", int64(a.Session))
	case handoff.Send:
		first, last, _ := a.Batch.Span()
		w.say(o.name, "send", int64(a.Session), int64(a.Seq), int64(a.Batch.Count()), first, last)
		if o.rewinding {
			w.violate("%s appends before the commit is set back", o.name)
		}
	case handoff.Finish:
		w.say(o.name, "finish", int64(a.Session))
	case handoff.Abort:
		w.say(o.name, "abort", int64(a.Session))
	case handoff.Pace:
		w.say(o.name, "pace")
	case handoff.Seek:
		w.say(o.name, "seek", int64(a.Cut), a.Offset, int64(a.Epoch))
	case handoff.Pause:
		w.say(o.name, "pause")
	case handoff.Commit:
		w.say(o.name, "mark", a.Mark.Offset, int64(a.Mark.Epoch), int64(a.Mark.Next), a.Mark.Last)
	case handoff.Done:
		w.say(o.name, "done")
	}
}

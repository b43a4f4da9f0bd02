package sim

import (
	"time"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/offsets"
)

// cursor is where kgo reads a partition for an owner, with its habits (facts.md
// B3): what comes after a leader change is checked by epoch, a position out of
// range is reported again and again, and after data loss it goes on by itself.
type cursor struct {
	paused   bool
	cut      uint64
	offset   int64
	epoch    int32 // of what was read last, or of the start; -1 unknown
	checked  int32 // leader epoch that the position was checked for
	busy     bool  // a fetch is under way
	arrives  time.Duration
	sluggish time.Duration // until then what was fetched lies about for a while
	cuts     int           // truncations of the log that the latest records handed over have seen
}

// startReading is what package source does with an assignment: reading starts
// behind what a commit of ours counts, with its epoch; else nothing is read before
// a Seek.
func (o *owner) startReading(c *offsets.Commit) {
	o.cursor = cursor{paused: c == nil, epoch: -1, checked: -1}
	o.marks = marks{head: offsets.Mark{Offset: -1, Epoch: -1}}
	if c != nil {
		o.cursor.offset, o.cursor.epoch = handoff.ReadsFrom(c), c.Epoch
		o.marks.head = offsets.Mark{Offset: o.cursor.offset, Epoch: c.Epoch} // as the client has it
		if o.w.bug.is("reads-at-commit") {
			o.cursor.offset = c.Offset
		}
		o.poll()
	}
}

// seek sets the position without looking at its epoch, as SetOffsets does.
func (o *owner) seek(cut uint64, offset int64, epoch int32) {
	o.cursor.cut, o.cursor.offset, o.cursor.epoch = cut, offset, epoch
	o.cursor.paused, o.cursor.checked = false, o.p.leader
	o.poll()
}

// poll plans a fetch if there may be something to fetch.
func (o *owner) poll() {
	c := &o.cursor
	if c.paused || c.busy || o.done || o.m.dead || o.m.paused {
		return
	}
	if o.p.topic == o.topic && c.checked == o.p.leader && c.offset >= o.p.start && c.offset <= o.p.end && c.offset >= o.p.stable {
		return // at the end; producers wake us
	}
	c.busy = true
	cut := c.cut
	o.w.in(o.w.dice.span(time.Millisecond, 25*time.Millisecond), func() {
		c.busy = false
		if o.done || o.m.dead || c.paused || c.cut != cut || o.m.paused {
			o.poll()
			return
		}
		o.fetch()
	})
}

func (o *owner) fetch() {
	c, p, w := &o.cursor, o.p, o.w
	again := func() {
		c.busy = true
		w.in(w.dice.span(50*time.Millisecond, 500*time.Millisecond), func() { c.busy = false; o.poll() })
	}
	if w.weather(kafkaErrors, p) {
		again()
		return
	}
	if p.topic != o.topic {
		o.recreated()
		again()
		return
	}
	if c.checked != p.leader {
		c.checked = p.leader
		if _, end := p.epochEnd(c.epoch); c.epoch >= 0 && end >= 0 && end < c.offset {
			o.loss(end)
			return
		}
	}
	switch {
	case c.offset < p.start || (c.offset > p.end && c.epoch < 0):
		w.say(o.name, "out of range", c.offset, p.start, p.end)
		o.put(handoff.Trouble{Cut: c.cut, Kind: handoff.OutOfRange, Offset: -1, Detail: "offset out of range"})
		again()
		return
	case c.offset > p.end:
		o.loss(p.end)
		return
	}
	if p.alarm {
		p.alarm = false
		c.sluggish = w.now + time.Second
		w.hit("false-alarm-while-reading")
		o.put(handoff.Trouble{Cut: c.cut, Kind: handoff.OutOfRange, Offset: -1, Detail: "out of range, says a leader that is behind"})
	}
	recs, next, epoch := p.fetch(c.offset, w.dice.between(1, 8))
	c.offset = next
	if epoch >= 0 {
		c.epoch = epoch // of what is hidden, too
	}
	if len(recs) > 0 {
		o.hand(handoff.Fetched{Cut: c.cut, Records: recs})
	}
	o.poll()
}

// loss: the client noticed that the log was cut back, and goes on at its end.
func (o *owner) loss(end int64) {
	c := &o.cursor
	o.w.say(o.name, "data loss", c.offset, end)
	o.w.hit("data-loss-noticed")
	o.put(handoff.Trouble{Cut: c.cut, Kind: handoff.DataLoss, Offset: end, Detail: "the log was truncated"})
	c.offset = max(end, o.p.start)
	c.busy = true
	o.w.in(o.w.dice.span(time.Millisecond, 20*time.Millisecond), func() { c.busy = false; o.poll() })
}

// hand gives a fetch to the owner, in order; a Seek or a Pause meanwhile may
// catch it or not.
func (o *owner) hand(f handoff.Fetched) {
	c, cuts := &o.cursor, o.p.cuts
	late := 4 * time.Millisecond
	if o.w.dice.chance(12) || o.w.now < c.sluggish {
		late = 400 * time.Millisecond
	}
	c.arrives = max(c.arrives, o.w.now+o.w.dice.span(0, late))
	o.w.at(c.arrives, func() {
		if (c.cut != f.Cut || c.paused) && o.w.dice.chance(2) {
			return
		}
		if o.drainBy == 0 { // nothing is taken any more while it drains
			c.cuts = cuts
		}
		o.put(f)
	})
}

// marks is what kgo keeps of the marks of a partition.
type marks struct {
	head  offsets.Mark
	cuts  int // as the cursor's, when it was made
	made  int // incarnation of the stream that its owner knew
	dirty bool
	sent  bool // a commit is under way
}

// mark is MarkCommitOffsets: a mark that is not above the head by epoch, then
// offset, is ignored, unless it is committed explicitly.
func (o *owner) mark(m offsets.Mark, explicit bool) {
	if o.w.bug.is("control-uncommitted") && m.Offset > m.Last+1 {
		return
	}
	o.checkMark(m)
	h := o.marks.head
	if !explicit && (m.Epoch < h.Epoch || (m.Epoch == h.Epoch && m.Offset <= h.Offset)) {
		o.w.hit("mark-ignored-by-client")
		return
	}
	o.marks.head, o.marks.cuts, o.marks.made, o.marks.dirty = m, o.cursor.cuts, o.made, true
	o.m.planCommits()
}

// planCommits is the client's automatic commit: the marks go on a timer.
func (m *process) planCommits() {
	if m.committing || m.dead {
		return
	}
	m.committing = true
	m.w.in(m.w.dice.span(100*time.Millisecond, 3*time.Second), func() {
		m.committing = false
		if m.dead {
			return
		}
		if m.paused {
			m.planCommits()
			return
		}
		for _, o := range m.owners {
			if o.marks.dirty && !o.marks.sent && !m.at("before-commit", o.p) {
				o.sendCommit(nil)
			}
		}
	})
}

// sendCommit sends a commit of what is marked; then is told at its end.
func (o *owner) sendCommit(then func()) {
	w, m, p := o.w, o.m, o.p
	mark := o.marks.head
	c := commitment{mark: mark, generation: m.generation, stay: m.stay, topic: o.topic, cuts: o.marks.cuts, made: o.marks.made}
	o.marks.sent = true
	back := func(ok bool) {
		if m.dead {
			return
		}
		o.marks.sent = false
		if ok && o.marks.head == mark {
			o.marks.dirty = false
		}
		if o.marks.dirty && then == nil {
			m.planCommits()
		}
		if then != nil {
			then()
		}
		if ok {
			m.at("after-commit", p)
		}
	}
	up, down := w.net.span(time.Millisecond, 10*time.Millisecond), w.net.span(time.Millisecond, 10*time.Millisecond)
	m.commitBy = max(m.commitBy, w.now+up) // one connection, in order
	switch {
	case w.weather(commitLost, p):
		w.in(up+down, func() { back(false) })
	case w.weather(commitAnswerLost, p):
		w.at(m.commitBy, func() { p.commitArrives(m, c) })
		w.in(up+down, func() { back(false) })
	default:
		w.at(m.commitBy, func() {
			ok := p.commitArrives(m, c)
			w.in(down, func() { back(ok) })
		})
	}
}

// commitment is a commit on its way.
type commitment struct {
	mark       offsets.Mark
	generation int64
	stay       int // of its process
	topic      int
	cuts       int // as the cursor's, when it was marked
	made       int // incarnation of the stream that its owner knew
	lower      bool
}

// overwrite commits a lower offset, behind what is on its way already. What was
// marked and not committed yet is void. One whose connection breaks may land
// much later.
func (o *owner) overwrite(a handoff.Overwrite) {
	w, m, p := o.w, o.m, o.p
	o.marks.dirty = false
	c := commitment{mark: a.Mark, generation: m.generation, stay: m.stay, topic: o.topic, cuts: o.cursor.cuts, made: o.made, lower: true}
	failed := func() { o.answer(handoff.Overwritten{ID: a.ID, Mark: a.Mark, Err: errLost}) }
	up, down := w.net.span(time.Millisecond, 10*time.Millisecond), w.net.span(time.Millisecond, 10*time.Millisecond)
	m.commitBy = max(m.commitBy, w.now+up)
	switch {
	case w.weather(commitLost, p):
		if !w.net.chance(3) {
			w.in(w.net.span(50*time.Millisecond, 8*time.Second), func() {
				if p.commitArrives(m, c) {
					w.hit("lower-commit-lands-late")
				}
			})
		}
		w.in(up+down, failed)
	case w.weather(commitAnswerLost, p):
		w.at(m.commitBy, func() { p.commitArrives(m, c) })
		w.at(m.commitBy+down, failed)
	default:
		w.at(m.commitBy, func() {
			ok := p.commitArrives(m, c)
			w.in(down, func() {
				if !ok {
					failed()
					return
				}
				if !o.done && !m.dead {
					o.marks.head, o.marks.dirty = a.Mark, false
				}
				o.answer(handoff.Overwritten{ID: a.ID, Mark: a.Mark})
			})
		})
	}
}

// commitArrives is the coordinator's part.
func (p *partition) commitArrives(m *process, c commitment) bool {
	w, mark := p.w, c.mark
	if c.lower && c.topic != p.topic {
		return true // it goes by the topic's name, and is another identity's
	}
	if !w.group.member(m) || c.stay != m.stay || c.generation != w.group.generation || c.topic != p.topic {
		w.hit("commit-rejected")
		if p.owner != m {
			w.hit("zombie-commit-rejected")
		}
		w.say(m.name, "commit rejected", int64(p.index), mark.Offset, c.generation)
		return false
	}
	w.say(m.name, "commit", int64(p.index), mark.Offset, int64(mark.Epoch), int64(mark.Next), mark.Last)
	if c.lower && p.commit != nil && mark.Offset < p.commit.offset {
		w.hit("commit-set-back")
		p.highOf = mark.Offset
	}
	p.checkCommit(m, c, w.bug.metadata(mark))
	p.commit = &committed{offset: mark.Offset, epoch: mark.Epoch, meta: w.bug.metadata(mark), by: m, lower: c.lower}
	return true
}

package sim

import (
	"bytes"
	"fmt"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// lineage is what the oracle knows of one incarnation of a stream.
type lineage struct {
	begun   bool
	topic   int   // incarnation of the topic whose records it holds
	first   int64 // where the first open marker says that it begins
	durable int64
	last    *entry // of the newest data record
	lastSeq uint64
	next    uint64  // behind the newest record of ours
	opener  string  // token under which the newest open marker was written
	epoch   int32   // that this marker promises for the next data record, -1: nothing
	hidden  int64   // up to here a truncation could not be seen any more
	group   *pieces // chunks of a record that is not complete
	foreign bool    // somebody else's record is in it
	fences  int
	after   []int64 // by sequence number: durable behind a record of ours; -2: no record of ours
}

// damage says which faults that may end the promise have hit a partition.
type damage uint64

func (d *damage) mark(k kind)    { *d |= 1 << k }
func (d damage) has(k kind) bool { return d&(1<<k) != 0 }

// checks are the oracle's notes on a partition.
type checks struct {
	topic    int
	verified int // index in partition.all up to which marks were checked
}

// landed judges a batch the instant that it is in the stream.
func (s *stream) landed(o *owner, token string, start uint64, n int) {
	line := &s.line
	for seq := start; seq < start+uint64(n); seq++ {
		rec := s.recs[seq].Stored
		e := mapping.Classify(rec)
		if line.foreign {
			s.w.violate("%s wrote %d behind a foreign record", o.name, seq)
		}
		whole := true
		switch c := e.Position.Chunk; {
		case e.Kind == mapping.Data && c != nil && c.Index > 0:
			whole = s.chunk(o, token, rec, e.Position)
		case e.Kind == mapping.Data:
			s.torn(o, token)
			whole = s.data(o, token, rec, e.Position)
		case e.Kind == mapping.OpenMark:
			s.torn(o, token)
			s.opened(o, token, e.Open)
		default:
			s.w.violate("%s wrote a record of kind %s at %d: %s", o.name, e.Kind, seq, e.Why)
		}
		for uint64(len(line.after)) < seq {
			line.after = append(line.after, -2)
		}
		if !whole {
			line.after = append(line.after, -2)
			continue
		}
		line.after = append(line.after, line.durable)
		line.next = seq + 1
	}
}

func (s *stream) data(o *owner, token string, rec mapping.Stored, pos mapping.Position) (whole bool) {
	w, p, line := s.w, s.p, &s.line
	s.hide()
	x, at := p.find(o.topic, pos.Offset, pos.LeaderEpoch)
	if x == nil {
		w.violate("%s: %s wrote offset %d of epoch %d, which Kafka never had", s.name, o.name, pos.Offset, pos.LeaderEpoch)
		return true
	}
	switch {
	case line.opener != token:
		w.violate("%s: %s wrote offset %d without an open marker of its own", s.name, o.name, pos.Offset)
	case line.topic != o.topic:
		w.violate("%s: %s wrote offset %d of another topic", s.name, o.name, pos.Offset)
	case x.class != data || !x.served:
		w.violate("%s: %s wrote offset %d, which no consumer was shown", s.name, o.name, pos.Offset)
	case pos.Offset <= line.durable:
		w.violate("%s: %s wrote offset %d behind %d: duplicate or disorder", s.name, o.name, pos.Offset, line.durable)
	case line.last != nil && line.last.cut != 0 && line.last.cut <= x.born:
		w.violate("%s: %s wrote offset %d of a history without offset %d, which is in the stream", s.name, o.name, pos.Offset, line.last.rec.Offset)
	case line.epoch >= 0 && pos.LeaderEpoch != line.epoch:
		w.violate("%s: the open marker promised epoch %d, offset %d has %d", s.name, line.epoch, pos.Offset, pos.LeaderEpoch)
	}
	if why := differs(x, rec, pos); why != "" {
		w.violate("%s: offset %d is not as Kafka has it: %s", s.name, pos.Offset, why)
	}
	for i := at - 1; i >= 0; i-- {
		r := p.all[i]
		if r.topic != x.topic {
			break
		}
		if r.born > x.born || (r.cut != 0 && r.cut <= x.born) {
			continue // not of its history
		}
		if r.rec.Offset <= line.durable {
			break
		}
		if r.due() && r.rec.Offset > line.hidden {
			w.violate("%s: %s wrote offset %d, and offset %d before it is missing", s.name, o.name, pos.Offset, r.rec.Offset)
		}
	}
	line.epoch = -1
	if pos.Chunk != nil {
		line.group = &pieces{x: x, token: token, chunk: *pos.Chunk, got: len(rec.Body)}
		return false
	}
	s.complete(x, rec.Seq)
	return true
}

// complete: a record is in the stream, with its last chunk.
func (s *stream) complete(x *entry, seq uint64) {
	x.stored = true
	s.line.durable, s.line.last, s.line.lastSeq = x.rec.Offset, x, seq
}

// hide notices that a truncation cannot be seen by anybody any more: retention
// took the place where Kafka's history and the stream's part (what Kafka says of
// the old epoch then is what it says after a clean election), or a trim took the
// record that tells the stream's epoch.
func (s *stream) hide() {
	p, line := s.p, &s.line
	last := line.last
	if last == nil || last.cut == 0 || last.topic != p.topic {
		return
	}
	switch {
	case p.start > last.rec.Offset:
		s.w.hit("truncation hidden by retention")
	case line.lastSeq < s.first:
		s.w.hit("truncation hidden by a trim")
	default:
		return
	}
	line.last, line.hidden = nil, max(p.start-1, last.rec.Offset)
	p.hidden = line.hidden
}

// differs compares a stored record with Kafka's, byte for byte.
func differs(x *entry, rec mapping.Stored, pos mapping.Position) string {
	want := &x.rec
	if pos.Timestamp != want.Timestamp || pos.TimestampType != want.TimestampType {
		return "timestamp"
	}
	switch {
	case pos.NullValue != (want.Value == nil):
		return "null value"
	case pos.Chunk == nil && !bytes.Equal(rec.Body, want.Value), pos.Chunk != nil && !bytes.HasPrefix(want.Value, rec.Body):
		return "value"
	}
	i := 1
	if want.Key != nil {
		if len(rec.Headers) < 2 || string(rec.Headers[1].Name) != "~k" || !bytes.Equal(rec.Headers[1].Value, want.Key) {
			return "key"
		}
		i = 2
	}
	if len(rec.Headers)-i != len(want.Headers) {
		return "number of headers"
	}
	for j, h := range want.Headers {
		name := h.Key
		switch {
		case h.Value == nil:
			name = "~0" + name
		case name == "" || name[0] == '~':
			name = "~~" + name
		}
		got := rec.Headers[i+j]
		if string(got.Name) != name || !bytes.Equal(got.Value, h.Value) {
			return fmt.Sprintf("header %d", j)
		}
	}
	return ""
}

// find gives the entry of an offset and epoch, and its place among all.
func (p *partition) find(topic int, offset int64, epoch int32) (*entry, int) {
	for i := len(p.all) - 1; i >= 0; i-- {
		if e := p.all[i]; e.topic == topic && e.rec.Offset == offset && e.rec.LeaderEpoch == epoch {
			return e, i
		}
	}
	return nil, -1
}

func (s *stream) opened(o *owner, token string, m *mapping.Open) {
	w, p, line := s.w, s.p, &s.line
	s.hide()
	id := o.identity()
	if m.Cluster != id.Cluster || m.Topic != id.Topic || m.TopicID != id.TopicUUID() || m.Partition != id.Partition || m.Group != "sim" {
		w.violate("%s: %s wrote an open marker of another identity", s.name, o.name)
	}
	switch {
	case token == line.opener:
		w.violate("%s: %s wrote a second open marker behind one fence", s.name, o.name)
	case line.begun && line.topic != o.topic:
		w.violate("%s: %s opened a stream of another topic", s.name, o.name)
	case line.begun && m.Resume != line.durable+1:
		w.violate("%s: %s opened at %d, the stream is complete up to %d", s.name, o.name, m.Resume, line.durable)
	case !line.begun && o.topic == p.topic:
		for _, e := range p.log {
			if e.rec.Offset < m.Resume && e.due() {
				w.violate("%s: %s began at %d, offset %d before it is left out", s.name, o.name, m.Resume, e.rec.Offset)
			}
		}
	}
	if !line.begun {
		line.begun, line.topic, line.first = true, o.topic, m.Resume
		p.began = m.Resume
	}
	line.durable, line.opener, line.epoch = m.Resume-1, token, m.Epoch
}

// fenced judges a fence that landed on a stream with that token and tail.
func (s *stream) fenced(o *owner, token, before string, tail uint64) {
	w := s.w
	s.line.fences++
	o.made = s.made
	if o.drainBy > 0 {
		w.hit("fence-landed-while-leaving")
	}
	t, known := mapping.ParseToken(before)
	switch {
	case before == "" && tail == 0:
	case !known || t.ID != o.identity().Hash():
		w.violate("%s: %s fenced over the token %q", s.name, o.name, before)
	case o.flowed && !o.mine[before] && t.Generation >= o.generation && w.now-o.stopped < w.machineConfig.SessionTimeout:
		w.violate("%s: %s fenced over %s without waiting for the group's word", s.name, o.name, before)
	}
}

func (o *owner) identity() mapping.Identity {
	id := o.p.id
	id.TopicID[1] = byte(o.topic)
	return id
}

// checkMark judges a commit when the owner makes it.
func (o *owner) checkMark(m offsets.Mark) {
	w, p, s := o.w, o.p, o.p.stream
	if o.topic != p.topic {
		return // it cannot be committed any more
	}
	if m.Offset < o.highMark {
		w.violate("%s: mark fell from %d to %d", o.name, o.highMark, m.Offset)
	}
	o.highMark = m.Offset
	p.covered(o.name, m.Offset, o.cursor.cuts)
	if id := p.id.Hash(); m.ID != id {
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
}

// covered: everything below a commit is in the stream, or was never to be, as
// far as the log went that its owner knows: with so many truncations.
func (p *partition) covered(who string, offset int64, cuts int) {
	c := &p.checks
	if c.topic != p.topic {
		*c = checks{topic: p.topic}
	}
	if offset > p.high {
		p.w.violate("%s: commit of %d, beyond everything that was stable (%d)", who, offset, p.high)
	}
	surely := true // everything up to here is settled for ever
	for i := c.verified; i < len(p.all); i++ {
		e := p.all[i]
		switch {
		case e.topic != p.topic, e.stored, e.served && !e.due(), e.cut != 0:
		case e.expired && e.rec.Offset < p.began: // gone before the stream began
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

// checkCommit judges a commit when the group takes it.
func (p *partition) checkCommit(m *process, mark offsets.Mark, meta string, cuts int) {
	if _, ok := offsets.ParseMeta(meta); !ok {
		p.w.violate("%s committed %s/%d without metadata", m.name, p.name, mark.Offset)
	}
	if p.owner != m {
		p.w.violate("%s committed %s/%d, which is not its own", m.name, p.name, mark.Offset)
	}
	if mark.Offset < p.highOf {
		p.w.violate("%s: commit of %s fell from %d to %d", m.name, p.name, p.highOf, mark.Offset)
	}
	p.highOf = mark.Offset
	p.covered(m.name, mark.Offset, cuts)
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
	case handoff.Open:
		w.say(o.name, "open", int64(a.Session))
	case handoff.Send:
		first, last, _ := a.Batch.Span()
		w.say(o.name, "send", int64(a.Session), int64(a.Seq), int64(a.Batch.Count()), first, last)
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

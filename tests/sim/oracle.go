package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"kafka-s2-bridge/mapping"
)

// lineage is what the oracle knows of one incarnation of a stream.
type lineage struct {
	begun   bool
	topic   int   // incarnation of the topic whose records it holds
	first   int64 // where the first open marker says that it begins
	durable int64
	newest  *entry // of the newest data record
	last    *entry // the same, as long as a truncation can be told by it
	lastSeq uint64
	next    uint64  // behind the newest record of ours
	opener  string  // token under which the newest open marker was written
	epoch   int32   // that this marker promises for the next data record, -1: nothing
	hidden  int64   // up to here a truncation could not be seen any more
	group   *pieces // chunks of a record that is not complete
	foreign uint64  // behind somebody else's newest record; 0: there is none
	newer   uint64  // behind the newest one of a newer version of the format
	fencer  *owner  // of the newest fence; nil: somebody else
	after   []int64 // by sequence number: durable behind a record of ours; -2: no record of ours
	gaps    []gap
	blind   int    // the position is a marker's that tells no epoch: truncations until then; -1: it is not
	tells   *entry // a record below such markers whose epoch still tells something
}

func newLineage() lineage { return lineage{durable: -1, topic: -1, hidden: -1, blind: -1} }

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
	if line.fencer != o {
		w := s.w
		w.violate("%s: %s appends between the fences of another", s.name, o.name)
	}
	for seq := start; seq < start+uint64(n); seq++ {
		s.before[seq].line = *line
		rec := s.recs[seq].Stored
		e := mapping.Classify(rec)
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
		case e.Kind == mapping.GapMark:
			s.torn(o, token)
			s.gapped(o, token, e.Gap)
		default:
			s.w.violate("%s wrote a record of kind %s at %d: %s", o.name, e.Kind, seq, e.Why)
		}
		if line.foreign > s.first || line.newer > s.first {
			s.w.violate("%s wrote %d behind a foreign record", o.name, seq)
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
	x, at := p.find(o.topic, pos.Offset, pos.LeaderEpoch, func(e *entry) bool { return differs(e, rec, pos) == "" })
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
	s.between(o, x, at)
	line.epoch = -1
	if pos.Chunk != nil {
		line.group = &pieces{x: x, token: token, epoch: pos.LeaderEpoch, chunk: *pos.Chunk, got: len(rec.Body)}
		return false
	}
	s.complete(x, rec.Seq)
	return true
}

// between wants everything that a consumer could see between the position and
// an entry, in that entry's history.
func (s *stream) between(o *owner, x *entry, at int) {
	p, line := s.p, &s.line
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
		if r.born > 0 && r.expired && r.rec.Offset < o.highMark && o.highMark <= p.start {
			// What its commit had passed was cut off and written anew, and all of
			// that deleted.
			s.w.hit("truncation hidden by retention")
			line.hidden = max(line.hidden, r.rec.Offset)
			p.hidden = max(p.hidden, line.hidden)
		}
		if r.due() && r.rec.Offset > line.hidden {
			s.w.violate("%s: %s wrote offset %d, and offset %d before it is missing", s.name, o.name, x.rec.Offset, r.rec.Offset)
		}
	}
}

// complete: a record is in the stream, with its last chunk.
func (s *stream) complete(x *entry, seq uint64) {
	x.stored, x.made, x.seq = true, s.made, seq
	line := &s.line
	line.durable, line.newest, line.last, line.tells, line.lastSeq, line.blind = x.rec.Offset, x, x, x, seq, -1
}

// hide notices that a truncation cannot be seen by anybody any more: retention
// took the place where Kafka's history and the stream's part (what Kafka says of
// the old epoch then is what it says after a clean election), a trim took the
// record that tells the stream's epoch, or the position is a marker that tells
// none.
func (s *stream) hide() {
	p, line := s.p, &s.line
	if line.topic != p.topic {
		return
	}
	if line.blind >= 0 {
		for _, point := range p.points[line.blind:] {
			if point <= line.durable && (line.tells == nil || point > line.tells.rec.Offset || line.lastSeq < s.first) {
				s.w.hit("truncation hidden by a marker")
				line.blind = len(p.points)
				line.last, line.hidden = nil, max(line.hidden, line.durable)
				p.hidden = max(p.hidden, line.hidden)
			}
		}
	}
	s.jumped()
	if c := p.ours(); c != nil && c.Last == line.durable && c.Offset <= p.start {
		// What the commit passed was cut off and written anew, and all of that
		// deleted.
		for _, point := range p.points {
			if point > line.durable && point < c.Offset {
				w := max(line.hidden, c.Offset-1)
				line.hidden, p.hidden = w, max(p.hidden, w)
				s.w.hit("truncation hidden by retention")
			}
		}
	}
	last := line.last
	if last == nil || last.cut == 0 || s.excused(last) {
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

// jumped notices that retention took what a tool jumped over: to everybody it looks
// like control records that a commit of ours has passed.
func (s *stream) jumped() {
	p, line := s.p, &s.line
	c := p.ours()
	told := c != nil && c.Offset == p.moved && (c.Last == line.durable || !line.begun)
	for _, m := range s.w.processes { // the group may be gone, and who read its commit at work
		for _, o := range m.owners {
			told = told || o.p == p && o.jumped != nil && (o.jumped.Last == line.durable || !line.begun)
		}
	}
	if !told || p.start > p.moved {
		return
	}
	for _, e := range p.all {
		if e.topic == p.topic && e.expired && e.due() && e.made != s.made && e.rec.Offset > max(line.durable, line.hidden) {
			s.w.hit("moved commit hidden by retention")
			line.hidden, p.hidden = e.rec.Offset, max(p.hidden, e.rec.Offset)
		}
	}
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

// find gives the entry of an offset and epoch, and its place among all. A
// restored cluster may count its epochs anew: then the content decides.
func (p *partition) find(topic int, offset int64, epoch int32, same func(*entry) bool) (x *entry, at int) {
	for i := len(p.all) - 1; i >= 0; i-- {
		e := p.all[i]
		if e.topic == topic && e.rec.Offset == offset && (e.rec.LeaderEpoch == epoch || slices.Contains(e.before, epoch)) {
			if same(e) {
				return e, i
			}
			if x == nil {
				x, at = e, i
			}
		}
	}
	return x, at
}

// fenced judges a fence that landed on a stream with that token and tail.
func (s *stream) fenced(o *owner, token, before string, tail uint64) {
	w := s.w
	s.line.fencer = o
	s.p.fences++
	o.made, o.found = s.made, s.line.begun
	if o.drainBy > 0 {
		w.hit("fence-landed-while-leaving")
	}
	t, known := mapping.ParseToken(before)
	ours := known && (t.ID == o.id.Hash() || t.ID == o.id.Anonymous().Hash())
	if ours && t.ID != o.id.Hash() {
		w.hit("identity-upgraded")
	}
	switch {
	case before == "" && tail == 0:
	case !ours:
		word, ok := o.adopts()
		switch {
		case !ok:
			w.violate("%s: %s fenced over the token %q", s.name, o.name, before)
		case s.line.newest == nil && s.p.damage.has(rollBack): // S2 lost what was compared
		case s.line.newest == nil || s.line.newest.topic != o.topic:
			w.violate("%s: %s adopted the stream of another log", s.name, o.name)
		default:
			w.hit("adopted")
			o.adopting = word
		}
	case halfAdopted(before) && !o.mine[before]:
		if _, ok := o.adopts(); !ok {
			w.violate("%s: %s fenced over %s, whose owner has not finished adopting", s.name, o.name, before)
		}
	case o.flowed && !o.mine[before] && t.Generation >= o.generation && w.now-o.stopped < w.machineConfig.SessionTimeout:
		if _, ok := o.adopts(); !ok {
			w.violate("%s: %s fenced over %s without waiting for the group's word", s.name, o.name, before)
		}
	}
}

// halfAdopted: it is the token of an adoption that nobody has finished.
func halfAdopted(token string) bool {
	t, ok := mapping.ParseToken(token)
	return ok && strings.HasPrefix(t.Random, "adopt")
}

func (o *owner) identity() mapping.Identity { return o.id }

package sim

import (
	"hash/maphash"
	"slices"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
)

// facts compares what a machine says of itself after a step with what it said
// before, and with what is in the stream: its counters are the metrics.
func (w *world) facts(o *owner, s handoff.Status) {
	before := o.said
	o.said = s
	missing, acquired := uint64(0), uint64(0)
	for class, n := range s.Missing {
		missing += n - before.Missing[class]
	}
	for cause, n := range s.Acquisitions {
		acquired += n
		if n > before.Acquisitions[cause] {
			w.hit("cause " + handoff.Cause(cause).String())
		}
	}
	if s.Phase == "flowing" && before.Phase == "acquiring" {
		o.opens++
	}
	if acquired < o.opens {
		w.violate("%s became the writer %d times, and counts %d acquisitions", o.name, o.opens, acquired)
	}
	records := s.Records - before.Records
	gaps, again, named := slices.Clone(s.LastGaps), false, uint64(0)
	gaps = slices.DeleteFunc(gaps, func(g mapping.Gap) bool { return slices.Contains(before.LastGaps, g) || g.From == g.To })
	for _, g := range gaps {
		named += uint64(g.To - g.From)
		again = again || g.Reason == mapping.ReasonTruncation // it names what the stream holds
	}
	found := s.Phase == "flowing" && before.Phase == "acquiring" // by a reading, whatever else lies there
	if o.tells(gaps); found && len(gaps) > 0 {
		w.hit("gap marker found")
	}
	if found {
		o.owesNothing()
	}
	if passed := s.Durable - before.Durable; records+missing > 0 && int64(records+missing) != passed && !again && !found {
		w.violate("%s counts %d records and %d missing offsets, and went from %d to %d", o.name, records, missing, before.Durable, s.Durable)
	}
	for _, g := range gaps {
		if class := classOf[g.Reason]; s.Missing[class]-before.Missing[class] < uint64(g.To-g.From) {
			w.violate("%s counts %d missing offsets for the gap marker %+v", o.name, s.Missing[class]-before.Missing[class], g)
		}
	}
	if legal := s.Missing[handoff.MissingLegal] - before.Missing[handoff.MissingLegal]; missing != legal+named {
		w.violate("%s counts offsets of gaps without a gap marker: %v, before %v", o.name, s.Missing, before.Missing)
	}
	if x := o.newest; s.Phase == "flowing" && x != nil && !x.gone && !x.told {
		flying := 0
		for _, f := range x.out {
			flying += f.size
		}
		if s.InflightBytes != flying {
			w.violate("%s says that %d bytes are in flight: it is %d", o.name, s.InflightBytes, flying)
		}
	}
	if acked := s.Next > before.Next && (before.Phase == "flowing" || before.Phase == "draining"); acked {
		o.p.stream.promised(o, before, s)
	}
}

// tells takes gap markers off the list of those that an owner has to tell of.
func (o *owner) tells(gaps []mapping.Gap) {
	o.untold = slices.DeleteFunc(o.untold, func(g gap) bool { return slices.Contains(gaps, g.Gap) })
}

// owesNothing: an owner that has read the stream has told of all gap markers of its
// own that are there. What Kafka has cut again since has a marker anew.
func (o *owner) owesNothing() {
	for _, g := range o.untold {
		if slices.Contains(o.p.stream.line.gaps, g) && (g.Reason != mapping.ReasonTruncation || g.cuts == o.p.cuts) {
			o.p.w.violate("%s has the gap marker %+v in its stream, and tells nobody", o.name, g.Gap)
		}
	}
	o.untold = nil
}

// classOf is the class of the missing offsets that a gap marker's reason is.
var classOf = map[string]handoff.Missing{
	mapping.ReasonRetention: handoff.MissingRetention, mapping.ReasonTruncation: handoff.MissingTruncation,
	mapping.ReasonRefused: handoff.MissingRefused, mapping.ReasonDeadLetter: handoff.MissingDeadLetter, mapping.ReasonOperator: handoff.MissingOperator,
}

// promise is what an acknowledged part of a stream was like.
type promise struct {
	made int
	next uint64
	hash uint64
}

// promised: an owner has believed an ack. What it counts must be what landed, and
// what landed must stay.
func (s *stream) promised(o *owner, before, after handoff.Status) {
	w := s.w
	s.kept()
	if !s.exists || s.made != o.made || after.Next > s.tail() {
		return
	}
	s.acked = promise{s.made, after.Next, s.chain[after.Next-1]}
	records, size := uint64(0), uint64(0)
	for _, e := range s.p.all {
		if e.stored && e.made == s.made && e.topic == o.topic && e.seq >= before.Next && e.seq < after.Next {
			records++
			size += uint64(len(e.rec.Key) + len(e.rec.Value))
		}
	}
	if r, b := after.Records-before.Records, after.Bytes-before.Bytes; r != records || b != size {
		w.violate("%s counts %d records of %d bytes between %d and %d, the stream has %d of %d", o.name, r, b, before.Durable, after.Durable, records, size)
	}
	if line := s.line.after; line[after.Next-1] != after.Durable {
		w.violate("%s is complete up to %d behind sequence number %d by its own word, the stream up to %d", o.name, after.Durable, after.Next, line[after.Next-1])
	}
}

// kept: what was acknowledged last is still as it was, if S2 itself has lost
// nothing.
func (s *stream) kept() {
	a := s.acked
	if a.next > 0 && s.exists && s.made == a.made && (a.next > s.tail() || s.chain[a.next-1] != a.hash) {
		s.w.violate("%s: records below sequence number %d were acknowledged and are others now", s.name, a.next)
	}
}

var chainSeed = maphash.MakeSeed()

// link continues the chain of hashes of everything below a record.
func (s *stream) link(r *mapping.Stored) {
	var h maphash.Hash
	h.SetSeed(chainSeed)
	var last uint64
	if n := len(s.chain); n > 0 {
		last = s.chain[n-1]
	}
	maphash.WriteComparable(&h, last)
	for _, x := range r.Headers {
		_, _ = h.Write(x.Name)
		_ = h.WriteByte(0)
		_, _ = h.Write(x.Value)
	}
	_, _ = h.Write(r.Body)
	s.chain = append(s.chain, h.Sum64())
}

// blow is anything that may cost an acquisition: a fault that hits, a new owner,
// Kafka's or an operator's word.
func (p *partition) blow() { p.blows++ }

// thrifty: every fence has its reason.
func (p *partition) thrifty() {
	if p.fences > 3+p.blows {
		p.w.violate("%s: %d fences for %d blows", p.name, p.fences, p.blows)
	}
}

// tally counts what a whole run was like.
func (w *world) tally() {
	w.hit("seed")
	if slices.ContainsFunc(w.partitions, func(p *partition) bool { return p.owners > 1 }) {
		w.hit("seed with an ownership change")
	}
	if slices.ContainsFunc(w.partitions, func(p *partition) bool {
		return slices.ContainsFunc(p.all, func(e *entry) bool { return e.stored })
	}) {
		w.hit("seed with records in a stream")
	}
	for phase := range w.pairs {
		for event, n := range w.pairs[phase] {
			if n > 0 {
				w.hits["on "+phases[phase]+" "+events[event]] += n
			}
		}
	}
}

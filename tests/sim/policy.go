package sim

import (
	"fmt"
	"time"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
)

// policy is what a world's configuration says in advance, and what its people
// are like. One world in two has all defaults but for the start.
type policy struct {
	handoff.Policy
	packer        mapping.Packer
	diligence     int  // percent of the holds that somebody answers
	anonymous     bool // the brokers have no topic ids, at first
	prehistory    int  // records that are there before anything begins, at most
	transactional bool // producers write in transactions only
	slots         int  // acquisitions at work at once in a process
}

func drawPolicy(d dice) policy {
	p := policy{
		prehistory: d.IntN(2) * d.IntN(30), anonymous: d.chance(8),
		diligence: []int{0, 60, 100}[d.IntN(3)], slots: []int{1, 2, 64, 64}[d.IntN(4)],
	}
	switch d.IntN(8) {
	case 0, 1:
		p.Start.From = handoff.FromLatest
	case 2:
		p.Start = handoff.StartPolicy{From: handoff.FromTime, At: time.UnixMilli(int64(d.between(-1500, 6000)))}
	case 3:
		p.Start = handoff.StartPolicy{From: handoff.FromOffset, Offset: int64(d.IntN(50))}
	}
	if d.chance(2) {
		return p
	}
	p.packer.NoChunks = d.chance(3)
	p.Large, p.Refused = handoff.Refusal(d.IntN(3)), handoff.Refusal(d.IntN(3))
	p.Standing = map[handoff.Reason]handoff.Answer{}
	for _, r := range []handoff.Reason{handoff.RetentionLost, handoff.Truncated, handoff.S2Behind, handoff.PositionUnproven} {
		if d.chance(2) {
			p.Standing[r] = losses(r)[d.IntN(len(losses(r)))]
		}
	}
	return p
}

// losses are the answers to a hold that change something.
func losses(r handoff.Reason) (list []handoff.Answer) {
	for _, a := range r.Answers() {
		if a != handoff.AnswerRetry && a != handoff.AnswerNewStream {
			list = append(list, a)
		}
	}
	return list
}

// refuses tells what becomes of an entry that cannot be copied as it is; false:
// it can.
func (p *policy) refuses(e *entry) (handoff.Refusal, bool) {
	switch {
	case e.refusal != takes && p.packer.NoChunks:
		return p.Large, true // it would have to be cut, whether that helped or not
	case e.refusal == takesNot:
		return p.Refused, true
	}
	return 0, false
}

// name is that of the policy for an entry that cannot be copied as it is.
func (p *policy) name(e *entry) string {
	if p.packer.NoChunks {
		return "large"
	}
	return "refused"
}

// cluster is the id of the Kafka cluster; one that was restored has another.
func (w *world) cluster() string { return fmt.Sprintf("sim%d", w.restored) }

// past gives a partition records from before anybody read it, and lets
// retention take some of them.
func (p *partition) past(d dice) {
	n := p.w.policy.prehistory
	if n == 0 {
		return
	}
	for i := range d.IntN(n + 1) {
		rec := p.record(d)
		rec.Timestamp = int64(i-n) * 100
		p.append(rec, data)
		if d.chance(10) {
			p.elect()
		}
	}
	if d.chance(3) && p.stable > 0 {
		p.expire(d.Int64N(p.stable + 1))
	}
}

// parts is the partition count that commits are to carry: the topic's, or that of
// the group's commits as long as a partition that was added since has no commit of
// its own. With the topic's count at once, a sibling could commit it before the
// new partition is read, and whoever reads that first would take it for an old one.
func (w *world) parts() int {
	least, all := -1, true
	for _, p := range w.partitions {
		c := p.ours()
		if c == nil {
			all = false
		} else if least < 0 || int(c.Parts) < least {
			least = int(c.Parts)
		}
	}
	if all || least < 0 || w.bug.is("parts-at-once") {
		return len(w.partitions)
	}
	for _, p := range w.partitions[min(least, len(w.partitions)):] {
		if p.ours() == nil {
			return least
		}
	}
	return len(w.partitions)
}

// parts is the smallest partition count in the commits of ours of a
// partition's siblings; -1: there is none.
func (p *partition) parts() int {
	n := -1
	for _, q := range p.w.partitions {
		if c := q.ours(); c != nil && q != p && (n < 0 || int(c.Parts) < n) {
			n = int(c.Parts)
		}
	}
	return n
}

// locate is where a start begins: at the first record that is not older, or at
// the last stable offset.
func (p *partition) locate(s handoff.StartPolicy) int64 {
	if s.From == handoff.FromTime {
		for _, e := range p.log {
			if e.rec.Timestamp >= s.At.UnixMilli() && e.rec.Offset < p.stable {
				return e.rec.Offset
			}
		}
	}
	return p.stable
}

// records are what a consumer is shown between two offsets, both inclusive.
func (p *partition) records(first, last int64) (recs []mapping.Record) {
	for _, e := range p.log {
		if e.class == data && e.rec.Offset >= first && e.rec.Offset <= last && e.rec.Offset < p.stable {
			recs = append(recs, e.rec)
		}
	}
	return recs
}

package sim

import (
	"fmt"
	"time"

	"kafka-s2-bridge/mapping"
)

// produce is what producers do to a partition until the workload ends: bursts,
// pauses, transactions that commit or abort, clean elections.
func (p *partition) produce(d dice, left int, until time.Duration) {
	w := p.w
	if left <= 0 || w.now > until {
		p.endTxn(d)
		return
	}
	n := min(left, d.between(1, 6))
	switch {
	case p.txn:
		for range n {
			p.append(p.record(d), data)
		}
		if d.chance(2) {
			p.endTxn(d)
		}
	case d.chance(6), p.w.policy.transactional:
		p.txn, p.txnAt = true, len(p.log)
		for range n {
			p.append(p.record(d), data)
		}
	default:
		for range n {
			p.append(p.record(d), data)
		}
	}
	if d.chance(12) {
		p.elect()
	}
	w.say(p.name, "produced", p.end, p.stable)
	p.kick()
	pause := d.span(time.Millisecond, 40*time.Millisecond)
	if d.chance(2) {
		pause = d.span(100*time.Millisecond, 4*time.Second)
	}
	w.in(pause, func() { p.produce(d, left-n, until) })
}

// endTxn ends the open transaction: its records become visible, or never do.
func (p *partition) endTxn(d dice) {
	if !p.txn {
		return
	}
	if d.chance(2) {
		for _, e := range p.log[p.txnAt:] {
			e.class = aborted
		}
		p.w.hit("aborted-transaction")
	}
	p.txn = false
	p.append(mapping.Record{}, control)
	p.kick()
}

// kick wakes whoever reads the partition.
func (p *partition) kick() {
	for _, m := range p.w.processes {
		for _, o := range m.owners {
			if o.p == p {
				o.poll()
			}
		}
	}
}

var names = []string{"h", "", "~", "~k", "~0", "fence", "trim", "\xff"}

// record makes a record whose value is like no other of the run.
func (p *partition) record(d dice) mapping.Record {
	p.unique++
	rec := mapping.Record{
		Timestamp:     int64(p.w.now / time.Millisecond),
		TimestampType: mapping.TimestampType(d.IntN(2)),
		Value:         fmt.Appendf(nil, "p%d/t%d/o%d/e%d/u%d", p.index, p.topic, p.end, p.leader, p.unique),
	}
	switch d.IntN(16) {
	case 0:
		rec.Key = []byte{}
	case 1, 2, 3, 4:
		rec.Key = fmt.Appendf(nil, "k%d", d.IntN(5))
	case 5:
		rec.Timestamp = -5
	case 6:
		rec.Timestamp, rec.TimestampType = -1, mapping.NoTimestampType
	case 7:
		for range d.between(1, 3) {
			h := mapping.Header{Key: names[d.IntN(len(names))]}
			if d.chance(2) {
				h.Value = fmt.Appendf(nil, "%d", p.unique)
			}
			rec.Headers = append(rec.Headers, h)
		}
	case 8:
		rec.Key, rec.Value = fmt.Appendf(nil, "u%d", p.unique), nil // a tombstone
	case 9:
		rec.Key, rec.Value = fmt.Appendf(nil, "u%d", p.unique), []byte{}
	}
	return rec
}

package handoff

import (
	"errors"
	"fmt"
)

// check is step 4: before the first data append, both sides must still have the
// history that the position stands in.
func (m *Machine) check(p position) {
	// S2 first: it must not have lost what this assignment saw, or what a commit
	// of ours counts.
	if (p.next < m.floor.next || (!m.fresh && p.durable < m.floor.durable)) && !m.has(NoFloor) {
		m.behind(p.durable+1, fmt.Sprintf("the stream is complete up to offset %d (sequence number %d), but offset %d (%d) was acknowledged",
			p.durable, p.next, m.floor.durable, m.floor.next), func() { m.positioned(p, m.fresh) })
		return
	}
	// Then Kafka: the record at durable must still be of its log.
	switch {
	case p.epoch < 0 || m.has(EpochUnasked):
		if !m.unasked() {
			m.repositioned()
		}
	case !m.rewritten():
		m.askEpoch()
	}
}

// unasked is for a position that Kafka cannot be asked about: what it said by
// itself must do. True: the log was cut back below it.
func (m *Machine) unasked() bool {
	if m.fresh || m.suspect < 0 || m.suspect > m.found.durable || (m.found.covered && m.suspect >= m.found.since) {
		return false
	}
	m.truncated(m.suspect, fmt.Sprintf("Kafka's log was cut back to offset %d, below offset %d which the stream holds", m.suspect, m.found.durable))
	return true
}

// cutAbove is for a position whose epoch is that of a record below gap markers: that
// Kafka still has that record tells nothing of what they stand for. True: Kafka's
// client saw the log being cut back between the two.
func (m *Machine) cutAbove() bool {
	return m.found.epoch >= 0 && m.found.exact() < 0 && m.witnessed && m.suspect > m.found.base && m.unasked()
}

// trust is whether what a commit of ours passed behind the record that it counts
// was without data.
type trust uint8

const (
	unknown trust = iota
	trusted
	refuted
)

// vouch: retention took what lay between durable + 1 and a commit of ours. The
// commit says that there was no data. But if Kafka's log was cut off in between,
// other records stood there since, and nobody copied them. So the commit's own
// epoch must reach that far.
func (m *Machine) vouch() {
	switch {
	case m.has(CommitBelieved), m.marked.Epoch < 0:
		m.trusts(true)
	case m.overtaken():
		m.trusts(false) // what it passed was of the history that Kafka dropped
	case m.suspect >= 0 && m.suspect < m.marked.Offset:
		m.trusts(false) // whatever Kafka says: retention may have taken the place
	default:
		m.passing = true
		m.do(EpochEnd{ID: m.nextRequest(), Epoch: m.marked.Epoch})
	}
}

// overtaken: the commit is older than the marker of a truncation that ends at the
// record that it counts. Kafka does not tell that any more once retention has taken
// the place; the marker does.
func (m *Machine) overtaken() bool {
	return m.found.covered && (m.found.told == 0 || m.marked.Next < m.found.told)
}

func (m *Machine) vouched(ev EpochEnded) {
	switch {
	case errors.Is(ev.Err, errors.ErrUnsupported):
		m.trusts(true)
	case ev.Err != nil:
		m.retry(fmt.Errorf("ask Kafka where leader epoch %d ends: %w", m.marked.Epoch, ev.Err), m.vouch)
	case ev.End < 0 && m.unknownEnd < 5: // a broker that has just become leader, or is none any more
		m.unknownEnd++
		m.failures++
		m.wait(m.backoff(), m.vouch)
	default: // trouble may have come while the question was under way
		m.trusts(ev.End >= m.marked.Offset && (m.suspect < 0 || m.suspect >= m.marked.Offset))
	}
}

func (m *Machine) trusts(yes bool) {
	if m.trusted = refuted; yes {
		m.trusted = trusted
	}
	m.askRange()
}

// rewritten holds the partition if Kafka served a record at or below durable
// with a higher leader epoch: it has another history there than the stream.
func (m *Machine) rewritten() bool {
	p := m.found
	if m.has(RewriteUnseen) || p.exact() < 0 || m.epochThrough(p.durable) <= p.epoch {
		return false
	}
	m.truncated(-1, fmt.Sprintf("Kafka now serves other records at or below offset %d, which the stream holds with leader epoch %d", p.durable, p.epoch))
	return true
}

func (m *Machine) askEpoch() { m.do(EpochEnd{ID: m.nextRequest(), Epoch: m.found.epoch}) }

func (m *Machine) epochEnded(ev EpochEnded) {
	if m.phase == flowing {
		m.doubtEnded(ev)
		return
	}
	if m.passing {
		m.passing = false
		m.vouched(ev)
		return
	}
	switch {
	case errors.Is(ev.Err, errors.ErrUnsupported):
		if !m.unasked() {
			m.repositioned()
		}
		return
	case ev.Err != nil:
		m.retry(fmt.Errorf("ask Kafka where leader epoch %d ends: %w", m.found.epoch, ev.Err), m.askEpoch)
		return
	case ev.End < 0 && m.unknownEnd < 5:
		// A leader that has just changed may not know yet.
		m.unknownEnd++
		m.failures++
		m.wait(m.backoff(), m.askEpoch)
		return
	case ev.End <= m.found.base:
		from := ev.End
		m.suspected(from)
		if ev.Of != m.found.epoch {
			from = -1 // Kafka never had that epoch: what is below may differ too
		}
		m.truncated(from, fmt.Sprintf("leader epoch %d ends at offset %d in Kafka's log, but the stream holds records of it up to offset %d", m.found.epoch, ev.End, m.found.base))
		return
	}
	m.epochEnds = ev.End
	if !m.cutAbove() {
		m.repositioned()
	}
}

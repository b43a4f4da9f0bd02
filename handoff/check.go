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
		m.unasked()
	case !m.rewritten():
		m.askEpoch()
	}
}

// unasked is for a position that Kafka cannot be asked about: what it said by
// itself must do.
func (m *Machine) unasked() {
	if m.suspect >= 0 && m.suspect <= m.found.durable && (!m.found.covered || m.suspect < m.found.since) {
		m.truncated(m.suspect, fmt.Sprintf("Kafka's log was cut back to offset %d, below offset %d which the stream holds", m.suspect, m.found.durable))
		return
	}
	m.passed(-1)
}

// passed looks at a commit that stands behind durable + 1 because control
// records, or nothing, lay there. If Kafka's log was cut off between the two,
// other records stand there now, and going on at the commit would skip them. So
// the commit's own epoch must reach that far; end is where durable's ends.
func (m *Machine) passed(end int64) {
	c := m.marked
	switch {
	case m.has(CommitBelieved) || c.Last != m.found.durable || c.Offset <= m.found.durable+1:
		m.repositioned()
	case m.suspect >= 0 && m.suspect < c.Offset:
		m.disbelieve() // whatever Kafka says: retention may have taken the place
	case c.Offset <= end || c.Epoch < 0:
		m.repositioned()
	default:
		m.passing = true
		m.do(EpochEnd{ID: m.nextRequest(), Epoch: c.Epoch})
	}
}

// disbelieved is the Last of a commit that no position is equal to.
const disbelieved = int64(-2)

// disbelieve reads on at durable + 1, and commits nothing more before there are
// records that pass the commit.
func (m *Machine) disbelieve() {
	m.marked.Last = disbelieved
	m.repositioned()
}

func (m *Machine) passEnded(ev EpochEnded) {
	switch {
	case errors.Is(ev.Err, errors.ErrUnsupported):
		m.repositioned()
	case ev.Err != nil:
		m.retry(fmt.Errorf("ask Kafka where leader epoch %d ends: %w", m.marked.Epoch, ev.Err), func() { m.passed(-1) })
	case ev.End < m.marked.Offset:
		m.disbelieve()
	default:
		m.repositioned()
	}
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
		m.passEnded(ev)
		return
	}
	switch {
	case errors.Is(ev.Err, errors.ErrUnsupported):
		m.unasked()
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
	m.passed(ev.End)
}

package handoff

import (
	"fmt"
	"time"

	"kafka-s2-bridge/mapping"
)

// passedOver: nothing has come since the assignment, and Kafka says that the
// position is out of its range. If retention took but what the commit has passed,
// there is still nothing to acquire for; whether the commit is right about it is
// asked when something comes.
func (m *Machine) passedOver(ev Ranged) {
	if m.taken+1 < ev.Start && ev.Start <= m.marked.Offset {
		m.failures, m.trouble = 0, nil
		m.seek(ev.Start)
		return
	}
	m.repair()
}

// weigh compares where the copy goes on with what Kafka has. What is lost is
// given up, or the partition is held: false.
func (m *Machine) weigh(ev Ranged) bool {
	m.gaps, m.await, m.emptied = nil, -1, 0
	if m.found.epoch < 0 && m.unasked() || m.cutAbove() { // Kafka's client may have said so just now
		return false
	}
	if m.cutAt != noCut {
		from := m.cutAt
		if from < 0 {
			from = min(ev.Start, m.found.durable)
		}
		if m.has(CutMinimized) {
			from = m.found.durable
		}
		m.giveUp(mapping.ReasonTruncation, from, m.found.durable+1)
	}
	if m.suspect >= 0 && m.suspect < m.skipTo {
		// Kafka's client says that the log was cut back below what S2 lost: what
		// Kafka has from there on was never lost, and nobody gave it up.
		m.skipTo, m.rewind = m.suspect, true
	}
	if m.skipTo > max(ev.End, m.reach()) && !m.starts(m.skipTo) {
		if m.unknownEnd < 4 {
			m.unknownEnd++
			m.wait(2*time.Second, m.askRange)
			return false
		}
		// Kafka was cut back below what S2 lost: from its end on other records
		// will come, and nobody gave those up.
		m.skipTo, m.rewind = ev.End, true
	}
	if m.skipTo > m.reach() {
		m.giveUp(mapping.ReasonOperator, m.reach(), m.skipTo)
	}
	target := m.reach()
	switch {
	case target < ev.Start && m.marked.Last == m.found.durable && m.marked.Offset >= ev.Start && m.trusted == unknown:
		m.vouch()
		return false
	case target < ev.Start && m.marked.Last == m.found.durable && m.marked.Offset >= ev.Start && m.trusted == trusted:
		m.emptied = ev.Start // what was deleted held no data: a commit of ours has passed it
	case target < ev.Start && (m.answerTo(RetentionLost) == AnswerGap || m.has(GapUnasked)):
		m.giveUp(mapping.ReasonRetention, m.unproven(), ev.Start)
	case target < ev.Start:
		m.stopAt(Hold{Reason: RetentionLost, From: m.unproven(), To: ev.Start, Detail: fmt.Sprintf(
			"Kafka's log starts at offset %d, the stream ends at %d: offsets %d to %d were deleted before they were copied",
			ev.Start, m.found.durable, m.unproven(), ev.Start-1)})
		return false
	case target <= ev.End:
	case m.expected(ev.End) && m.has(EndUnawaited):
	case m.expected(ev.End):
		m.await = target
	case m.unknownEnd < 4:
		// A new leader may not have caught up with itself yet.
		m.unknownEnd++
		m.wait(2*time.Second, m.askRange)
		return false
	case m.fresh: // the stream holds nothing that could be cut off
		m.origin, m.found.durable = ev.End, ev.End-1
	case m.found.epoch >= 0 && !m.doubted:
		// Cut since the question about the epoch. The end does not tell where: other
		// records may stand there already.
		m.doubted = true
		m.askEpoch()
		return false
	case m.cutAt != noCut:
		// Cut once more, and deeper than Kafka said. The question about the epoch
		// tells how deep; where there is none to ask about, the end does.
		m.suspected(ev.End)
		m.retry(fmt.Errorf("kafka's log ends at offset %d, below %d where it was cut", ev.End, m.cutAt), func() { m.acquire(KafkaPosition) })
		return false
	default:
		from := ev.End
		if m.epochEnds > 0 {
			from = min(from, m.epochEnds) // behind a gap marker the epoch of the record below it ends where it was cut
		}
		m.truncated(from, fmt.Sprintf("Kafka's log ends at offset %d, below %d where the stream goes on", ev.End, target))
		return false
	}
	return true
}

// reach is where reading goes on: behind the position, and behind what is given
// up. Not at a commit that stands higher, though it carries our metadata: there are
// tools that move an offset and keep what stands beside it.
func (m *Machine) reach() int64 {
	offset := max(m.found.durable+1, m.emptied)
	if n := len(m.gaps); n > 0 {
		offset = max(offset, m.gaps[n-1].To)
	}
	return offset
}

// unproven is where retention's loss begins. A commit that passed offsets without
// data is not believed there: they may have been cut off and written anew before
// retention took them, and Kafka can no longer tell.
func (m *Machine) unproven() int64 {
	if n := len(m.gaps); n > 0 {
		return m.gaps[n-1].To
	}
	return m.found.durable + 1
}

package handoff

import (
	"errors"
	"fmt"
	"time"
)

// begin: with a commit of ours, reading starts there and S2 is not asked before
// something comes. Without one S2 is asked where reading may start.
func (m *Machine) begin() {
	if m.phase == locating {
		m.ask()
	}
}

// readFrom reads the stream backwards from top (exclusive).
func (m *Machine) readFrom(top uint64, why purpose) {
	m.reading = newReadback(why, m.a.Identity, top, m.token)
	m.readPage()
}

func (m *Machine) readPage() {
	from, count := m.reading.want()
	m.do(Read{ID: m.nextRequest(), From: from, Count: count})
}

func (m *Machine) page(ev Page) {
	r := &m.reading
	if ev.Err != nil {
		m.readAgain(ev.Err)
		return
	}
	f, why, open := r.feed(ev.Records)
	switch f {
	case readMore:
		m.readPage()
	case readBehind:
		m.readAgain(errors.New("it does not reach our fence"))
	case readAhead:
		m.retry(fmt.Errorf("read the stream back: %s", why), m.ask)
	case foundHere:
		m.stand(r.pos, false)
	case foundFresh:
		m.stand(position{durable: -1, epoch: -1}, true)
	case foundGone:
		m.prove(r.reached)
	case foundMarker:
		m.named(open)
	case foundNewer:
		m.stop(FormatUnknown, why)
	case foundAlien:
		if open != nil {
			m.stop(m.stranger(open), why)
			return
		}
		m.stop(ForeignRecord, why)
	}
}

// readAgain reads anew what could not be read. Where that does not help, our
// fence is gone: trimmed, or the stream was deleted. Asking tells.
func (m *Machine) readAgain(err error) {
	err = fmt.Errorf("read the stream back: %w", err)
	if m.unread++; m.unread >= 5 {
		m.unread = 0
		m.retry(err, m.ask)
		return
	}
	top, why := m.reading.top, m.reading.why
	m.retry(err, func() { m.readFrom(top, why) })
}

// stand takes a position that was read.
func (m *Machine) stand(p position, fresh bool) {
	if m.phase == acquiring {
		m.positioned(p, fresh)
		return
	}
	if fresh {
		m.startAnew()
		return
	}
	m.found, m.fresh = p, false
	if p.epoch >= 0 { // a Seek does not look at epochs
		m.askEpoch()
		return
	}
	m.repositioned()
}

// prove is for a stream whose last records of ours are gone: what this
// assignment saw, or a commit of ours counts, is the position, if everything
// behind it survives (and was passed over, so it is commands and the like).
func (m *Machine) prove(reached uint64) {
	if m.phase == acquiring && m.floor.next > 0 && m.floor.next <= m.fence && reached <= m.floor.next {
		m.positioned(m.floor, false)
		return
	}
	m.stop(PositionUnproven, fmt.Sprintf("the records below sequence number %d were trimmed or have expired, and no commit proves which Kafka offset the stream has reached", reached))
}

// startAnew: the stream has no position; the start policy decides.
func (m *Machine) startAnew() {
	m.found, m.fresh = position{durable: -1, epoch: -1}, true
	m.askRange()
}

func (m *Machine) askRange() { m.do(Range{ID: m.nextRequest()}) }

// startAt ends the search for where to start: nothing was written to S2.
func (m *Machine) startAt(offset int64, p position) {
	m.phase, m.found, m.pos, m.failures, m.trouble = idle, p, p, 0, nil
	m.denials, m.hold = 0, Hold{}
	if !m.fresh {
		m.raiseFloor(p)
	}
	m.seek(offset)
}

// resume is where reading goes on behind a position: durable + 1, or where a
// commit that counts exactly this position has passed control records.
func (m *Machine) resume(durable int64) int64 {
	if m.marked.Offset >= 0 && m.marked.Last == durable {
		return max(durable+1, m.marked.Offset)
	}
	return durable + 1
}

// repositioned: the position is checked. What we hold must reach down to it;
// else Kafka is asked for its range and read anew.
func (m *Machine) repositioned() {
	if m.phase == locating {
		m.startAt(m.found.durable+1, m.found)
		return
	}
	switch {
	case m.from < 0 || m.from > m.resume(m.found.durable):
		m.askRange()
	case !m.rewritten(): // by what came while Kafka was asked
		m.takeOver()
	}
}

func (m *Machine) ranged(ev Ranged) {
	if ev.Err != nil {
		m.retry(fmt.Errorf("ask Kafka for the partition's range: %w", ev.Err), m.askRange)
		return
	}
	if m.stirred {
		m.positioned(m.found, m.fresh)
		return
	}
	if m.fresh {
		m.found.durable = ev.Start - 1
	}
	target := m.resume(m.found.durable)
	switch {
	case target < ev.Start:
		m.stop(RetentionLost, fmt.Sprintf("Kafka's log starts at offset %d, the stream ends at %d: offsets %d to %d were deleted before they were copied",
			ev.Start, m.found.durable, target, ev.Start-1))
		return
	case target > ev.End:
		// A new leader may not have caught up with itself yet.
		if m.unknownEnd++; m.unknownEnd < 5 {
			m.wait(2*time.Second, m.askRange)
			return
		}
		m.stop(Truncated, fmt.Sprintf("Kafka's log ends at offset %d, below %d where the stream goes on", ev.End, target))
		return
	case m.phase == locating:
		m.startAt(target, m.found)
		return
	}
	m.dropAll()
	m.seek(target)
	if m.found.epoch >= 0 {
		// The client takes a position without looking at epochs, and notices
		// only what happens from now on. So the question is asked once more.
		m.askEpoch()
		return
	}
	m.takeOver()
}

// raiseFloor notes the highest position seen: a later reading below it means
// that S2 lost data.
func (m *Machine) raiseFloor(p position) {
	if p.next >= m.floor.next {
		m.floor = p
	}
}

// seek reads Kafka from offset on; what was fetched from elsewhere is dropped
// when it arrives, by its cut.
func (m *Machine) seek(offset int64) {
	m.cut++
	m.from, m.taken, m.lastData = offset, offset-1, m.found.durable
	m.passes.Clear()
	m.do(Seek{Cut: m.cut, Offset: offset, Epoch: m.found.epoch})
}

package handoff

import (
	"errors"
	"fmt"
	"math"

	"kafka-s2-bridge/offsets"
)

// ReadsFrom is where reading starts with a commit of ours: behind the record that
// it counts. Control records that it passed are read again. There are tools that
// move an offset and keep what stands beside it: what they jumped over must not
// wait for the record behind it.
func ReadsFrom(c *offsets.Commit) int64 { return c.Last + 1 }

// begin: with a commit of ours, reading starts behind what it counts, and S2 is
// not asked before something comes that is not passed already. Without one S2 is
// asked where reading may start.
func (m *Machine) begin() {
	if m.phase == locating {
		m.ask()
	}
}

// readFrom reads the stream backwards from top (exclusive).
func (m *Machine) readFrom(top uint64, why purpose) {
	m.reading = newReadback(why, m.a.Identity, top, m.token)
	m.reading.adopt, m.reading.defect = m.adopting, m.cfg.Defect
	m.readPage()
}

func (m *Machine) readPage() {
	from, count := m.reading.want()
	m.do(Read{ID: m.nextRequest(), From: from, Count: count})
}

func (m *Machine) page(ev Page) {
	r := &m.reading
	if m.comparing != nil {
		m.content(ev)
		return
	}
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
		if m.adopting && m.compared && !fresh && p.base > m.twin.durable {
			// The tail that was compared up to was an old one.
			m.compared = false
			m.ask()
			return
		}
		if m.adopting || m.foreign {
			p.epoch = -1 // another cluster's, perhaps
			if m.compared && p.base == m.twin.durable {
				p.epoch = m.twin.epoch // and this is Kafka's
			}
		}
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
	if m.phase == acquiring && m.floor.next > 0 && m.floor.next <= m.fence && (reached <= m.floor.next || m.has(ProofUnchecked)) {
		m.positioned(m.floor, false)
		return
	}
	if m.answerTo(PositionUnproven) == AnswerReplay {
		if m.phase == locating {
			m.acquire(First)
			return
		}
		m.forget()
		m.rewind = true
		m.positioned(position{durable: -1, epoch: -1}, true)
		return
	}
	m.stop(PositionUnproven, fmt.Sprintf("the records below sequence number %d were trimmed or have expired, and no commit proves which Kafka offset the stream has reached", reached))
}

// startAnew: the stream has no position; the start policy decides.
func (m *Machine) startAnew() {
	m.found, m.fresh = position{durable: -1, epoch: -1}, true
	m.askRange()
}

func (m *Machine) askRange() {
	if m.fresh && m.from < 0 && !m.begins() {
		m.do(Locate{ID: m.nextRequest(), Start: m.cfg.Policy.Start})
		return
	}
	m.do(Range{ID: m.nextRequest()})
}

// begins tells whether it is known where an empty stream begins. What began
// after the group is copied whole, whatever the policy says of the others.
func (m *Machine) begins() bool {
	start := m.cfg.Policy.Start
	switch {
	case m.origin >= 0 || start.From == FromEarliest && !m.a.New:
	case m.a.New:
		m.origin = 0
	case (m.anew || m.bound >= 0) && !m.has(LostBeginsAnew):
		// S2 lost a stream that began long ago, perhaps where the policy says,
		// perhaps at offset 0. Today's end of the log, or a time whose first record
		// is deleted by now, would leave out in silence what came since: nothing is
		// left out from the log start on.
	case start.From == FromOffset:
		m.origin = start.Offset
	default:
		return false
	}
	return true
}

// late: the partition began after the group did, and the policy would have it
// begin elsewhere than at 0. The next owner may not know any more that it is new:
// its siblings' commits count it by then. So its open marker says so at once.
func (m *Machine) late() bool {
	return m.fresh && m.a.New && m.cfg.Policy.Start.From != FromEarliest
}

// unbounded is the bound where it is not known how far the stream was.
const unbounded = math.MaxInt64

// within is the start offset, if nothing that was never copied is below it.
func (m *Machine) within(offset int64) int64 {
	if m.bound >= 0 {
		return min(offset, m.bound)
	}
	return offset
}

// located: the start is resolved once. The partition is acquired at once: the
// open marker fixes it, or "latest" would be later each time.
func (m *Machine) located(ev Located) {
	if ev.Err != nil {
		m.retry(fmt.Errorf("ask Kafka where to start: %w", ev.Err), m.askRange)
		return
	}
	m.origin = ev.Offset
	if m.phase == locating {
		m.acquire(First)
		return
	}
	m.positioned(m.found, m.fresh)
}

// startAt ends the search for where to start: nothing was written to S2.
func (m *Machine) startAt(offset int64, p position) {
	m.phase, m.found, m.pos, m.failures, m.trouble = idle, p, p, 0, nil
	m.denials, m.hold = 0, Hold{}
	if !m.fresh {
		m.raiseFloor(p)
	}
	m.seek(offset)
}

// repositioned: the position is checked. What we hold must reach down to it;
// else Kafka is asked for its range and read anew.
func (m *Machine) repositioned() {
	if m.phase == locating {
		m.startAt(m.found.durable+1, m.found)
		return
	}
	switch {
	case m.from < 0 || m.from > m.reach():
		m.askRange()
	case !m.rewritten(): // by what came while Kafka was asked
		m.takeOver()
	}
}

func (m *Machine) ranged(ev Ranged) {
	if m.phase == flowing {
		m.endSeen(ev)
		return
	}
	if ev.Err != nil {
		m.retry(fmt.Errorf("ask Kafka for the partition's range: %w", ev.Err), m.askRange)
		return
	}
	if m.phase == idle {
		m.passedOver(ev)
		return
	}
	if m.fresh {
		begin := ev.Start
		if m.origin >= 0 {
			if m.suspect >= 0 && !m.starts(m.origin) {
				m.origin = min(m.origin, m.suspect) // what Kafka wrote there since came behind the beginning
			}
			begin = m.origin
		}
		m.found.durable = m.within(begin) - 1
	}
	if !m.weigh(ev) {
		return
	}
	if m.fresh && len(m.gaps) > 0 && !m.has(GapRemembered) {
		m.origin = m.found.durable + 1 // and not behind them, should they not get into the stream
	}
	target := m.reach()
	switch {
	case m.phase == locating && (len(m.gaps) > 0 || m.await >= 0 || m.late()):
		m.acquire(First) // only the writer can leave a marker
		return
	case m.phase == locating:
		m.startAt(target, m.found)
		return
	}
	m.dropAll()
	if m.await >= 0 {
		m.from = -1
		m.do(Pause{})
		m.takeOver()
		return
	}
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
	epoch := m.found.exact()
	if epoch < 0 && m.marked.Offset == offset && m.marked.Last == m.found.durable && !m.found.covered {
		epoch = m.marked.Epoch // behind a gap marker only the commit tells it
	}
	m.seekBehind(offset, epoch)
}

// seekBehind is seek with the epoch of the record before the offset, by which the
// client notices a truncation; -1 unknown.
func (m *Machine) seekBehind(offset int64, epoch int32) {
	m.cut++
	m.from, m.taken, m.lastData = offset, offset-1, m.found.durable
	if n := len(m.gaps); (n > 0 || m.await >= 0) && !m.has(GapSlipped) {
		m.lastData = offset - 1 // the commit must not pass a marker that is on its way
	}
	m.passes.Clear()
	m.do(Seek{Cut: m.cut, Offset: offset, Epoch: epoch})
}

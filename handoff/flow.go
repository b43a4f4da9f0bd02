package handoff

import (
	"slices"
	"time"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// timer is one of the machine's deadlines; an idle partition has none.
type timer int

const (
	waitTimer   timer = iota // back-off, recheck: goes on with again
	lingerTimer              // a batch that is not full has waited long enough
	ackTimer                 // no ack for too long
	idleTimer                // a session without traffic
	timerCount
)

// Deadline is when Step wants a Tick at the latest; false: never.
func (m *Machine) Deadline() (at time.Duration, ok bool) {
	for _, t := range m.timers {
		if t > 0 && (!ok || t < at) {
			at, ok = t, true
		}
	}
	return at, ok
}

func (m *Machine) after(t timer, d time.Duration) { m.timers[t] = max(m.now+d, 1) }

func (m *Machine) off(ts ...timer) {
	for _, t := range ts {
		m.timers[t] = 0
	}
}

func (m *Machine) wait(d time.Duration, again func()) {
	m.again = again
	m.after(waitTimer, d)
}

func (m *Machine) due(t timer) bool {
	if m.timers[t] == 0 || m.timers[t] > m.now {
		return false
	}
	m.timers[t] = 0
	return true
}

func (m *Machine) tick() {
	if m.due(waitTimer) {
		m.again()
	}
	if m.due(ackTimer) {
		m.recover(AckTimeout, errAckTimeout)
	}
	if m.due(lingerTimer) {
		m.lingered = true
		m.pump()
	}
	if m.due(idleTimer) {
		m.finishSession()
	}
}

// pump sends what may be sent.
func (m *Machine) pump() {
	for m.phase == flowing && !m.doubt.open && len(m.queue) > 0 && m.ready() {
		if m.cfg.Paced && !m.permitted {
			if !m.asking {
				m.asking = true
				m.do(Pace{})
			}
			return // the batch grows meanwhile
		}
		b := m.queue[0]
		m.queue[0] = nil
		m.queue = m.queue[1:]
		m.lingered = false
		m.off(lingerTimer)
		m.send(b)
	}
}

// ready: with nothing in flight the first batch goes at once; else it waits
// until it is full or has lingered. So batches grow by themselves with the load.
func (m *Machine) ready() bool {
	switch {
	case m.window.Len() == 0:
		return true
	case m.window.Len() >= m.cfg.MaxInflightBatches || m.window.Bytes() >= m.cfg.MaxInflightBytes:
		return false
	case len(m.queue) > 1 || m.queue[0].Full() || m.lingered:
		return true
	}
	if m.timers[lingerTimer] == 0 {
		m.after(lingerTimer, m.cfg.Linger)
	}
	return false
}

// progressed goes on after an ack.
func (m *Machine) progressed() {
	if m.window.Len() > 0 {
		m.after(ackTimer, m.cfg.AckTimeout)
	} else {
		m.off(ackTimer)
		if m.phase == draining {
			m.end()
			return
		}
		m.after(idleTimer, m.cfg.IdleClose)
	}
	m.pump()
	m.settled()
}

// completed lets go of the chunks before the last one of a record.
func (m *Machine) completed() {
	for _, b := range m.begun {
		m.count.Bytes += uint64(b.Payload())
		b.Release()
	}
	clear(m.begun)
	m.begun = m.begun[:0]
}

// dropSession ends the session and takes back what it had in flight, in order.
// A record of which only some chunks were acknowledged comes back whole: nobody
// may go on in its middle.
func (m *Machine) dropSession(suspect bool) {
	m.nextRequest() // what a writer has asked, or waits for, beside its session is void
	m.off(waitTimer)
	m.posting, m.doubt.open = false, false
	if m.open {
		m.do(Abort{Session: m.session, Suspect: suspect})
		m.open = false
	}
	back := m.begun
	m.begun = nil
	if m.has(ChunksContinued) {
		m.retired, back = append(m.retired, back...), nil
	}
	for _, b := range m.window.Drain() {
		if g := b.Gap(); g != nil && !m.has(GapUnheard) {
			m.unheard = append(m.unheard, *g)
		}
		if keep(b) && !m.has(InflightDropped) {
			back = append(back, b)
		} else {
			m.retired = append(m.retired, b)
		}
	}
	if m.has(InflightDisorder) {
		slices.Reverse(back)
	}
	m.queue = append(back, m.queue...)
	m.permitted = false
	m.off(lingerTimer, ackTimer, idleTimer)
}

// keep: records, and the markers that stand for refused ones, must get into the
// stream. An open marker, and the gap markers behind it, are the acquisition's:
// the next one writes its own.
func keep(b *mapping.Batch) bool {
	if g := b.Gap(); g != nil {
		return g.Reason == mapping.ReasonRefused || g.Reason == mapping.ReasonDeadLetter
	}
	_, _, data := b.Span()
	_, chunk := b.Unfinished()
	return data || chunk
}

// inflight is the number of sequence numbers taken behind the position.
func (m *Machine) inflight() uint64 {
	n := uint64(0)
	for _, b := range m.begun {
		n += uint64(b.Count())
	}
	m.window.Each(func(b *mapping.Batch) { n += uint64(b.Count()) })
	return n
}

// commit marks the position that the acknowledged records allow: durable + 1,
// or behind the control records that follow it and that this assignment has read.
func (m *Machine) commit(explicit bool) {
	offset := m.passes.Through(m.pos.durable)
	if (offset < m.marked.Offset && !m.has(MarksFall)) || (offset == m.marked.Offset && !explicit) {
		return // a commit never falls
	}
	m.marked = offsets.Mark{Offset: offset, Epoch: m.epoch, Meta: offsets.Meta{
		Next: m.pos.next, Last: m.pos.durable, Parts: m.a.Parts, ID: m.id,
	}}
	if m.has(ControlBare) && offset > m.pos.durable+1 {
		m.marked.Meta = offsets.Meta{}
	}
	m.do(Commit{Mark: m.marked, Explicit: explicit})
}

// ended: the session is over. With something in flight its fate is unknown;
// with nothing in flight the next append opens another one.
func (m *Machine) ended(ev Ended) {
	if !m.open || ev.Session != m.session {
		return
	}
	m.open = false
	switch {
	case m.window.Len() == 0:
		m.off(idleTimer)
	case ev.Err == nil:
		m.recover(SessionEnded, errCleanEnd)
	default:
		m.recover(SessionEnded, ev.Err)
	}
}

// advised: S2 drains this server. A session with nothing in flight is closed
// now; a busy one is left to end by itself, which costs one acquisition.
func (m *Machine) advised(ev Advised) {
	if m.open && ev.Session == m.session && m.window.Len() == 0 {
		m.finishSession()
	}
}

// finishSession closes a session that has nothing in flight. We stay the
// writer: the token stands, and the next append opens a new session.
func (m *Machine) finishSession() {
	if m.open && m.window.Len() == 0 {
		m.do(Finish{Session: m.session})
		m.open = false
	}
}

// release: Kafka gives the partition to somebody else. What is in flight may
// still be acknowledged and committed; nothing new is sent, and nothing is
// fenced any more.
func (m *Machine) release() {
	if m.phase == draining {
		return // told twice
	}
	if m.phase == flowing && m.window.Len() > 0 {
		m.phase = draining
		m.off(waitTimer, lingerTimer, idleTimer)
		return
	}
	m.end()
}

// end lets go of everything.
func (m *Machine) end() {
	m.dropSession(false)
	m.dropAll()
	m.phase = released
	m.timers = [timerCount]time.Duration{}
	m.do(Done{})
}

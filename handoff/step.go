package handoff

import "time"

// Step takes one event at a time of the caller's clock and returns what to do.
// The slice is valid until the next Step.
func (m *Machine) Step(now time.Duration, ev Event) []Action {
	clear(m.out)
	m.now, m.out = now, m.out[:0]
	m.recycle()
	if m.phase == released {
		return nil
	}
	switch ev := ev.(type) {
	case Begin:
		m.begin()
	case Fetched:
		m.fetched(ev)
	case Trouble:
		m.kafkaTrouble(ev)
	case Release:
		m.release()
	case Lost:
		m.end()
	case Acked:
		m.acked(ev)
	case Ended:
		m.ended(ev)
	case Advised:
		m.advised(ev)
	case Paced:
		m.permitted, m.asking = true, false
		m.pump()
	case Tick:
		m.tick()
	case Resume:
		m.resumed(ev)
	default:
		m.reply(ev)
	}
	return m.out
}

// reply takes the answer to the one request that is under way. Answers to
// requests that nobody waits for any more are ignored: what they did, if
// anything, the next reading shows.
func (m *Machine) reply(ev Event) {
	if m.phase == draining || m.phase == held {
		return
	}
	switch ev := ev.(type) {
	case Asked:
		answered(m, ev.ID, ev, m.asked)
	case Created:
		answered(m, ev.ID, ev, m.createdStream)
	case Fenced:
		answered(m, ev.ID, ev, m.fenced)
	case Page:
		answered(m, ev.ID, ev, m.page)
	case EpochEnded:
		answered(m, ev.ID, ev, m.epochEnded)
	case Ranged:
		answered(m, ev.ID, ev, m.ranged)
	case Located:
		answered(m, ev.ID, ev, m.located)
	case Recalled:
		answered(m, ev.ID, ev, m.recalled)
	case Overwritten:
		answered(m, ev.ID, ev, m.overwritten)
	case DeadLettered:
		answered(m, ev.ID, ev, m.posted)
	}
}

func answered[E any](m *Machine, id uint64, ev E, take func(E)) {
	if id == m.request {
		take(ev)
	}
}

func (m *Machine) nextRequest() uint64 {
	m.request++
	return m.request
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

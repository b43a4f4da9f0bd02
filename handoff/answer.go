package handoff

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// What follows is for losses: Kafka or S2 no longer has what an exact copy
// needs. Without an answer the partition is held. With one, given once or in
// advance, it goes on, and what is given up stands in the stream:
//
//	    durable          Kafka's log start
//	7  8  9 |  10 11 12 13  | 14 15
//	        |  gone         |
//	fence, open{resume 10}, gap{10 to 14, retention}, 14, 15 ...
//
// Whether a marker has landed is never remembered: each acquisition finds the
// loss anew, or finds the marker.

// permission is an operator's answer, until it has done its work.
type permission struct {
	answer Answer // "": none
	to     Hold
	used   bool // by the acquisition under way
}

// answerTo is what somebody said to a hold, once or in advance; "" nothing.
func (m *Machine) answerTo(r Reason) Answer {
	// Where the stream has got behind the loss that a word was given for, this is
	// another loss, though nobody has seen the ack of that one's marker.
	end := m.found.durable + 1
	fits := func(w permission) bool {
		return w.answer != "" && w.to.Reason == r && (r != RetentionLost || w.to.To > end) && (r != Truncated || w.to.To >= end)
	}
	if fits(m.word) {
		m.word.used = true
		return m.word.answer
	}
	if i := slices.IndexFunc(m.kept, fits); i >= 0 {
		return m.kept[i].answer
	}
	return m.cfg.Policy.Standing[r]
}

// unfit says why an answer cannot be taken.
func (m *Machine) unfit(a Answer) error {
	if m.phase != held {
		return fmt.Errorf("the partition is not held: it is %s", m.phase)
	}
	fits := m.hold.Reason.Answers()
	switch {
	case a == AnswerNewStream && slices.Contains(fits, a):
		return fmt.Errorf("stream.name must contain {topic_id} for that: change it and restart the bridge")
	case !slices.Contains(fits, a):
		names := make([]string, len(fits))
		for i, f := range fits {
			names[i] = string(f)
		}
		return fmt.Errorf("%q does not fit: the partition is held (%s), which takes %s", a, m.hold.Reason, strings.Join(names, ", "))
	}
	return nil
}

// resumed takes the operator's answer. It gives leave, no more: what is really
// lost is looked for again, from the beginning.
func (m *Machine) resumed(ev Resume) {
	if m.unfit(ev.Answer) != nil {
		return
	}
	m.word = permission{answer: ev.Answer, to: m.hold}
	if ev.Answer == AnswerRetry {
		m.kept = nil
	}
	m.adopting, m.compared = ev.Answer == AnswerAdopt, false
	m.failures = 0
	m.off(waitTimer)
	m.lookAgain(Answered)
}

// lookAgain leaves a hold. Where no record has come yet there is still nothing
// to acquire for, unless something has to be written.
func (m *Machine) lookAgain(why Cause) {
	if m.searching && (m.word.answer == "" || m.word.answer == AnswerRetry) {
		m.phase = locating
		m.looked, m.bare, m.unknownEnd = false, false, 0
		m.ask()
		return
	}
	m.acquire(why)
}

// behind: S2 has less than it acknowledged. from is the first offset that it
// may lack, -1 unknown; goOn is taken where somebody said what to do.
func (m *Machine) behind(from int64, detail string, goOn func()) {
	lost := m.floor.durable + 1
	if w := m.word.to; w.Reason == S2Behind && w.From < w.To && from < w.From {
		m.word = permission{} // it was given for less
	}
	switch m.answerTo(S2Behind) {
	case AnswerReplay:
		m.forget()
		m.rewind, m.skipTo = true, 0
	case AnswerGap:
		m.forget()
		m.skipTo = max(m.skipTo, lost)
	default:
		if from < 0 {
			from = lost
		}
		m.stopAt(Hold{Reason: S2Behind, Detail: detail, From: from, To: lost})
		return
	}
	if m.word.to.Reason == S2Behind {
		m.word = permission{} // what it allowed is forgotten already
	}
	goOn()
}

// forget gives up what was acknowledged: from here on the stream is as it is.
// If that is empty, it begins anew, though not as one that nobody ever wrote:
// see begins.
func (m *Machine) forget() {
	m.anew = true
	switch {
	case m.floor.next > 0:
		m.bound = m.floor.durable + 1 // from there on nothing was ever copied
	case m.bound < 0:
		m.bound = unbounded
	}
	m.floor = position{durable: -1, epoch: -1}
	// What the commit passed is read again: what retention took of it is told.
	m.marked.Offset, m.marked.Last = max(m.marked.Offset, m.marked.Last+1), disbelieved
	m.dropAll()
	m.from = -1
	m.do(Pause{})
}

// disbelieved is the Last of a commit that no position is equal to.
const disbelieved = int64(-2)

// noCut: the stream holds nothing that Kafka has dropped.
const noCut = int64(-2)

// truncated: from offset `from` on (-1: unknown) the stream holds a history that
// Kafka has dropped since.
func (m *Machine) truncated(from int64, detail string) {
	to := m.found.durable + 1
	from = min(from, m.found.durable)
	if m.suspect >= 0 {
		from = min(from, m.suspect) // retention may have taken the place since, and Kafka tells a later one
	}
	if m.word.to.Reason == Truncated && max(from, 0) < m.word.to.From {
		m.word = permission{} // it was given for less
	}
	if m.answerTo(Truncated) != AnswerGap && !m.has(CutUnasked) {
		m.stopAt(Hold{Reason: Truncated, Detail: detail, From: max(from, 0), To: to})
		m.suspected(from) // Kafka may have said it once, and never say it again
		return
	}
	if m.phase == locating {
		m.acquire(First) // only the writer can leave a marker
		return
	}
	// Nothing that was fetched, and no commit behind durable, is of Kafka's
	// present log for sure.
	m.dropAll()
	m.from, m.cutAt = -1, from
	m.suspected(from) // until the marker stands: where it is lost, the cut must be found anew
	m.found.epoch, m.found.covered, m.found.since, m.found.told = -1, true, max(from, 0), 0
	m.askRange()
}

// suspected notes where another history may begin, if that is known.
func (m *Machine) suspected(from int64) {
	if from >= 0 && (m.suspect < 0 || from < m.suspect) {
		m.suspect = from
	}
}

// expected: a position above the end of Kafka's log is no sign of a truncation,
// because a marker says so already or because the copy is to begin there.
func (m *Machine) expected(end int64) bool {
	return (m.found.covered && end >= m.found.since) || m.starts(m.reach())
}

// starts: the policy says that copies begin there.
func (m *Machine) starts(offset int64) bool {
	start := m.cfg.Policy.Start
	return start.From == FromOffset && start.Offset == offset
}

// giveUp has a gap marker written behind the open marker.
func (m *Machine) giveUp(reason string, from, to int64) {
	m.gaps = append(m.gaps, m.gap(reason, from, to))
}

func (m *Machine) gap(reason string, from, to int64) mapping.Gap {
	return mapping.Gap{From: from, To: to, Reason: reason, At: m.cfg.Zero.Add(m.now).UnixMilli()}
}

// unlanded: the reading has not found a gap marker that was sent, and whose ack
// never came.
func (m *Machine) unlanded(g mapping.Gap) bool {
	switch p := m.found; {
	case m.fresh:
		return true
	case g.Reason == mapping.ReasonTruncation && p.durable < g.To: // it names what the stream holds anyway
		return !p.covered || p.since != g.From
	default:
		return p.durable < g.To-1
	}
}

// heard: the ack of some gap markers was lost, and the reading has found them in
// the stream. They count as others do, and are told.
func (m *Machine) heard() {
	for _, g := range m.unheard {
		m.count.Missing[classes[g.Reason]] += uint64(g.To - g.From)
	}
	if len(m.unheard) > 0 {
		m.lastGaps = m.unheard
	}
	m.unheard = nil
}

// givenUp: a gap marker is acknowledged, and with it the offsets are accounted
// for.
func (m *Machine) givenUp(g mapping.Gap) {
	m.count.Missing[MissingLegal] += uint64(max(g.From-m.pos.durable-1, 0))
	m.count.Missing[classes[g.Reason]] += uint64(g.To - g.From)
	m.pos.durable, m.pos.epoch = g.To-1, -1
	m.foreign = m.foreign && g.From < g.To
	if m.pos.covered = g.Reason == mapping.ReasonTruncation; m.pos.covered {
		m.pos.since, m.pos.told, m.suspect, m.witnessed = g.From, m.pos.next, -1, false
	}
	m.lastGaps = []mapping.Gap{g}
}

// classes tells which class of missing offsets a gap marker's reason is.
var classes = map[string]Missing{
	mapping.ReasonRetention:  MissingRetention,
	mapping.ReasonTruncation: MissingTruncation,
	mapping.ReasonRefused:    MissingRefused,
	mapping.ReasonDeadLetter: MissingDeadLetter,
	mapping.ReasonOperator:   MissingOperator,
}

// spent takes the operator's word back where it has done its work, or was not
// needed: it was given for one loss.
func (m *Machine) spent() {
	if m.skipTo <= m.pos.durable+1 {
		m.skipTo = 0
	}
	if m.word.answer == "" && len(m.kept) == 0 && !m.adopting {
		return
	}
	waits := m.word.to.Reason == RecordRefused && m.pos.durable < m.word.to.From
	m.window.Each(func(b *mapping.Batch) { waits = waits || b.Gap() != nil && !keep(b) })
	if !waits && !m.has(WordKept) {
		m.word, m.kept, m.adopting = permission{}, nil, false
	}
}

// overwrite commits the lower position before anything is appended. The other
// way round, a crash between would leave a commit of ours that counts more than
// the stream holds, and the next owner would ask the operator again.
func (m *Machine) overwrite() {
	m.do(Overwrite{ID: m.nextRequest(), Mark: offsets.Mark{Offset: m.found.durable + 1, Epoch: m.epoch, Meta: offsets.Meta{
		Next: m.found.next, Last: m.found.durable, Parts: m.a.Parts, ID: m.id,
	}}})
}

func (m *Machine) overwritten(ev Overwritten) {
	if ev.Err != nil {
		m.retry(fmt.Errorf("commit the lower offset: %w", ev.Err), m.overwrite)
		return
	}
	m.marked = ev.Mark
	m.rewind = false
	m.repositioned() // trouble may have come meanwhile
}

// endEvery is how often Kafka's end is looked at while the position stands above
// it.
const endEvery = 5 * time.Second

// awaitEnd: what the stream goes on with does not exist yet. Reading there would
// be out of range, so the end is watched.
func (m *Machine) awaitEnd() { m.wait(endEvery, m.askRange) }

func (m *Machine) endSeen(ev Ranged) {
	switch {
	case ev.Err == nil && m.pos.covered && ev.End < m.pos.since && !m.starts(m.await):
		// Cut again, and further down than the marker says; or a new leader that
		// has not caught up with itself. The acquisition tells.
		m.dropSession(false)
		m.acquire(KafkaPosition)
		return
	case ev.Err != nil || ev.End < m.await:
		m.awaitEnd()
		return
	}
	m.found = m.pos
	m.seek(m.await)
	m.await = -1
}

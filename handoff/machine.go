package handoff

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// phase is where a partition is in its life.
//
//	locating --> idle --> acquiring <--> flowing --> draining --> released
//	                          |              |
//	                          +---> held <---+
type phase uint8

const (
	locating  phase = iota // no commit of ours: asking S2 where to start, touching nothing
	idle                   // reading may go on, nothing has come yet: S2 is not involved
	acquiring              // steps 1 to 5 below
	flowing                // we are the writer
	draining               // given up by Kafka: waiting for the last acks, at most until the deadline
	released               // the end
	held                   // stopped, with a reason
)

var phaseNames = [...]string{"locating", "idle", "acquiring", "flowing", "draining", "released", "held"}

func (p phase) String() string { return phaseNames[p] }

// position is how far a stream is.
type position struct {
	durable int64  // Kafka offset up to which it is complete
	epoch   int32  // leader epoch of the record at base, -1 unknown
	base    int64  // durable, or the newest record below the gap markers that end there
	next    uint64 // sequence number behind the last data record or marker of ours
	covered bool   // a truncation's gap marker ends there: nothing below is of Kafka's present log
	since   int64  // where that begins
	told    uint64 // sequence number behind that marker; 0: it is not written yet
}

// exact is the epoch of the record at durable itself, -1 unknown.
func (p position) exact() int32 {
	if p.base != p.durable {
		return -1
	}
	return p.epoch
}

// Machine is the owner of one partition, as a pure state machine.
//
// Why every record is in the stream exactly once, in order:
//
//   - The position comes from the stream, and only from a reading made after our
//     own fence was acknowledged and that contains this fence (3). Whatever an
//     earlier owner, or we before, had under way can no longer land: it carries
//     an older token.
//   - From there every append names the sequence number that it must get and our
//     token (send). So it lands once, behind its predecessor, or not at all.
//   - An ack counts only if it is the expected one (acked). Only then durable
//     moves, and only behind durable a commit is made.
//   - Any failure means "unknown" (recover): what was in flight goes back to the
//     front of the queue, and 1 to 5 find out what the stream holds.
type Machine struct {
	cfg Config
	a   Assignment
	id  string // the identity's eight characters
	now time.Duration
	out []Action

	phase    phase
	first    bool // no acquisition of this assignment has succeeded yet
	request  uint64
	again    func() // what the wait timer goes on with
	timers   [timerCount]time.Duration
	failures int // in a row, for the back-off
	denials  int // in a row: S2 refused our token
	trouble  error

	// What Kafka gave (intake.go, start.go).
	cut       uint64
	from      int64 // from this offset on we hold everything that Kafka served; -1 unknown
	taken     int64 // offset of the last record taken
	lastData  int64 // everything between this data record and taken is without data
	queue     []*mapping.Batch
	passes    offsets.Passes
	refused   *mapping.Refused
	letter    *Letter // refused goes to the dead letter topic
	posting   bool    // it is on its way there
	doubt     doubt   // is it still of Kafka's log
	suspect   int64   // an offset at or above which Kafka may hold another history; -1 none
	witnessed bool    // by Kafka's client, with an epoch that it had read; a commit's may be too low
	fruitless int     // Seeks in a row that Kafka answered with trouble alone

	// Acquisition.
	tail       uint64
	looked     bool // the tail was below the floor once already
	bare       bool // there was a tail without a token once already
	created    bool
	seen       string
	token      string
	mine       map[string]bool // tokens of this assignment, abandoned ones too
	fence      uint64
	reading    readback
	found      position
	fresh      bool  // the stream has never held a record of ours
	unread     int   // readings in a row that failed
	epochEnds  int64 // where Kafka said that the position's epoch ends; 0: it was not asked
	doubted    bool  // the position was above Kafka's end, and the epoch was asked about once more
	passing    bool  // the question under way is about the commit's epoch
	trusted    trust // whether what a commit of ours passed was without data
	unknownEnd int   // times in a row that Kafka did not know the epoch, or the position
	rivals     rivals

	// Losses, and what somebody said to them (answer.go, adopt.go).
	word      permission
	kept      []permission  // used, but another loss behind theirs wants an answer first
	searching bool          // the hold found us locating
	bound     int64         // a stream that is empty now was complete below it; -1: it never held anything
	origin    int64         // where an empty stream begins; -1 not known, or the log start
	anew      bool          // an empty stream is one that S2 lost
	gaps      []mapping.Gap // to be written behind the open marker
	emptied   int64         // below it Kafka deleted what was passed already: control records
	cutAt     int64         // from there on Kafka has another history; noCut, -1 unknown
	skipTo    int64         // offsets below it were given up; 0: none
	rewind    bool          // the group's commit is above the position, and is to be overwritten
	await     int64         // Kafka's log must reach this offset first; -1
	adopting  bool
	foreign   bool // the stream was adopted, and its leader epochs are not hidden by a marker yet
	comparing *comparison
	compared  bool
	twin      position      // the stream's newest record, with the leader epoch that it has at Kafka
	lastGaps  []mapping.Gap // acknowledged, or found, last
	unheard   []mapping.Gap // sent, and the session was gone before the ack

	// The writer.
	session   uint64
	open      bool // a session is open
	opened    bool // our open marker is acknowledged
	window    offsets.Window[*mapping.Batch]
	begun     []*mapping.Batch // acknowledged chunks of a record whose last one is not: it may have to be sent anew
	lingered  bool
	permitted bool             // one append may go
	asking    bool             // a permit was asked for
	retired   []*mapping.Batch // not needed any more; a session may read them until this step's Abort
	pos       position
	floor     position // highest position that this assignment saw or a commit of ours names
	marked    offsets.Mark
	epoch     int32 // highest leader epoch used in a mark

	hold  Hold
	count Counters
}

// NewMachine returns the machine of an assignment; its first event is Begin.
func NewMachine(cfg Config, a Assignment) *Machine {
	a.New = a.New && cfg.Defect != NewByPolicy
	m := &Machine{
		cfg: cfg, a: a, id: a.Identity.Hash(), phase: locating, first: true,
		from: -1, taken: -1, lastData: -1, suspect: -1, epoch: -1, origin: -1, bound: -1, cutAt: noCut, await: -1,
		mine: map[string]bool{}, pos: position{durable: -1, epoch: -1}, floor: position{durable: -1, epoch: -1},
		marked: offsets.Mark{Offset: -1, Epoch: -1, Meta: offsets.Meta{Last: -1}},
	}
	if c := a.Commit; c != nil {
		m.phase, m.from, m.lastData = idle, ReadsFrom(c), c.Last
		m.taken = m.from - 1
		m.floor = position{durable: c.Last, epoch: -1, next: c.Next}
		m.pos, m.found = m.floor, m.floor
		m.marked, m.epoch = offsets.Mark(*c), c.Epoch
		m.bound = m.from
	}
	return m
}

// acquire begins the one way to become, or to be again, the writer.
func (m *Machine) acquire(reason Cause) {
	m.phase = acquiring
	m.count.Acquisitions[reason]++
	m.looked, m.bare, m.created, m.doubted, m.unknownEnd = false, false, false, false, 0
	m.gaps, m.cutAt, m.await, m.comparing, m.epochEnds, m.trusted = nil, noCut, -1, nil, 0, unknown
	m.word.used = false
	if m.has(StartAnew) {
		m.origin = -1
	}
	m.rivals.settled()
	m.ask()
}

// 1. Ask, without touching anything.
func (m *Machine) ask() {
	m.comparing = nil
	m.do(Ask{ID: m.nextRequest()})
}

func (m *Machine) asked(ev Asked) {
	if ev.Err != nil {
		m.retry(fmt.Errorf("ask the stream for its tail and token: %w", ev.Err), m.ask)
		return
	}
	if ev.Tail < m.floor.next && !m.has(NoFloor) {
		// A tail may be read from a replica that is behind: look once more.
		if !m.looked && !m.has(SingleLook) {
			m.looked = true
			m.wait(2*time.Second, m.ask)
			return
		}
		m.behind(-1, fmt.Sprintf("the stream ends at sequence number %d, but records up to %d were acknowledged", ev.Tail, m.floor.next), func() { m.asked(ev) })
		return
	}
	m.looked, m.tail = false, ev.Tail
	switch {
	case ev.Exists:
		m.judge(ev.Token)
	case m.phase == locating:
		m.startAnew()
	case m.created:
		m.created = false
		m.retry(errors.New("ask the stream for its tail: it was created, and is missing again"), m.ask)
	default:
		m.do(Create{ID: m.nextRequest()})
	}
}

func (m *Machine) createdStream(ev Created) {
	if ev.Err != nil {
		m.retry(fmt.Errorf("create the stream: %w", ev.Err), m.ask)
		return
	}
	m.created = true
	m.ask()
}

// 2. Fence, on condition of the token that was just seen, so that nobody slips
// in between. The token is fresh: what an earlier try of ours still has under
// way must not pass for it.
func (m *Machine) fenceOn(seen string) {
	m.seen, m.token = seen, m.freshToken()
	m.mine[m.token] = true
	m.do(Fence{ID: m.nextRequest(), Token: m.token, Seen: seen, Tail: m.tail})
}

func (m *Machine) fenced(ev Fenced) {
	if ev.Err == nil {
		m.fence, m.unread = ev.Seq, 0
		m.readFrom(ev.Seq+1, lookForPosition)
		return
	}
	if actual, ok := fencedBy(ev.Err); ok && m.mine[actual] {
		// Our fence before this one landed though its answer was lost. It
		// stands between us and nobody: fence on top of it.
		m.fenceOn(actual)
		return
	}
	// Another token, or unknown: perhaps it landed. Asking again tells.
	m.retry(fmt.Errorf("fence the stream: %w", ev.Err), m.ask)
}

// 3. Only now read, backwards from the fence (readback.go), and stand on what
// is found.
func (m *Machine) positioned(p position, fresh bool) {
	m.found, m.fresh, m.passing = p, fresh, false
	m.unheard = slices.DeleteFunc(m.unheard, m.unlanded) // before Kafka is asked: it may have been cut back once more
	switch {
	case !fresh:
		m.origin = -1 // somebody began it, perhaps elsewhere: should it get lost, it does not begin there
	case fresh && m.origin >= 0:
		m.found.durable = m.within(m.origin) - 1
	case fresh && m.from >= 0:
		m.found.durable = m.from - 1
	}
	m.check(p) // 4: then, if both sides agree, repositioned and takeOver
}

// 5. Drop what is there already, and go on behind it. The open marker goes
// first: it fixes the position in the stream also when nothing follows yet.
func (m *Machine) takeOver() {
	if m.rewind && m.marked.Offset > m.found.durable+1 {
		m.overwrite() // and then again
		if !m.has(AppendFirst) {
			return
		}
		m.nextRequest()
	}
	m.rewind = false
	m.dropThrough(m.found.durable)
	m.heard()
	m.pos, m.unknownEnd = m.found, 0
	if m.cutAt == noCut {
		m.suspect, m.witnessed = -1, false
	}
	m.pos.next = m.fence + 1
	if !m.fresh { // where a stream starts, nobody has acknowledged yet
		m.raiseFloor(m.found)
	}
	m.phase, m.first, m.opened = flowing, false, false
	m.rivals.settled()
	m.epoch = max(m.epoch, m.found.epoch)
	epoch := int32(-1)
	if len(m.queue) > 0 {
		epoch = m.queue[0].FirstEpoch()
	}
	id := m.a.Identity
	m.send(mapping.OpenMarker(mapping.Open{
		V: 1, Cluster: id.Cluster, Topic: id.Topic, TopicID: id.TopicUUID(), Partition: id.Partition,
		Group: m.cfg.Group, Bridge: m.cfg.Bridge, Resume: m.found.durable + 1, Epoch: epoch,
	}))
	if m.has(CommitAtOpen) {
		m.commit(true)
	}
	if (m.adopting || m.foreign) && !m.fresh {
		// Leader epochs below are another cluster's: an empty gap marker keeps the
		// next owner from asking Kafka for them. It goes before those that name
		// something, or the position would fall behind them.
		m.send(mapping.GapMarker(m.gap(mapping.ReasonOperator, m.found.durable+1, m.found.durable+1)))
	}
	for _, g := range m.gaps {
		m.send(mapping.GapMarker(g))
		if m.has(GapCommitted) {
			m.do(Commit{Mark: offsets.Mark{Offset: g.To, Epoch: m.epoch, Meta: offsets.Meta{Next: m.pos.next, Last: m.pos.durable, Parts: m.a.Parts, ID: m.id}}})
		}
	}
	m.gaps = nil
	if m.await >= 0 {
		m.awaitEnd()
	}
	m.pump()
}

// send puts a batch in flight behind everything that is in flight already.
func (m *Machine) send(b *mapping.Batch) {
	if !m.open {
		m.open = true
		m.session++
		m.do(Open{Session: m.session})
	}
	b.Seal()
	seq := m.pos.next + m.inflight()
	m.window.Push(seq, b.Count(), len(b.Bytes()), b)
	m.permitted = false
	if m.window.Len() == 1 {
		m.after(ackTimer, m.cfg.AckTimeout)
	}
	m.off(idleTimer)
	m.do(Send{Session: m.session, Batch: b, Seq: seq, Token: m.token})
}

// acked believes an ack only if it is the expected one: then, and only then,
// durable moves.
func (m *Machine) acked(ev Acked) {
	if ev.Session != m.session || (m.phase != flowing && m.phase != draining) {
		return // of a session that is no longer ours: the reading decides
	}
	b, err := m.window.Ack(ev.Start, ev.End)
	if err != nil {
		m.recover(AckMismatch, err)
		return
	}
	m.denials, m.hold = 0, Hold{}
	if _, ok := b.Unfinished(); ok {
		// The record is not there before its last chunk is. Until then these
		// sequence numbers prove nothing: position, floor and commits stay.
		m.begun = append(m.begun, b)
		m.progressed()
		return
	}
	m.pos.next = ev.End
	_, last, data := b.Span()
	switch {
	case b.Gap() != nil:
		m.givenUp(*b.Gap())
		m.commit(true)
	case data:
		m.count.Missing[MissingLegal] += uint64(max(last-m.pos.durable-int64(b.Records()), 0))
		m.pos.durable, m.pos.epoch, m.pos.base, m.pos.covered = last, b.Epoch(), last, false
		m.epoch, m.foreign = max(m.epoch, b.Epoch()), false
		m.count.Records += uint64(b.Records())
		m.count.Bytes += uint64(b.Payload())
		m.completed()
		m.commit(false)
	case !m.opened:
		m.opened = true
		m.commit(true)
	}
	// A record that was cut must be through before the pauses become short
	// again: what fails in its middle each time would else hammer S2.
	if data || len(m.queue) == 0 {
		m.failures, m.trouble = 0, nil
	}
	m.spent()
	m.raiseFloor(m.pos)
	b.Release()
	m.progressed()
	m.adopted()
}

// recover is what any failure leads to: nothing is known about what was in
// flight, so it is held again, the session is dropped, and the stream is asked.
func (m *Machine) recover(cause Cause, err error) {
	m.dropSession(cause == AckTimeout)
	if m.phase == draining && !m.has(FenceWhileLeaving) {
		m.end() // given up: whoever is next finds out
		return
	}
	m.phase = acquiring
	m.retry(err, func() { m.acquire(cause) })
}

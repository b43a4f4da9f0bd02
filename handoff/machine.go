package handoff

import (
	"errors"
	"fmt"
	"math/rand/v2"
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

// Assignment is what Kafka says when it gives a partition to this process.
type Assignment struct {
	Identity   mapping.Identity
	Generation int64           // group generation, or member epoch
	Commit     *offsets.Commit // the group's commit, where it is ours; else nil
	Parts      int32           // the topic's partition count
}

// Config is what a machine needs to know besides its assignment.
type Config struct {
	Group, Bridge      string        // names for the open marker: consumer group, bridge version
	MaxInflightBytes   int           // sent and not acknowledged, encoded bytes
	MaxInflightBatches int           // the same in batches
	Linger             time.Duration // how long a batch that is not full waits while others are in flight
	AckTimeout         time.Duration // no ack for so long with something in flight: the path is dead
	IdleClose          time.Duration // a session without traffic is closed after this
	SessionTimeout     time.Duration // the group's: how long a zombie may be unaware
	BackoffMin         time.Duration // first pause after a failure
	BackoffMax         time.Duration // longest pause
	Paced              bool          // ask for a permit before each append
	Rand               *rand.Rand    // for tokens and jitter
}

// position is how far a stream is.
type position struct {
	durable int64  // Kafka offset up to which it is complete
	epoch   int32  // leader epoch of the record at exactly that offset, -1 unknown
	next    uint64 // sequence number behind the last data record or marker of ours
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
	suspect   int64 // an offset at or above which Kafka may hold another history; -1 none
	fruitless int   // Seeks in a row that Kafka answered with trouble alone

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
	fresh      bool // the stream has never held a record of ours
	stirred    bool // Kafka reported trouble since the position was checked
	unread     int  // readings in a row that failed
	passing    bool // the question under way is about the commit's epoch
	unknownEnd int  // times in a row that Kafka did not know the epoch, or the position
	rivals     rivals

	// The writer.
	session   uint64
	open      bool // a session is open
	opened    bool // our open marker is acknowledged
	window    offsets.Window[*mapping.Batch]
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
	m := &Machine{
		cfg: cfg, a: a, id: a.Identity.Hash(), phase: locating, first: true,
		from: -1, taken: -1, lastData: -1, suspect: -1, epoch: -1,
		mine: map[string]bool{}, pos: position{durable: -1, epoch: -1}, floor: position{durable: -1, epoch: -1},
		marked: offsets.Mark{Offset: -1, Epoch: -1},
	}
	if c := a.Commit; c != nil {
		m.phase, m.from, m.taken, m.lastData = idle, c.Offset, c.Offset-1, c.Last
		m.floor = position{durable: c.Last, epoch: -1, next: c.Next}
		m.pos = m.floor
		m.marked, m.epoch = offsets.Mark(*c), c.Epoch
	}
	return m
}

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
	default:
		m.reply(ev)
	}
	return m.out
}

// reply takes the answer to the one request that is under way. Answers to
// requests that nobody waits for any more are ignored: what they did, if
// anything, the next reading shows.
func (m *Machine) reply(ev Event) {
	if m.phase != locating && m.phase != acquiring {
		return
	}
	switch ev := ev.(type) {
	case Asked:
		if ev.ID == m.request {
			m.asked(ev)
		}
	case Created:
		if ev.ID == m.request {
			m.createdStream(ev)
		}
	case Fenced:
		if ev.ID == m.request {
			m.fenced(ev)
		}
	case Page:
		if ev.ID == m.request {
			m.page(ev)
		}
	case EpochEnded:
		if ev.ID == m.request {
			m.epochEnded(ev)
		}
	case Ranged:
		if ev.ID == m.request {
			m.ranged(ev)
		}
	}
}

// acquire begins the one way to become, or to be again, the writer.
func (m *Machine) acquire(reason Cause) {
	m.phase = acquiring
	m.count.Acquisitions[reason]++
	m.looked, m.bare, m.created, m.unknownEnd = false, false, false, 0
	m.rivals.settled()
	m.ask()
}

// 1. Ask, without touching anything.
func (m *Machine) ask() { m.do(Ask{ID: m.nextRequest()}) }

func (m *Machine) asked(ev Asked) {
	if ev.Err != nil {
		m.retry(fmt.Errorf("ask the stream for its tail and token: %w", ev.Err), m.ask)
		return
	}
	if ev.Tail < m.floor.next {
		// A tail may be read from a replica that is behind: look once more.
		if !m.looked {
			m.looked = true
			m.wait(2*time.Second, m.ask)
			return
		}
		m.stop(S2Behind, fmt.Sprintf("the stream ends at sequence number %d, but records up to %d were acknowledged", ev.Tail, m.floor.next))
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
	m.do(Fence{ID: m.nextRequest(), Token: m.token, Seen: seen})
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
	m.found, m.fresh, m.stirred, m.passing = p, fresh, false, false
	if fresh && m.from >= 0 {
		m.found.durable = m.from - 1
	}
	// 4. Check, before the first data append. S2 first: it must not have lost
	// what this assignment saw, or what a commit of ours counts.
	if p.next < m.floor.next || (!fresh && p.durable < m.floor.durable) {
		m.stop(S2Behind, fmt.Sprintf("the stream is complete up to offset %d (sequence number %d), but offset %d (%d) was acknowledged",
			p.durable, p.next, m.floor.durable, m.floor.next))
		return
	}
	// Then Kafka: the record at durable must still be of its log.
	switch {
	case p.epoch < 0:
		m.unasked()
	case !m.rewritten():
		m.askEpoch()
	}
}

// unasked is for a position that Kafka cannot be asked about: what it said by
// itself must do.
func (m *Machine) unasked() {
	if m.suspect >= 0 && m.suspect <= m.found.durable {
		m.stop(Truncated, fmt.Sprintf("Kafka's log was cut back to offset %d, below offset %d which the stream holds", m.suspect, m.found.durable))
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
	case c.Last != m.found.durable || c.Offset <= max(end, m.found.durable+1) || c.Epoch < 0:
		m.repositioned()
	case m.suspect >= 0 && m.suspect < c.Offset:
		m.disbelieve()
	default:
		m.passing = true
		m.do(EpochEnd{ID: m.nextRequest(), Epoch: c.Epoch})
	}
}

// disbelieve reads on at durable + 1, and commits nothing more before there are
// records that pass the commit.
func (m *Machine) disbelieve() {
	m.marked.Last = -2
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
	if p.epoch < 0 || m.epochThrough(p.durable) <= p.epoch {
		return false
	}
	m.stop(Truncated, fmt.Sprintf("Kafka now serves other records at or below offset %d, which the stream holds with leader epoch %d", p.durable, p.epoch))
	return true
}

func (m *Machine) askEpoch() { m.do(EpochEnd{ID: m.nextRequest(), Epoch: m.found.epoch}) }

func (m *Machine) epochEnded(ev EpochEnded) {
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
	case ev.End <= m.found.durable:
		m.stop(Truncated, fmt.Sprintf("leader epoch %d ends at offset %d in Kafka's log, but the stream holds records of it up to offset %d", m.found.epoch, ev.End, m.found.durable))
		return
	}
	m.passed(ev.End)
}

// 5. Drop what is there already, and go on behind it. The open marker goes
// first: it fixes the position in the stream also when nothing follows yet.
func (m *Machine) takeOver() {
	m.dropThrough(m.found.durable)
	m.pos, m.suspect, m.unknownEnd = position{m.found.durable, m.found.epoch, m.fence + 1}, -1, 0
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
	m.failures, m.denials, m.trouble, m.hold = 0, 0, nil, Hold{}
	m.pos.next = ev.End
	if _, last, ok := b.Span(); ok {
		m.pos.durable, m.pos.epoch = last, b.Epoch()
		m.epoch = max(m.epoch, b.Epoch())
		m.count.Records += uint64(b.Records())
		m.count.Bytes += uint64(b.Payload())
		m.commit(false)
	} else if !m.opened {
		m.opened = true
		m.commit(true)
	}
	m.raiseFloor(m.pos)
	b.Release()
	m.progressed()
}

// recover is what any failure leads to: nothing is known about what was in
// flight, so it is held again, the session is dropped, and the stream is asked.
func (m *Machine) recover(cause Cause, err error) {
	m.dropSession(cause == AckTimeout)
	if m.phase == draining {
		m.end() // given up: whoever is next finds out
		return
	}
	m.phase = acquiring
	m.retry(err, func() { m.acquire(cause) })
}

// dropSession ends the session and takes back what it had in flight, in order.
func (m *Machine) dropSession(suspect bool) {
	if m.open {
		m.do(Abort{Session: m.session, Suspect: suspect})
		m.open = false
	}
	var back []*mapping.Batch
	for _, b := range m.window.Drain() {
		if _, _, ok := b.Span(); ok {
			back = append(back, b)
		} else {
			m.retired = append(m.retired, b) // an open marker; the next acquisition writes its own
		}
	}
	m.queue = append(back, m.queue...)
	m.permitted = false
	m.off(lingerTimer, ackTimer, idleTimer)
}

func (m *Machine) inflight() uint64 {
	n := uint64(0)
	m.window.Each(func(b *mapping.Batch) { n += uint64(b.Count()) })
	return n
}

func (m *Machine) nextRequest() uint64 {
	m.request++
	return m.request
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

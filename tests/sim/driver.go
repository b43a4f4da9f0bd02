package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// owner drives one machine as handoff.Owner does: what comes lies in a mailbox
// until the process runs, actions are carried out in their order, answers and
// acks come back as events.
type owner struct {
	w       *world
	m       *process
	p       *partition
	name    string
	machine *handoff.Machine
	born    time.Duration
	mail    []handoff.Event
	called  bool // a look into the mailbox is planned
	alarm   uint64

	sessions map[uint64]*session // asked by number only
	newest   *session
	paceAt   time.Duration
	drainBy  time.Duration
	done     bool

	outstanding int             // requests whose answers it has not taken
	claims      int             // of these, those that take a slot of their own
	tickets     map[uint64]bool // and have it
	slots       int             // that it holds

	id         mapping.Identity
	generation int64
	words      []*word
	known      int64          // highest offset that it may know to be in the stream; -1: none
	news       news           // what its client told it of truncations
	telling    news           // the same, when it sent what is landing
	located    int64          // what it was told about its start; -1: nothing
	fresh      bool           // its partition began after the group did
	set        bool           // it has a commit of ours
	begun      bool           // it knows that the stream has begun
	found      bool           // it had, when it was fenced
	adopting   *word          // by which it took the stream over
	setLower   bool           // it has set the commit back, and has appended nothing since
	rewinding  bool           // it has asked for a lower commit and has no answer
	said       handoff.Status // after the step before
	half       bool           // S2 has named a token of an adoption to it
	untold     []gap          // its gap markers in the stream that it has not told of yet
	opens      uint64         // times that it became the writer
	topic      int            // incarnation of the topic that this is for
	cursor     cursor
	marks      marks
	fences     int
	made       int // incarnation of the stream that it fenced
	flowed     bool
	jumped     *offsets.Commit // that it was assigned with, if a tool had moved it
	blind      bool            // its commit has no leader epoch: its client cannot notice a truncation
	judged     int             // truncations that the newest answer about an epoch knew of; -1: none was given
	stopped    time.Duration   // when it was the writer last

	// For planted bugs.
	lastToken  string            // of its newest fence
	fencedAt   uint64            // where that stands
	readBefore int64             // how far the stream was when it asked
	shown      map[string]string // tokens it was made to see, and what they stood for
	highMark   int64
	phase      string
	reason     handoff.Reason
	mine       map[string]bool // tokens that it tried, for the counters
	answered   map[uint64]bool
}

// news is what an owner knows of truncations: how many there were when it was told
// of one last, and from where on.
type news struct {
	cuts int
	from int64
	lost bool // true or not: it was told so
}

// giveUp is a Release with its deadline.
type giveUp struct {
	handoff.Event
	within time.Duration
}

func (m *process) own(p *partition) *owner {
	w := m.w
	o := &owner{w: w, m: m, p: p, judged: -1, born: w.now, sessions: map[uint64]*session{}, topic: p.topic, mine: map[string]bool{}, answered: map[uint64]bool{},
		shown: map[string]string{}, tickets: map[uint64]bool{}, id: p.id, known: -1, located: -1}
	w.owners++
	p.owners++
	p.blow()
	o.name = fmt.Sprintf("%s/%s#%d", m.name, p.name, w.owners)
	a := handoff.Assignment{Identity: p.id, Generation: w.group.generation, Commit: p.ours(), Parts: int32(w.parts())}
	if c := p.commit; c != nil && a.Commit == nil {
		if _, bridge := offsets.ParseMeta(c.meta); bridge {
			a.New = true // of another topic, or cluster, that had the name
		}
	}
	if n := p.parts(); n >= 0 && p.index >= n {
		a.New = true
		w.hit("new partition")
	}
	o.generation, o.fresh = a.Generation, a.New
	if o.set = a.Commit != nil; o.set && a.Commit.Next > 0 {
		o.known, o.begun = a.Commit.Last, true
	}
	if o.set {
		o.highMark, o.blind = a.Commit.Offset, a.Commit.Epoch < 0
		if a.Commit.Offset == p.moved {
			o.jumped = a.Commit
		}
	}
	cfg := w.machineConfig
	cfg.Rand = rand.New(rand.NewPCG(w.dice.Uint64(), 7))
	cfg.Zero = time.UnixMilli(int64(w.now / time.Millisecond))
	o.machine = handoff.NewMachine(cfg, a)
	o.startReading(a.Commit)
	m.owners = append(m.owners, o)
	w.say(o.name, "assigned", a.Generation, o.cursor.offset)
	o.said = o.machine.Status()
	o.phase = o.said.Phase
	o.step(handoff.Begin{})
	return o
}

// put lays an event into the mailbox.
func (o *owner) put(ev handoff.Event) {
	if o.done || o.m.dead || ev == nil {
		return
	}
	o.mail = append(o.mail, ev)
	o.call4mail()
}

// answer brings the answer to a request; the first one counts.
func (o *owner) answer(ev handoff.Event) {
	id := requestOf(ev)
	if ev == nil || o.answered[id] {
		return
	}
	o.answered[id] = true
	o.put(reply{ev})
}

func requestOf(ev handoff.Event) uint64 {
	switch ev := ev.(type) {
	case handoff.Located:
		return ev.ID
	case handoff.Recalled:
		return ev.ID
	case handoff.Overwritten:
		return ev.ID
	case handoff.DeadLettered:
		return ev.ID
	case handoff.Asked:
		return ev.ID
	case handoff.Created:
		return ev.ID
	case handoff.Fenced:
		return ev.ID
	case handoff.Page:
		return ev.ID
	case handoff.Ranged:
		return ev.ID
	case handoff.EpochEnded:
		return ev.ID
	}
	return 0
}

func (o *owner) call4mail() {
	if o.called || o.m.paused {
		return
	}
	o.called = true
	o.w.in(o.w.dice.span(0, time.Millisecond), func() {
		o.called = false
		o.run()
	})
}

// run is one turn of the owner's loop.
func (o *owner) run() {
	if o.m.paused || o.m.dead || o.done {
		return
	}
	if o.w.dice.chance(8) {
		o.tick() // its timer may fire first
	}
	mail := o.mail
	o.mail = nil
	for _, ev := range mail {
		o.take(ev)
		if o.done || o.m.dead {
			return
		}
	}
	o.tick()
}

func (o *owner) take(ev handoff.Event) {
	switch ev := ev.(type) {
	case giveUp:
		o.drainBy = o.now() + ev.within
		o.step(handoff.Release{})
	case reply:
		o.replied(ev.Event)
	default:
		o.step(ev)
	}
}

func (o *owner) now() time.Duration { return o.w.now - o.born }

func (o *owner) tick() {
	switch at, ok := o.machine.Deadline(); {
	case o.drainBy > 0 && o.now() >= o.drainBy:
		o.w.hit("drain-deadline")
		o.step(handoff.Lost{})
		return
	case o.paceAt > 0 && o.now() >= o.paceAt:
		o.paceAt = 0
		o.step(handoff.Paced{})
	case ok && o.now() >= at:
		o.step(handoff.Tick{})
	}
	o.arm()
}

// arm plans the next turn for the machine's next deadline.
func (o *owner) arm() {
	if o.done || o.m.dead || o.m.paused {
		return
	}
	next := time.Duration(-1)
	at, ok := o.machine.Deadline()
	if ok {
		next = at
	}
	for _, at := range []time.Duration{o.paceAt, o.drainBy} {
		if at > 0 && (next < 0 || at < next) {
			next = at
		}
	}
	o.alarm++
	if next < 0 {
		return
	}
	alarm := o.alarm
	o.w.at(o.born+next, func() {
		if alarm == o.alarm {
			o.run()
		}
	})
}

func (o *owner) step(ev handoff.Event) {
	if o.done || o.m.dead {
		return
	}
	if ev = o.w.bug.event(o, ev); ev == nil {
		return
	}
	if r, ok := ev.(handoff.Resume); ok {
		if o.topic != o.p.topic && r.Answer == handoff.AnswerAdopt {
			o.w.hit("answer for a topic that is gone") // the new one's owner may get one
			o.renew()
			return
		}
		o.told(r.Answer)
	}
	o.w.see(o, ev)
	if o.done || o.m.dead { // struck at a point on its way
		return
	}
	o.steps(ev)
	paced := o.carryOut(o.machine.Step(o.now(), ev))
	for paced && !o.done && !o.m.dead {
		o.steps(handoff.Paced{})
		paced = o.carryOut(o.machine.Step(o.now(), handoff.Paced{}))
	}
	if !o.done && !o.m.dead {
		o.w.watch(o)
		o.arm()
	}
}

func (o *owner) carryOut(actions []handoff.Action) (paced bool) {
	w := o.w
	for _, a := range actions {
		w.does(o, a)
		switch a := a.(type) {
		case handoff.Send:
			o.sessions[a.Session].send(a.Batch, a.Seq, a.Token)
			w.bug.sent(o, a)
			o.at("after-send")
			if a.Batch.Gap() != nil && !o.m.dead {
				o.at("after-gap-sent")
			}
		case handoff.Open:
			o.newest = &session{o: o, id: a.Session}
			o.sessions[a.Session] = o.newest
		case handoff.Finish:
			o.sessions[a.Session].half()
		case handoff.Abort:
			if x := o.sessions[a.Session]; x != nil {
				x.abort()
			}
		case handoff.Pace:
			if w.dice.chance(2) {
				paced = true
			} else {
				o.paceAt = o.now() + w.dice.span(time.Millisecond, 60*time.Millisecond)
			}
		case handoff.Seek:
			o.seek(a.Cut, a.Offset, a.Epoch)
		case handoff.Pause:
			o.cursor.paused = true
		case handoff.Commit:
			o.mark(a.Mark, a.Explicit)
			o.at("after-mark")
		case handoff.Done:
			o.finished()
		default:
			o.request(a)
		}
		if o.m.dead {
			return false
		}
	}
	return paced
}

// renew gives the partition another owner in the same process: the client has
// forgotten the topic and subscribed to it again.
func (o *owner) renew() {
	o.lose()
	p, m := o.p, o.m
	m.soon(o.w.dice.span(10*time.Millisecond, time.Second), func() {
		if p.owner == m && !p.leaving && m.ownerOf(p) == nil {
			o.w.group.assign(p, m)
		}
	})
}

// lose hands over the client's word that the partition is somebody else's.
func (o *owner) lose() { o.put(handoff.Lost{}) }

// crashed: the process is gone.
func (o *owner) crashed() { o.mail = nil }

// finished is the end of the owner's goroutine: everything is cut off.
func (o *owner) finished() {
	o.done = true
	o.w.hit("phase " + o.phase + " -> released")
	o.cursor.paused = true
	o.cut()
	o.slots += len(o.tickets)
	clear(o.tickets)
	o.freeSlots()
	o.m.let(o)
}

func (o *owner) cut() {
	if o.newest != nil {
		o.newest.drop()
	}
	for id := uint64(1); o.newest != nil && id < o.newest.id; id++ {
		if x := o.sessions[id]; x != nil {
			x.drop()
		}
	}
}

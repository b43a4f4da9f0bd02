package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"kafka-s2-bridge/handoff"
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

	generation int64
	topic      int // incarnation of the topic that this is for
	cursor     cursor
	marks      marks
	fences     int
	made       int // incarnation of the stream that it fenced
	flowed     bool
	judged     int           // truncations that the newest answer about an epoch knew of; -1: none was given
	stopped    time.Duration // when it was the writer last

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

// giveUp is a Release with its deadline.
type giveUp struct {
	handoff.Event
	within time.Duration
}

func (m *process) own(p *partition) *owner {
	w := m.w
	o := &owner{w: w, m: m, p: p, judged: -1, born: w.now, sessions: map[uint64]*session{}, topic: p.topic, mine: map[string]bool{}, answered: map[uint64]bool{},
		shown: map[string]string{}}
	w.owners++
	o.name = fmt.Sprintf("%s/%s#%d", m.name, p.name, w.owners)
	a := handoff.Assignment{Identity: p.id, Generation: w.group.generation, Commit: p.ours(), Parts: int32(len(w.partitions))}
	o.generation = a.Generation
	cfg := w.machineConfig
	cfg.Rand = rand.New(rand.NewPCG(w.dice.Uint64(), 7))
	o.machine = handoff.NewMachine(cfg, a)
	o.startReading(a.Commit)
	m.owners = append(m.owners, o)
	w.say(o.name, "assigned", a.Generation, o.cursor.offset)
	o.phase = o.machine.Status().Phase
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
	o.put(ev)
}

func requestOf(ev handoff.Event) uint64 {
	switch ev := ev.(type) {
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
	o.w.see(o, ev)
	paced := o.carryOut(o.machine.Step(o.now(), ev))
	for paced && !o.done && !o.m.dead {
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

func (o *owner) request(a handoff.Action) {
	s, p, w := o.p.stream, o.p, o.w
	switch a := a.(type) {
	case handoff.Ask:
		o.ask(a)
	case handoff.Create:
		o.call("create", true, func() handoff.Event {
			s.create()
			w.say(s.name, "created", int64(s.made))
			return handoff.Created{ID: a.ID}
		}, func(err error) handoff.Event { return handoff.Created{ID: a.ID, Err: err} })
		o.at("after-create-sent")
	case handoff.Fence:
		o.fence(a)
		o.at("after-fence-sent")
	case handoff.Read:
		n := a.Count
		if w.weather(shortPage, p) {
			n = 1 + w.net.IntN(n)
		}
		o.call("read", true, func() handoff.Event {
			if !s.exists {
				return handoff.Page{ID: a.ID, Err: &refusal{status: 404}}
			}
			return handoff.Page{ID: a.ID, Records: s.read(a.From, n)}
		}, func(err error) handoff.Event { return handoff.Page{ID: a.ID, Err: err} })
	case handoff.Range: // these two go by the topic's name: a new topic answers for the old one
		o.call("range", false, func() handoff.Event {
			return handoff.Ranged{ID: a.ID, Start: p.start, End: p.end}
		}, func(err error) handoff.Event { return handoff.Ranged{ID: a.ID, Err: err} })
	case handoff.EpochEnd:
		o.call("epoch", false, func() handoff.Event {
			if w.weather(epochUnknown, p) {
				return handoff.EpochEnded{ID: a.ID, End: -1}
			}
			o.judged = p.cuts
			return handoff.EpochEnded{ID: a.ID, End: p.epochEnd(a.Epoch)}
		}, func(err error) handoff.Event { return handoff.EpochEnded{ID: a.ID, Err: err} })
	default:
		panic(fmt.Sprintf("sim: no such action: %T", a))
	}
}

// ask is two requests: the tail, then the token. Things happen in between.
func (o *owner) ask(a handoff.Ask) {
	s := o.p.stream
	var tail uint64
	failed := func(err error) handoff.Event { return handoff.Asked{ID: a.ID, Err: err} }
	o.call("ask", true, func() handoff.Event {
		if !s.exists {
			return handoff.Asked{ID: a.ID}
		}
		tail = s.tail()
		if tail > 0 && o.w.weather(staleTail, o.p) {
			tail -= 1 + uint64(o.w.net.Int64N(int64(min(tail, 4))))
		}
		o.call("question", true, func() handoff.Event {
			if !s.exists {
				return handoff.Asked{ID: a.ID}
			}
			o.readBefore = s.line.durable
			return handoff.Asked{ID: a.ID, Tail: tail, Token: s.token, Exists: true}
		}, failed)
		return nil
	}, failed)
}

func (o *owner) fence(a handoff.Fence) {
	s := o.p.stream
	o.mine[a.Token] = true
	o.fences++
	o.call("fence", true, func() handoff.Event {
		seen, zero := a.Seen, uint64(0)
		c := conditions{token: &seen}
		if seen == "" {
			c.seq = &zero
		}
		token := a.Token
		o.w.bug.fence(o, &c, &token)
		before, tail := s.token, s.tail()
		seq, no := s.append([]stored{fenceRecord(token)}, c)
		if no != nil {
			switch {
			case no.fenced && o.mine[no.token]:
				o.w.hit("412-own-success")
			case no.fenced:
				o.w.hit("fence-race-lost")
			}
			o.w.say(s.name, "fence refused", int64(no.seq))
			return handoff.Fenced{ID: a.ID, Err: no}
		}
		o.w.say(s.name, "fenced", int64(seq))
		o.w.note("%s by %s", a.Token, o.name)
		if o.done || o.m.dead || o.answered[a.ID] {
			o.w.hit("late-fence-landed")
		}
		s.fenced(o, token, before, tail)
		o.lastToken, o.fencedAt = a.Token, seq
		return handoff.Fenced{ID: a.ID, Seq: seq}
	}, func(err error) handoff.Event { return handoff.Fenced{ID: a.ID, Err: err} })
}

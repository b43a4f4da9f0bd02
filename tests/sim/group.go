package sim

import (
	"fmt"
	"time"
)

// group is the consumer group at its coordinator: who is a member, whose each
// partition is. It moves partitions as cooperative Kafka does (revoke, then
// assign) or, where a member does not answer, without asking it.
type group struct {
	w          *world
	generation int64
	members    []*process
}

func (g *group) member(m *process) bool {
	for _, o := range g.members {
		if o == m {
			return true
		}
	}
	return false
}

// bump begins a generation; members that run learn of it soon.
func (g *group) bump() {
	g.generation++
	g.w.say("group", "generation", g.generation)
	for _, m := range g.members {
		g.tell(m)
	}
}

func (g *group) tell(m *process) {
	generation := g.generation
	m.soon(g.w.dice.span(time.Millisecond, 300*time.Millisecond), func() {
		m.generation = max(m.generation, generation)
	})
}

// join makes a process a member.
func (g *group) join(m *process) {
	if m.dead || g.member(m) {
		return
	}
	g.members = append(g.members, m)
	m.stay++
	g.w.say("group", "join "+m.name)
	g.bump()
	m.generation = g.generation
	for _, p := range g.w.partitions {
		if p.owner == nil {
			g.assign(p, m)
		} else if g.w.dice.chance(2) {
			g.move(p, m)
		}
	}
}

// assign gives a partition to a member, who hears of it a little later.
func (g *group) assign(p *partition, m *process) {
	p.turn++
	p.owner = m
	turn := p.turn
	m.soon(g.w.dice.span(time.Millisecond, 400*time.Millisecond), func() {
		if p.turn == turn && p.owner == m {
			m.generation = max(m.generation, g.generation)
			m.own(p)
		}
	})
}

// place gives a partition without an owner to some member.
func (g *group) place(p *partition) {
	p.turn++
	p.owner = nil
	if n := len(g.members); n > 0 {
		g.assign(p, g.members[g.w.dice.IntN(n)])
	}
}

// move takes a partition from its owner and gives it to another member. The
// owner has the rebalance time-out to let go; then it is evicted.
func (g *group) move(p *partition, to *process) {
	from := p.owner
	if from == nil || from == to || p.leaving {
		return
	}
	g.w.hit("rebalance")
	p.turn++
	p.leaving = true
	turn := p.turn
	over := func() {
		if p.turn != turn || p.owner != from {
			return
		}
		p.leaving = false
		g.bump()
		if g.member(to) && !to.dead {
			g.assign(p, to)
		} else {
			g.place(p)
		}
	}
	from.soon(g.w.dice.span(time.Millisecond, time.Second), func() { from.revoke(p, over) })
	g.w.in(rebalanceTimeout, func() {
		if p.turn == turn && p.owner == from && p.leaving {
			g.w.hit("revoke-time-out")
			g.evict(from, true)
		}
	})
}

// rebalanceTimeout is how long a revoke may take before the member is thrown
// out of the group.
const rebalanceTimeout = 15 * time.Second

// evict throws a member out: its partitions are others' at once, and it hears
// of it late, or when it wakes up.
func (g *group) evict(m *process, late bool) {
	if !g.member(m) {
		return
	}
	g.w.say("group", "evict "+m.name)
	kept := g.members[:0]
	for _, o := range g.members {
		if o != m {
			kept = append(kept, o)
		}
	}
	g.members = kept
	g.bump()
	for _, p := range g.w.partitions {
		if p.owner == m {
			p.leaving = false
			g.place(p)
		}
	}
	if m.dead {
		return
	}
	notice := g.w.dice.span(time.Millisecond, time.Second)
	if late {
		notice = g.w.dice.span(0, g.w.machineConfig.SessionTimeout)
		g.w.hit("late-notice")
	}
	m.soon(notice, func() {
		m.loseAll()
		m.soon(g.w.dice.span(100*time.Millisecond, 2*time.Second), func() { g.join(m) })
	})
}

// process is one run of the program: a restart makes a new one.
type process struct {
	w          *world
	name       string
	slot       int
	owners     []*owner
	generation int64 // as it knows it
	stay       int   // times that it joined: each time under another member id
	dead       bool
	paused     bool
	committing bool
	commitBy   time.Duration // when the latest commit arrives
	asleep     []func()      // what waits for the end of the pause
	leaving    []leaving
	slots      int       // acquisition slots in use
	queue      []waiting // requests that wait for one
}

// leaving is a revoke under way.
type leaving struct {
	o    *owner
	over func()
}

func (w *world) start(slot int) *process {
	w.started++
	m := &process{w: w, slot: slot, name: fmt.Sprintf("b%d.%d", slot, w.started)}
	w.processes = append(w.processes, m)
	w.say(m.name, "start")
	return m
}

// soon is something that the process does or hears of later: only while it
// runs.
func (m *process) soon(d time.Duration, do func()) {
	m.w.in(d, func() {
		switch {
		case m.dead:
		case m.paused:
			m.asleep = append(m.asleep, do)
		default:
			do()
		}
	})
}

func (m *process) ownerOf(p *partition) *owner {
	for _, o := range m.owners {
		if o.p == p && !o.done {
			return o
		}
	}
	return nil
}

// revoke is the client's callback: the owner drains, its last marks are
// committed, then the partition is given up.
func (m *process) revoke(p *partition, over func()) {
	o := m.ownerOf(p)
	if o == nil {
		m.w.in(0, over)
		return
	}
	m.w.say(o.name, "revoke")
	m.leaving = append(m.leaving, leaving{o, over})
	o.put(giveUp{within: m.w.dice.span(500*time.Millisecond, 5*time.Second)})
	m.at("in-revoke", p)
}

// let is called when an owner has ended.
func (m *process) let(o *owner) {
	for i, l := range m.leaving {
		if l.o != o {
			continue
		}
		m.leaving = append(m.leaving[:i], m.leaving[i+1:]...)
		end := func() {
			if !m.w.bug.is("mark-after-revoke") {
				m.forget(o)
			}
			o.marks.dirty = o.marks.head.Offset >= 0
			m.planCommits()
			l.over()
		}
		if o.marks.dirty {
			o.sendCommit(func() { m.soon(0, end) })
		} else {
			m.soon(0, end)
		}
		return
	}
	m.forget(o)
}

func (m *process) forget(o *owner) {
	for i, other := range m.owners {
		if other == o {
			m.owners = append(m.owners[:i:i], m.owners[i+1:]...)
			return
		}
	}
}

// loseAll is the client's word that everything is somebody else's.
func (m *process) loseAll() {
	m.leaving = nil
	for _, o := range append([]*owner(nil), m.owners...) {
		m.w.say(o.name, "lost")
		o.marks.dirty = false
		if o.done {
			m.forget(o)
			continue
		}
		o.lose()
	}
}

// crash ends the process at once; what it sent is on its way.
func (m *process) crash() {
	if m.dead {
		return
	}
	m.w.say(m.name, "crash")
	m.w.hit("crash")
	m.dead, m.paused = true, false
	for _, o := range m.owners {
		o.cut()
		o.crashed()
	}
	for i, other := range m.w.processes {
		if other == m {
			m.w.processes = append(m.w.processes[:i:i], m.w.processes[i+1:]...)
			break
		}
	}
}

// pause stops the process as SIGSTOP does; resume is SIGCONT.
func (m *process) pause() {
	if !m.dead && !m.paused {
		m.w.say(m.name, "pause")
		m.w.hit("pause")
		m.paused = true
	}
}

func (m *process) resume() {
	if !m.paused {
		return
	}
	m.w.say(m.name, "resume")
	m.paused = false
	asleep := m.asleep
	m.asleep = nil
	for _, do := range asleep {
		m.soon(m.w.dice.span(0, 50*time.Millisecond), do)
	}
	for _, o := range m.owners {
		o.poll()
		if o.called = false; len(o.mail) > 0 {
			o.call4mail()
		} else {
			o.arm()
		}
	}
}

package sim

import (
	"fmt"
	"io"
	"slices"
	"time"

	"kafka-s2-bridge/handoff"
)

// world is one run.
type world struct {
	clock
	seed          uint64
	dice          dice // of the world's own course
	net           dice // of the network
	people        dice // of the operators
	policy        policy
	restored      int // times that the cluster came back under another id
	trace         trace
	shape         shape
	plan          []*fault
	partitions    []*partition
	group         *group
	processes     []*process // that live, zombies too
	machineConfig handoff.Config
	fronts        []front       // weather
	peace         time.Duration // when the last fault that lasts is over
	lag           time.Duration // until then no replica lags again
	traps         []*fault      // that wait for a point
	started       int
	owners        int
	hits          Hits
	far           time.Duration // how long a request is on its way at most
	broken        string        // the first violation
	pairs         [7][21]int    // how often a phase met an event
	bug           bug
}

// Hits counts how often each kind of fault, and each named window, occurred.
type Hits map[string]int

func (w *world) hit(name string) { w.hits[name]++ }

// front is weather that has come.
type front struct {
	kind    kind
	part    int
	percent int
	until   time.Duration
}

// weather tells whether a fault of that kind hits now.
func (w *world) weather(k kind, p *partition) bool {
	for _, f := range w.fronts {
		if f.kind == k && w.now < f.until && (f.part < 0 || f.part == p.index) && w.net.percent(f.percent) {
			w.hit(k.String())
			p.blow()
			return true
		}
	}
	return false
}

// alive is the process of a slot that runs, nil: none.
func (w *world) alive(slot int) *process {
	for _, m := range w.processes {
		if m.slot == slot && !m.paused {
			return m
		}
	}
	return nil
}

// at tells a point that an owner passes; the process may not survive it.
func (o *owner) at(point string) { o.m.at(point, o.p) }

func (m *process) at(point string, p *partition) (dead bool) {
	w := m.w
	w.hit("passed " + point)
	for i, f := range w.traps {
		if f.point != point || f.part != p.index {
			continue
		}
		if f.ordinal--; f.ordinal > 0 {
			continue
		}
		w.traps = append(w.traps[:i:i], w.traps[i+1:]...)
		w.say("fault", f.String()+" strikes "+m.name)
		w.hit(f.kind.String())
		w.hit("struck " + point)
		p.blow()
		switch base := map[kind]kind{truncateAt: truncate, expireAt: expire, rollBackAt: rollBack}[f.kind]; base {
		case 0:
			w.hurt(m, f)
		default:
			if w.hurtWorld(&fault{kind: base, part: f.part}, p, p.stream, f.dice) {
				p.damage.mark(base)
			}
		}
		return m.dead
	}
	return m.dead
}

// violate records what must not happen; the run ends.
func (w *world) violate(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf("at %.6fs: ", w.now.Seconds()) + fmt.Sprintf(format, args...)
		w.say("oracle", w.broken)
	}
}

// Options choose a run.
type Options struct {
	Seed  uint64
	Trace io.Writer // nil: not written
	Skip  []int     // faults of the plan to leave out
	Bug   string    // a planted bug (Bugs), "" none
	Focus string    // what the run is full of, "" nothing: see focus.go
	Hits  Hits      // counted into, if not nil

	// Script, if not nil, says what Seed says: see script.go.
	Script []byte
}

// Result is how a run ended.
type Result struct {
	Seed   uint64
	Hash   uint64 // of the trace
	Failed string // "": it did not
	Plan   []string
	Took   time.Duration // virtual time from the last fault to the end
}

// Run lives one world through.
func Run(opt Options) (r Result) {
	w := newWorld(opt)
	r.Seed = opt.Seed
	for _, f := range w.plan {
		r.Plan = append(r.Plan, f.String())
	}
	defer func() {
		if p := recover(); p != nil {
			if opt.Trace != nil {
				panic(p)
			}
			r.Failed = fmt.Sprintf("at %.6fs: panic: %v", w.now.Seconds(), p)
		}
		r.Hash = w.trace.hash
		w.tally()
		for name, n := range w.hits {
			if opt.Hits != nil {
				opt.Hits[name] += n
			}
		}
	}()
	w.live()
	r.Failed, r.Took = w.broken, w.now-w.shape.horizon
	return r
}

// Shrink leaves out what a failing run does not need to fail: halves of the plan
// first, then ever smaller parts, at last each fault alone. It gives the numbers
// of those left out.
func Shrink(opt Options) (skip []int, r Result) {
	r = Run(opt)
	var left []int // faults that are still in the plan
	for i := range r.Plan {
		left = append(left, i)
	}
	skip = opt.Skip
	for size := max(len(left)/2, 1); ; size = max(size/2, 1) {
		before := len(left)
		for i := 0; i < len(left); {
			part := left[i:min(i+size, len(left))]
			less := opt
			less.Skip = append(slices.Clone(skip), part...)
			if s := Run(less); s.Failed != "" {
				skip, r = less.Skip, s
				left = slices.Delete(left, i, i+len(part))
			} else {
				i += len(part)
			}
		}
		if size == 1 && len(left) == before { // what came later may have been the reason for what was before
			return skip, r
		}
	}
}

func newWorld(opt Options) *world {
	var shape shape
	var plan []*fault
	if opt.Script != nil {
		opt.Seed, shape, plan = script(opt.Script).read()
	}
	w := &world{seed: opt.Seed, dice: newDice(opt.Seed, 1), net: newDice(opt.Seed, 2), people: newDice(opt.Seed, 5), hits: Hits{}, bug: bug{name: opt.Bug}}
	w.trace = trace{hash: fnvOffset, out: opt.Trace}
	d := newDice(opt.Seed, 3)
	if w.shape = drawShape(d); opt.Script != nil {
		w.shape = shape
	}
	w.policy = drawPolicy(newDice(opt.Seed, 4))
	if w.plan = drawPlan(opt.Seed, d, w.shape); opt.Script != nil {
		w.plan = plan
	}
	w.focus(opt.Focus)
	w.plan = slices.DeleteFunc(w.plan, func(f *fault) bool { return slices.Contains(opt.Skip, f.index) })
	w.machineConfig = handoff.Config{
		Group: "sim", Bridge: "sim", Packer: w.policy.packer, Policy: w.policy.Policy,
		MaxInflightBytes: 1 << d.between(8, 20), MaxInflightBatches: d.between(1, 6),
		Linger: d.span(0, 30*time.Millisecond), AckTimeout: d.span(2*time.Second, 5*time.Second),
		IdleClose: d.span(time.Second, 10*time.Second), SessionTimeout: d.span(6*time.Second, 12*time.Second),
		BackoffMin: 100 * time.Millisecond, BackoffMax: 5 * time.Second, Paced: d.chance(4), Defect: handoff.Defect(opt.Bug),
	}
	w.far = []time.Duration{2 * time.Millisecond, 6 * time.Millisecond, 40 * time.Millisecond, 300 * time.Millisecond}[d.IntN(4)]
	w.group = &group{w: w}
	for i := range w.shape.partitions {
		w.partitions = append(w.partitions, w.newPartition(i))
	}
	return w
}

// live runs the world: producers and faults until the horizon, then whatever is
// still on its way, then calm, until everything is where it should be.
func (w *world) live() {
	w.note("policy %+v", w.policy)
	for slot := range w.shape.processes {
		w.in(w.dice.span(0, 2*time.Second), func() { w.group.join(w.start(slot)) })
	}
	for i, p := range w.partitions {
		p.begin(newDice(w.seed, 10+uint64(i)))
	}
	for _, f := range w.plan {
		w.at(f.at, func() { w.strike(f) })
	}
	w.in(w.shape.horizon*2/3, w.change)
	w.until(w.shape.horizon)
	w.calm()
	// What is late may be late by half a minute.
	w.until(max(w.shape.horizon+40*time.Second, w.peace))
	end := w.now + patience
	if w.peace > 0 {
		end += recheck
	}
	for w.broken == "" && !w.settled() {
		if w.now >= end {
			w.violate("no rest long after the last fault: %s", w.unsettled())
			break
		}
		w.until(w.now + time.Second)
	}
	if w.broken == "" {
		w.final()
	}
}

// change: a run in which nobody ever takes over from anybody proves little.
func (w *world) change() {
	for _, p := range w.partitions {
		if p.owners > 1 {
			return
		}
	}
	if m := w.alive(w.dice.IntN(w.shape.processes)); m != nil {
		w.hurt(m, &fault{kind: crash, part: -1, dice: newDice(w.seed, 6)})
	}
}

// begin gives a partition its past, and its producers.
func (p *partition) begin(d dice) {
	p.past(d)
	p.w.in(d.span(0, 3*time.Second), func() { p.produce(d, p.w.shape.records, p.w.shape.horizon*3/4) })
}

// patience is how long after the last fault everything must be well: late
// requests, a zombie's notice and the waits of the protocol lie within.
const patience = 2 * time.Minute

// recheck is after how long a partition that is held for a rival looks again.
const recheck = 11 * time.Minute

func (w *world) until(t time.Duration) {
	for w.broken == "" && w.next(t) {
	}
}

// calm ends all faults: the weather clears, who stands still goes on, nobody is
// left out.
func (w *world) calm() {
	w.say("world", "calm")
	w.fronts, w.traps = nil, nil
	for _, m := range append([]*process(nil), w.processes...) {
		m.resume()
	}
}

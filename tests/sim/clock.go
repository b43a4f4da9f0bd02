package sim

import (
	"container/heap"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// clock is virtual time: what is to happen, in order; what is due at the same
// instant happens in the order in which it was planned.
type clock struct {
	now   time.Duration
	queue occasions
	count uint64
}

type occasion struct {
	at    time.Duration
	order uint64
	do    func()
}

type occasions []occasion

func (q occasions) Len() int { return len(q) }
func (q occasions) Less(i, j int) bool {
	return q[i].at < q[j].at || (q[i].at == q[j].at && q[i].order < q[j].order)
}
func (q occasions) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *occasions) Push(x any)   { *q = append(*q, x.(occasion)) }
func (q *occasions) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = occasion{}
	*q = old[:len(old)-1]
	return last
}

// at plans something for an instant; the past counts as now.
func (c *clock) at(t time.Duration, do func()) {
	c.count++
	heap.Push(&c.queue, occasion{max(t, c.now), c.count, do})
}

// in plans something for later.
func (c *clock) in(d time.Duration, do func()) { c.at(c.now+d, do) }

// next goes to the next occasion before the deadline; false: there is none.
func (c *clock) next(deadline time.Duration) bool {
	if len(c.queue) == 0 || c.queue[0].at > deadline {
		c.now = max(c.now, deadline)
		return false
	}
	o := heap.Pop(&c.queue).(occasion)
	c.now = o.at
	o.do()
	return true
}

// dice are random numbers with names for what is asked most.
type dice struct{ *rand.Rand }

func newDice(seed, stream uint64) dice {
	return dice{rand.New(rand.NewPCG(seed, stream*0x9e3779b97f4a7c15+1))}
}

// chance is true once in n.
func (d dice) chance(n int) bool { return d.IntN(n) == 0 }

// percent is true in p of a hundred cases.
func (d dice) percent(p int) bool { return d.IntN(100) < p }

// between gives a number of [low, high].
func (d dice) between(low, high int) int { return low + d.IntN(high-low+1) }

// span gives a duration of [low, high].
func (d dice) span(low, high time.Duration) time.Duration {
	return low + time.Duration(d.Int64N(int64(high-low)+1))
}

// trace folds everything that happens into a hash, and writes it down where
// somebody wants to read it.
type trace struct {
	hash uint64
	out  io.Writer
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func (t *trace) fold(v uint64) {
	for range 8 {
		t.hash = (t.hash ^ v&0xff) * fnvPrime
		v >>= 8
	}
}

func (t *trace) foldText(s string) {
	for i := range len(s) {
		t.hash = (t.hash ^ uint64(s[i])) * fnvPrime
	}
}

// say traces one happening: who and what as text, numbers as numbers.
func (w *world) say(who, what string, numbers ...int64) {
	t := &w.trace
	t.fold(uint64(w.now))
	t.foldText(who)
	t.foldText(what)
	for _, n := range numbers {
		t.fold(uint64(n))
	}
	if t.out != nil {
		fmt.Fprintf(t.out, "%12.6f  %-10s %-22s %v\n", w.now.Seconds(), who, what, numbers)
	}
}

// note adds words to the written trace alone.
func (w *world) note(format string, args ...any) {
	if w.trace.out != nil {
		fmt.Fprintf(w.trace.out, "%12s  %s\n", "", fmt.Sprintf(format, args...))
	}
}

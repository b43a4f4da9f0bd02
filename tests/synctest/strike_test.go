//go:build synctests

package bubble

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"kafka-s2-bridge/tests/s2mem"
)

// kind is one kind of fault. Its strike runs in a goroutine of its own, at the
// time of the plan, and returns when the fault has ended.
type kind struct {
	name   string
	strike func(*fault) (hits int)
}

// fault is a strike under way.
type fault struct {
	*run
	rng *rand.Rand
}

// kinds is every kind; a plan picks among them evenly, so the list decides how
// often each part is hit.
var kinds = func() (all []*kind) {
	for _, list := range [...][]*kind{batchKinds(), requestKinds(), kafkaKinds(), linkKinds(), bridgeKinds()} {
		all = append(all, list...)
	}
	return all
}()

func (r *run) strike(f strike) {
	select {
	case <-time.After(f.at):
	case <-r.healed:
		return
	}
	rng := rand.New(rand.NewPCG(r.seed, uint64(1<<32+f.number)))
	r.trace.Printf("fault %d: %s", f.number, f.kind.name)
	hits := f.kind.strike(&fault{r, rng})
	r.trace.Printf("fault %d: %s has ended, %d hits", f.number, f.kind.name, hits)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hits[f.kind.name] += hits
}

// last waits, but not beyond the time when faults must end.
func (f *fault) last(d time.Duration) {
	select {
	case <-time.After(d):
	case <-f.healed:
	}
}

// between is a random time.
func (f *fault) between(low, high time.Duration) time.Duration {
	return low + time.Duration(f.rng.Int64N(int64(high-low)))
}

// ofHit is what faults of s2mem and kfake have in common.
type ofHit interface {
	Wait(ctx context.Context, n int) error
	Hits() int
	Remove()
}

// until waits for the first hit, or as long as d.
func (f *fault) until(h ofHit, d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.Wait(ctx, 1) // the time is up: it was not hit
	}()
	select {
	case <-done:
	case <-f.healed:
		cancel()
		<-done
	}
}

// s2Fault installs a fault, waits until it is hit and as long as lasts behind
// that, and takes it out: then whatever it holds is let go.
func (f *fault) s2Fault(of s2mem.Fault, lasts time.Duration) int {
	h := f.s2.Fault(of)
	f.until(h, 3*time.Second)
	if h.Hits() > 0 && lasts > 0 {
		f.last(lasts)
	}
	h.Remove()
	return h.Hits()
}

func (f *fault) kafkaFault(of kfake.Fault) int {
	h := f.kafka.Fault(of)
	f.until(h, 3*time.Second)
	f.last(f.between(time.Millisecond, time.Second))
	h.Remove()
	return h.Hits()
}

// someStream is a stream by name, or all of them.
func (f *fault) someStream() string {
	if f.rng.IntN(2) == 0 {
		return ""
	}
	topic, partition := f.somePartition()
	return streamName(topic, partition)
}

func (f *fault) somePartition() (topic string, partition int32) {
	t := f.topics[f.rng.IntN(len(f.topics))]
	return t.Name, f.rng.Int32N(t.Partitions)
}

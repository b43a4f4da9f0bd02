package chaos

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"kafka-s2-bridge/tests/oracle/produce"
	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/proc"
)

// stop is where a bridge stops itself. Where it has to go on with an append, S2 must be seen to refuse that.
type stop struct {
	crash
	refused bool
}

var stops = []stop{
	{crash{"after-ask", 3}, false}, // there is no stream: it asks again
	{crash{"before-fence", 3}, true},
	{crash{"after-fence-acked", 3}, false}, // it reads, and finds the other one's fence
	{crash{"after-read-back", 3}, true},
	{crash{"before-open-marker", 3}, true},
	{crash{"before-append", 60}, true},
	{crash{"after-append-sent", 60}, false}, // there may be nothing more to append
	{crash{"after-ack-before-mark", 60}, false},
	{crash{"before-commit", 1}, false}, // the group refuses that one
}

// A bridge is stopped at each of these places, and goes on when another one has all its partitions and has written them. It still
// believes that they are its own: Kafka, which would tell it, is silent for as long as it takes. What it appends is refused for
// its fence, and nothing of it is in the streams.
func TestAZombieWritesNothing(t *testing.T) {
	t.Parallel()
	for _, at := range stops {
		t.Run(at.point, func(t *testing.T) {
			t.Parallel()
			zombieAt(t, at)
		})
	}
}

func zombieAt(t *testing.T, at stop) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	const partitions = 12
	c := quietWorld(ctx, t, partitions)
	// Its own patience must not run out before it goes on: then it would ask S2 before it appends anything.
	zombie := mustBridge(t, c.World, "zombie", bridge.Settings{"s2.ack_timeout": "2m"})
	heir := mustBridge(t, c.World, "heir", nil)
	feeding := feed(ctx, t, c.World, 1500)
	must(t, zombie.Revive(oldBridge, "BRIDGE_STOP_AT="+at.String()))
	must(t, poll(ctx, "the bridge did not stop at "+at.String(), func(context.Context) error {
		if mentions(zombie.logFile(), at.word()) == 0 {
			return errors.New("it runs")
		}
		return nil
	}))
	must(t, heir.Revive(newBridge))
	c.owns(ctx, heir, partitions)
	c.busy(ctx, heir, "records_acknowledged_total", partitions)
	before := c.FencedOut()
	silent := func(s syscall.Signal) { must(t, syscall.Kill(c.Kafka.Pid(), s)) }
	silent(syscall.SIGSTOP)
	t.Cleanup(func() { silent(syscall.SIGCONT) }) // a stopped process answers nobody, the clean-up included
	must(t, zombie.Child().Signal(syscall.SIGCONT))
	if at.refused {
		must(t, poll(ctx, "the zombie was never refused", func(context.Context) error {
			if c.FencedOut() == before {
				return errors.New("S2 has refused nothing")
			}
			return nil
		}))
	}
	silent(syscall.SIGCONT)
	feeding.stop(t)
	v := settle(ctx, t, c.World)
	t.Logf("%s: %d refused; %v", at, c.FencedOut()-before, v)
}

// quietWorld is one in which nothing fails by itself.
func quietWorld(ctx context.Context, t *testing.T, partitions int32) *crasher {
	t.Helper()
	w := memoryWorld(ctx, t, MemoryOptions{FlushDelay: flushDelay}, produce.Topic{Name: topic, Partitions: partitions})
	return &crasher{World: w, t: t}
}

// busy waits until a metric of that many partitions is above 0.
func (c *crasher) busy(ctx context.Context, v *Victim, name string, partitions int) {
	c.t.Helper()
	must(c.t, poll(ctx, "bridge "+v.Name()+" has not enough partitions with "+name, func(ctx context.Context) error {
		n := 0
		for _, value := range metric(ctx, v, name) {
			if value > 0 {
				n++
			}
		}
		if n < partitions {
			return errors.New("not yet")
		}
		return nil
	}))
}

func poll(ctx context.Context, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 40*time.Second, errors.New(what))
	defer cancel()
	return proc.Poll(ctx, 20*time.Millisecond, check)
}

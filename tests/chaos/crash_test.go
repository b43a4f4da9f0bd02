package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle/produce"
	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/proc"
)

// crash is one death of the victim: at the n-th passing of a point, counted in its life.
type crash struct {
	point string
	nth   int
}

func (c crash) String() string { return c.point + ":" + strconv.Itoa(c.nth) }

// word is the line that it leaves in the log: this death, and no other.
func (c crash) word() string { return "crash point " + c.String() + "\n" }

// shape is a kind of world for crashes.
type shape struct {
	partitions int32
	rate       int  // records a second
	loseEvery  int  // of so many batches S2 loses the acknowledgement of one; 0: of none
	named      bool // the victim, in the group
	worlds     int  // that the crashes are spread over
	points     []string
	nth        []int // at which passings of each point
}

// In a wide world many partitions pass a point about the same time: the n-th passing is that of the n-th partition, while the
// others are anywhere. In a narrow one a partition passes it again and again: S2 loses acknowledgements there, so that a stream
// is taken over many times in one life. In both the victim has a name in the group, and is back before its partitions are given
// away; where it has none, the other bridge takes them over when the session has timed out.
var shapes = map[string]shape{
	"wide":     {partitions: 56, rate: 2500, named: true, worlds: 2, nth: []int{5, 4, 3, 2, 1}, points: append(early, late...)},
	"narrow":   {partitions: 4, rate: 1500, named: true, worlds: 2, nth: []int{5, 4, 3, 2, 1}, points: repeated, loseEvery: 11},
	"handover": {partitions: 12, rate: 1500, worlds: 4, nth: []int{2}, points: append(repeated, "in-drain", "in-revoke")},
}

// early are the points that a life passes only where there are streams to create, and commits to come.
var early = []string{"after-seek", "after-create-sent"}

// repeated are those that every life passes, and again after each failure.
var repeated = []string{
	"after-ask", "before-fence", "after-fence-sent", "after-fence-acked", "after-read-back", "before-open-marker", "before-append",
	"after-append-sent", "after-ack-before-mark", "after-mark", "before-commit", "after-commit", "mid-chunk",
}

var late = append([]string{"in-drain", "in-revoke"}, repeated...)

// Every point of the protocol, first to fifth passing, in two shapes of load, with another bridge in the group. Each death must
// happen: a point that is not reached within its time fails the test.
func TestEveryCrashPoint(t *testing.T) {
	t.Parallel()
	for name, shape := range shapes {
		for world := range shape.worlds {
			plan := shape.plan(world)
			if len(plan) == 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s-%d", name, world), func(t *testing.T) {
				t.Parallel()
				shape.run(t, plan, func(ctx context.Context) *World {
					return memoryWorld(ctx, t, MemoryOptions{FlushDelay: flushDelay, LoseEvery: shape.loseEvery, Rebalance: 8 * time.Second}, shape.topic())
				})
			})
		}
	}
}

// plan is what one of the shape's worlds has to go through.
func (s shape) plan(world int) (plan []crash) {
	for i, point := range s.points {
		for _, nth := range s.nth {
			c := crash{point, nth}
			if i%s.worlds == world && (*points == "" || slices.Contains(strings.Split(*points, ","), c.String())) {
				plan = append(plan, c)
			}
		}
	}
	return plan
}

// The wide world leaves no point out that the bridge has, and no ordinal from 1 to 5.
func TestNoCrashPointIsForgotten(t *testing.T) {
	wide := shapes["wide"]
	list, tried, ordinals := crashPoints(t), slices.Clone(wide.points), slices.Sorted(slices.Values(wide.nth))
	slices.Sort(list)
	slices.Sort(tried)
	if !slices.Equal(list, tried) || len(list) < 15 {
		t.Errorf("the bridge has the points %v, the test tries %v", list, tried)
	}
	if !slices.Equal(ordinals, []int{1, 2, 3, 4, 5}) {
		t.Errorf("each at its passings %v", ordinals)
	}
}

// crashPoints asks the bridge.
func crashPoints(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), newBridge, "version")
	cmd.Env = append(os.Environ(), "BRIDGE_CRASH_AT=list")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Fatalf("a point that does not exist: %v", err)
	}
	return strings.Fields(string(out))
}

// crasher kills one bridge of a world again and again.
type crasher struct {
	*World
	shape
	t             *testing.T
	victim, other *Victim
	begun         map[int32]bool // partitions that have got their first record
}

func (s shape) topic() produce.Topic { return produce.Topic{Name: topic, Partitions: s.partitions} }

// run goes through the plan in a new world.
func (s shape) run(t *testing.T, plan []crash, open func(context.Context) *World) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	began := time.Now()
	w := open(ctx)
	c := &crasher{World: w, shape: s, t: t, begun: map[int32]bool{}}
	settings := bridge.Settings{}
	if s.named {
		settings["kafka.instance_id"] = "victim"
	}
	c.other, c.victim = mustBridge(t, w, "other", nil), mustBridge(t, w, "victim", settings)
	must(t, c.other.Revive(oldBridge)) // first, so that it leads the group: without its leader a group has to wait
	c.owns(ctx, c.other, int(s.partitions))
	var feeding *feeder
	for _, crash := range plan {
		if feeding == nil && !slices.Contains(early, crash.point) {
			feeding = feed(ctx, t, w, s.rate)
		}
		at := time.Now()
		lives := c.die(ctx, crash)
		t.Logf("%6.1f s: %s after %.1f s, %d lives", time.Since(began).Seconds(), crash, time.Since(at).Seconds(), lives)
		if !s.named {
			c.owns(ctx, c.other, int(s.partitions))
		}
	}
	must(t, c.victim.Revive(newBridge))
	if feeding != nil {
		feeding.stop(t)
	}
	v := settle(ctx, t, w)
	if *points == "" && v.Fences < int(s.partitions)+len(plan)/2 {
		t.Errorf("%d crashes led to %d take-overs of %d streams: they hit nothing", len(plan), v.Fences, s.partitions)
	}
	t.Logf("%6.1f s: %d crashes; %v", time.Since(began).Seconds(), len(plan), v)
}

// flushDelay is long enough for something to be in flight most of the time.
const flushDelay = 25 * time.Millisecond

// topic is the only one.
const topic = "orders"

// owns waits until the bridge has so many partitions.
func (c *crasher) owns(ctx context.Context, v *Victim, partitions int) {
	c.t.Helper()
	must(c.t, poll(ctx, fmt.Sprintf("bridge %s does not get %d partitions", v.Name(), partitions), func(ctx context.Context) error {
		if !v.Child().Running() {
			return proc.Final(errEndedAlone)
		}
		if own := metric(ctx, v, "durable_offset"); len(own) != partitions {
			return fmt.Errorf("it has %d", len(own))
		}
		return nil
	}))
}

// metric is what a bridge says now of its partitions; empty if it does not answer yet.
func metric(ctx context.Context, v *Victim, name string) map[int32]float64 {
	_, text, err := v.Get(ctx, "/metrics")
	if err != nil {
		return nil
	}
	of := map[int32]float64{}
	for _, m := range regexp.MustCompile(`(?m)^kafka_s2_bridge_`+name+`\{partition="(\d+)",topic="orders"\} (\S+)$`).FindAllStringSubmatch(text, -1) {
		partition, _ := strconv.Atoi(m[1])
		of[int32(partition)], _ = strconv.ParseFloat(m[2], 64)
	}
	return of
}

// tries is how many lives one crash may cost. Where it needs a signal the moment may be missed: nothing in flight, say.
const tries = 8

// die lets the victim live until it dies as planned, and returns how many lives that took.
func (c *crasher) die(ctx context.Context, at crash) int {
	c.t.Helper()
	for life := 1; ; life++ {
		words := mentions(c.victim.logFile(), at.word())
		must(c.t, c.victim.Revive(c.build(), "BRIDGE_CRASH_AT="+at.String()))
		c.live(ctx, at)
		status, ok := c.victim.Child().State().Sys().(syscall.WaitStatus)
		switch {
		case ok && status.Signaled() && status.Signal() == syscall.SIGKILL:
			if mentions(c.victim.logFile(), at.word()) != words+1 {
				c.t.Fatalf("%s: somebody else killed the victim", at)
			}
			return life
		case c.victim.Child().State().ExitCode() != 0:
			c.t.Fatalf("%s: the victim ended with %s", at, c.victim.Child().State())
		case life == tries:
			c.t.Fatalf("%s: not reached in %d lives: the crash was never tried", at, life)
		}
	}
}

// build takes the two versions in turn.
func (c *crasher) build() string {
	if c.victim.Lives()%2 == 0 {
		return newBridge
	}
	return oldBridge
}

// live waits for the end of a life, and does meanwhile what leads to the point.
func (c *crasher) live(ctx context.Context, at crash) {
	c.t.Helper()
	ctx, cancel := context.WithTimeoutCause(ctx, 40*time.Second, fmt.Errorf("%s was not reached", at))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	defer func() { _ = c.freeze(syscall.SIGCONT) }()
	lead := c.lead(at)
	for {
		select {
		case <-c.victim.Child().Done():
			return
		case <-ctx.Done():
			c.t.Fatal(context.Cause(ctx))
		case <-tick.C:
		}
		if err := lead(ctx); err != nil {
			c.t.Fatalf("%s: %v", at, err)
		}
	}
}

// lead is what is done all the time until the victim dies. Most points need nothing but records.
func (c *crasher) lead(at crash) func(context.Context) error {
	done := false
	switch at.point {
	case "after-create-sent": // first records of partitions: their streams do not exist yet
		return func(ctx context.Context) error {
			var records []*kgo.Record
			for p := range metric(ctx, c.victim, "durable_offset") {
				if !c.begun[p] && len(records) <= at.nth {
					records = append(records, &kgo.Record{Topic: topic, Partition: p, Value: []byte("first")})
				}
			}
			if done || len(records) < at.nth {
				return nil
			}
			for _, r := range records {
				c.begun[r.Partition] = true
			}
			done = true
			return c.Write(ctx, records...)
		}
	case "mid-chunk": // records of five chunks
		return func(ctx context.Context) error {
			for p := range metric(ctx, c.victim, "durable_offset") {
				if !done {
					done = true
					return c.Write(ctx, &kgo.Record{Topic: topic, Partition: p, Value: make([]byte, maxValue)},
						&kgo.Record{Topic: topic, Partition: p, Value: make([]byte, maxValue)})
				}
			}
			return nil
		}
	case "in-drain", "in-revoke": // the end, while S2 has still to acknowledge what several partitions have sent: it is stopped
		var frozen time.Time
		return func(ctx context.Context) error {
			switch {
			case done:
			case frozen.IsZero():
				if own := c.above0(ctx, "records_acknowledged_total"); len(own) >= at.nth {
					frozen = time.Now()
					return errors.Join(c.freeze(syscall.SIGSTOP), c.touch(ctx, own))
				}
			case len(c.above0(ctx, "inflight_bytes")) >= at.nth:
				done = true
				return c.victim.Child().Signal(syscall.SIGTERM)
			case time.Since(frozen) > 2*time.Second: // before the bridge loses its patience; once more
				frozen = time.Time{}
				return c.freeze(syscall.SIGCONT)
			}
			return nil
		}
	}
	return func(context.Context) error { return nil }
}

// above0 lists the victim's partitions of which a metric is not 0.
func (c *crasher) above0(ctx context.Context, name string) (partitions []int32) {
	for p, value := range metric(ctx, c.victim, name) {
		if value > 0 {
			partitions = append(partitions, p)
		}
	}
	return partitions
}

// touch writes a record into each partition.
func (c *crasher) touch(ctx context.Context, partitions []int32) error {
	var records []*kgo.Record
	for _, p := range partitions {
		records = append(records, &kgo.Record{Topic: topic, Partition: p, Value: []byte("one more")})
	}
	return c.Write(ctx, records...)
}

// freeze stops S2, or lets it go on.
func (c *crasher) freeze(s syscall.Signal) error { return syscall.Kill(c.S2.Pid(), s) }

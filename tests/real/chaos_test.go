//go:build real

package real_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/s2lite"
)

// chaos kills bridges at seeded random moments, and s2-lite at given ones, and starts them again.
type chaos struct {
	bridges []*bridge.Process
	s2      *s2lite.Server
	rng     *rand.Rand
	logf    func(format string, args ...any)

	kills   int // of bridges
	s2Kills int
}

// run goes on until enough ends. s2At is when s2-lite is killed, from now. The first error ends it: a bridge that ended by
// itself, a server that does not come back.
func (c *chaos) run(ctx context.Context, enough <-chan struct{}, s2At ...time.Duration) error {
	began := time.Now()
	for {
		var s2 <-chan time.Time
		if len(s2At) > 0 {
			s2 = time.After(time.Until(began.Add(s2At[0])))
		}
		select {
		case <-enough:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s2:
			s2At = s2At[1:]
			if err := c.killS2(ctx); err != nil {
				return err
			}
		case <-time.After(c.gap()):
			if err := c.killBridge(); err != nil {
				return err
			}
		}
	}
}

// gap is mostly some seconds; now and then so short that a bridge dies while it is taking partitions over.
func (c *chaos) gap() time.Duration {
	if c.rng.IntN(4) == 0 {
		return time.Duration(100+c.rng.IntN(2000)) * time.Millisecond
	}
	return time.Duration(2000+c.rng.IntN(10_000)) * time.Millisecond
}

// killBridge kills one bridge, now and then all of them, and starts what it killed.
func (c *chaos) killBridge() error {
	first := c.rng.IntN(len(c.bridges))
	victims := c.bridges[first : first+1]
	if c.rng.IntN(6) == 0 {
		victims = c.bridges
	}
	for _, b := range victims {
		if err := b.Kill(); err != nil {
			return err
		}
		c.kills++
	}
	for _, b := range victims {
		if err := b.Restart(); err != nil {
			return err
		}
		c.logf("killed bridge %s (kill %d), pid now %d", b.Name(), c.kills, b.Pid())
	}
	return nil
}

func (c *chaos) killS2(ctx context.Context) error {
	if err := c.s2.Kill(); err != nil {
		return err
	}
	c.s2Kills++
	c.logf("killed s2-lite (kill %d)", c.s2Kills)
	if err := c.s2.Restart(ctx); err != nil {
		return fmt.Errorf("restart of s2-lite: %w", err)
	}
	return nil
}

// The chaos itself: bridges that are scripts. An end that nobody asked for is an error.
func TestChaosKillsAndNotices(t *testing.T) {
	dir := t.TempDir()
	p := script(t, dir, "steady", "while :; do sleep 1; done")
	c := &chaos{bridges: []*bridge.Process{p}, rng: rand.New(rand.NewPCG(1, 1)), logf: t.Logf}
	for range 3 {
		if err := c.killBridge(); err != nil {
			t.Fatal(err)
		}
	}
	if c.kills != 3 || p.Starts() != 4 {
		t.Errorf("%d kills, %d starts", c.kills, p.Starts())
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.killBridge(); err == nil {
		t.Error("a bridge that had ended was killed without a word")
	}
}

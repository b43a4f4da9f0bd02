package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kafka-s2-bridge/tests/real/proc"
)

// Havoc does to a world's processes, at random moments, what happens to processes. Each bridge has a hand of its own that plays
// a shuffled deck again and again, so that every kind of misfortune comes up; the two servers share one.
//
//	kill    SIGKILL, and a new life at once or after some seconds
//	end     SIGTERM, which has to be answered with exit code 0 in time
//	doze    SIGSTOP for less than the session time-out, then SIGCONT
//	zombie  SIGSTOP for longer: others have its partitions when it goes on
//
// Every new life is of a random build.
type Havoc struct {
	World  *World
	Builds [2]string // an older version and a newer one
	Seed   uint64
	Logf   func(format string, args ...any)

	Count Count

	troubled atomic.Int64 // when a server was last disturbed, nanoseconds since 1970
}

// hand plays one deck.
type hand struct {
	*Havoc
	rng    *rand.Rand
	enough <-chan struct{}
}

// run starts the bridges and goes on until enough is closed; then all processes run. The first error ends it: a bridge that
// ended by itself, a server that does not come back.
func (h *Havoc) run(ctx context.Context, enough <-chan struct{}) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	play := func(n uint64, work func(context.Context, *hand) error) {
		all.Go(func() {
			if err := work(ctx, &hand{h, rand.New(rand.NewPCG(h.Seed, n)), enough}); err != nil {
				cancel(err)
			}
		})
	}
	lives := make([]*life, len(h.World.Bridges))
	for i, v := range h.World.Bridges {
		play(uint64(i), func(ctx context.Context, d *hand) error {
			lives[i] = &life{hand: d, v: v}
			return lives[i].play(ctx)
		})
	}
	play(1<<32, h.servers)
	all.Wait()
	for _, l := range lives { // both servers run: whoever could not start without one can now
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := l.stay(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wait returns false when it is over.
func (d *hand) wait(ctx context.Context, t time.Duration) bool {
	select {
	case <-d.enough:
		return false
	default:
	}
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.enough:
	case <-ctx.Done():
	}
	return false
}

func (d *hand) between(least, most time.Duration) time.Duration {
	return least + time.Duration(d.rng.Int64N(int64(most-least)))
}

func (d *hand) shuffled(deck ...func(context.Context) error) []func(context.Context) error {
	d.rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	return deck
}

// life is the bridge's hand: what it plays happens to this bridge.
type life struct {
	*hand
	v     *Victim
	began time.Time
	said  int64 // length of the log then
}

func (l *life) play(ctx context.Context) error {
	if err := l.revive(); err != nil {
		return err
	}
	for {
		for _, play := range l.shuffled(l.kill, l.kill, l.kill, l.kill, l.end, l.end, l.doze, l.doze, l.zombie, l.zombie) {
			if err := l.rest(ctx); err != nil || !l.wait(ctx, 0) {
				return err
			}
			if err := play(ctx); err != nil {
				return err
			}
		}
	}
}

func (l *life) revive() error {
	if info, err := os.Stat(l.v.logFile()); err == nil {
		l.said = info.Size()
	}
	l.began = time.Now()
	version := l.rng.IntN(len(l.Builds))
	if err := l.v.Revive(l.Builds[version]); err != nil {
		return err
	}
	l.Count.Lives[version].Add(1)
	return nil
}

// rest lets the bridge run for a while, mostly some seconds, now and then so shortly that it has not got anything yet.
func (l *life) rest(ctx context.Context) error {
	span := l.between(500*time.Millisecond, 4*time.Second)
	if l.rng.IntN(4) == 0 {
		span = l.between(30*time.Millisecond, 500*time.Millisecond)
	}
	timer := time.NewTimer(span)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return nil
		case <-l.enough:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.v.Child().Done():
			if err := l.again(ctx); err != nil {
				return err
			}
		}
	}
}

// stay waits until the bridge has joined the group.
func (l *life) stay(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("bridge %s does not join the group", l.v.Name()))
	defer cancel()
	return proc.Poll(ctx, 50*time.Millisecond, func(context.Context) error {
		switch {
		case !l.v.Child().Running():
			if err := l.again(ctx); err != nil {
				return proc.Final(err)
			}
		case strings.Contains(l.words(), joined):
			return nil
		}
		return errors.New("not yet")
	})
}

// joined is in the log of every bridge that has found both servers.
const joined = "msg=bridging"

// words of this life.
func (l *life) words() string {
	text, err := os.ReadFile(l.v.Log())
	if err != nil || int64(len(text)) < l.said {
		return ""
	}
	return string(text[l.said:])
}

// again starts a bridge that has ended by itself, if it had a reason to: who finds Kafka or S2 down at the start says so with exit
// code 1. Nothing else ends a bridge.
func (l *life) again(ctx context.Context) error {
	said := l.words()
	recently := l.troubled.Load() > l.began.Add(-30*time.Second).UnixNano()
	if l.v.Child().State().ExitCode() != 1 || !recently || strings.Contains(said, joined) {
		return fmt.Errorf("bridge %s: %w with %s:\n%s", l.v.Name(), errEndedAlone, l.v.Child().State(), said[max(0, len(said)-3000):])
	}
	l.Count.Restarts.Add(1)
	l.wait(ctx, 300*time.Millisecond) // as whoever supervises it would
	return l.revive()
}

func (l *life) kill(ctx context.Context) error {
	if err := l.v.Child().Kill(); err != nil {
		return err
	}
	l.Count.Kills.Add(1)
	away := time.Duration(0)
	if l.rng.IntN(3) == 0 {
		away = l.between(0, 2*sessionTimeout)
	}
	l.Logf("SIGKILL to bridge %s, away for %.1f s", l.v.Name(), away.Seconds())
	l.wait(ctx, away)
	return l.revive()
}

func (l *life) end(ctx context.Context) error {
	// Not before it listens to signals.
	started, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := proc.Poll(started, 20*time.Millisecond, func(ctx context.Context) error {
		_, _, err := l.v.Get(ctx, "/healthz")
		if err != nil && !l.v.Child().Running() {
			return proc.Final(errEndedAlone)
		}
		return err
	}); err != nil {
		return l.rest(ctx) // it knows what to say of a bridge that has ended
	}
	began := time.Now()
	if err := l.v.End(); err != nil {
		return err
	}
	l.Count.Ends.Add(1)
	l.Logf("SIGTERM to bridge %s, answered after %.1f s", l.v.Name(), time.Since(began).Seconds())
	return l.revive()
}

func (l *life) doze(ctx context.Context) error {
	return l.stop(ctx, l.between(time.Second, sessionTimeout-time.Second), &l.Count.Dozes)
}

func (l *life) zombie(ctx context.Context) error {
	return l.stop(ctx, l.between(sessionTimeout+time.Second, 20*time.Second), &l.Count.Zombies)
}

func (l *life) stop(ctx context.Context, span time.Duration, count *atomic.Int64) error {
	if err := l.v.Child().Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	l.Logf("SIGSTOP to bridge %s for %.1f s", l.v.Name(), span.Seconds())
	if l.wait(ctx, span) {
		count.Add(1)
	}
	return l.v.Child().Signal(syscall.SIGCONT)
}

// servers is the hand that plays with Kafka and S2.
func (h *Havoc) servers(ctx context.Context, d *hand) error {
	w := h.World
	again := func(name, how string, end func() error, s Server, count *atomic.Int64) func(context.Context) error {
		return func(ctx context.Context) error {
			if err := end(); err != nil {
				return err
			}
			count.Add(1)
			h.Logf("%s to %s", how, name)
			return s.Restart(ctx)
		}
	}
	doze := func(name string, s Server, count *atomic.Int64) func(context.Context) error {
		return func(ctx context.Context) error {
			span := d.between(200*time.Millisecond, 4*time.Second)
			if err := syscall.Kill(s.Pid(), syscall.SIGSTOP); err != nil {
				return fmt.Errorf("stop %s: %w", name, err)
			}
			count.Add(1)
			h.Logf("SIGSTOP to %s for %.1f s", name, span.Seconds())
			d.wait(ctx, span)
			return errors.Join(syscall.Kill(s.Pid(), syscall.SIGCONT))
		}
	}
	deck := []func(context.Context) error{doze("Kafka", w.Kafka, &h.Count.KafkaDozes), doze("S2", w.S2, &h.Count.S2Dozes)}
	if w.Durable {
		deck = append(deck, again("Kafka", "SIGKILL", w.Kafka.Kill, w.Kafka, &h.Count.KafkaKills),
			again("S2", "SIGKILL", w.S2.Kill, w.S2, &h.Count.S2Kills), again("S2", "SIGKILL", w.S2.Kill, w.S2, &h.Count.S2Kills))
	} else { // kfake forgets producers and transactions in a SIGKILL, s2mem everything in any case
		deck = append(deck, again("Kafka", "SIGTERM", w.Kafka.Stop, w.Kafka, &h.Count.KafkaKills))
	}
	for {
		for _, play := range d.shuffled(deck...) {
			if !d.wait(ctx, d.between(3*time.Second, 15*time.Second)) {
				return nil
			}
			h.troubled.Store(time.Now().Add(time.Minute).UnixNano()) // while it lasts
			err := play(ctx)
			h.troubled.Store(time.Now().UnixNano())
			if err != nil {
				return err
			}
		}
	}
}

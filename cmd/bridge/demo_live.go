package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

const (
	liveRate = 2000 // records a second
	livePart = liveRate / 2
	// liveOutage is how long the bridge stays dead: a restart takes less than
	// a second, too short to be seen.
	liveOutage = time.Second
	// An embedded round ends when so many records are in memory; the next one
	// begins with empty servers. Real servers keep them elsewhere, and only
	// what the comparison needs is here.
	embeddedRound, realRound = 200_000, 5_000_000
)

// lifetime is how long the bridge may live: never long, and never the same.
func lifetime() time.Duration { return 4*time.Second + rand.N(3*time.Second) }

// demoLive is `bridge demo`: rounds until stop ends, and at once when now does.
func demoLive(stop, now context.Context, o demoOptions, out io.Writer) error {
	screen, began, checked := newScreen(out), time.Now(), ""
	for number := 1; ; number++ {
		l := &live{screen: screen, began: began, checked: checked, size: realRound, lifetime: lifetime, outage: liveOutage}
		if o.kafka == "" {
			l.size = embeddedRound
		}
		v, err := l.play(stop, now, o)
		if err != nil {
			return unknown(err)
		}
		v.KilledAt = nil // shares of what nobody knew then
		if stop.Err() != nil || !v.Verified {
			v.print(out)
			return v.wrong()
		}
		checked = fmt.Sprintf("round %d: %s records compared, each in S2 exactly once; the bridge was killed %s", number, grouped(v.Records), times(v.Restarts))
		l.tell(checked)
		o.seed++
	}
}

// live is one round for the eye.
type live struct {
	screen  *screen
	began   time.Time // of the first round
	checked string    // what became of the round before
	meter   meter
	events  []string
	round   *round // nil while it opens

	size     int                  // records of a round
	lifetime func() time.Duration // of a bridge
	outage   time.Duration        // how long it stays dead
}

// play lets records flow until stop ends or the round is full.
func (l *live) play(stop, now context.Context, o demoOptions) (verdict, error) {
	r, err := openRound(stop, now, o, l.tell)
	if err != nil {
		if stop.Err() != nil {
			err = context.Cause(stop)
		}
		return verdict{}, err
	}
	defer r.close()
	l.round = r
	r.show = func() { l.screen.show(l.view(time.Now())) }
	written := r.generate(now, func(ctx context.Context) error {
		for r.generator.visible < l.size && stop.Err() == nil {
			if err := r.generator.produce(ctx, livePart, liveRate); err != nil {
				return err
			}
		}
		return nil
	})
	var hurdle error
	for hurdle == nil && !written() {
		due := time.Now().Add(l.lifetime())
		hurdle = r.wait(now, func() bool { return written() || !time.Now().Before(due) })
		if hurdle == nil && !written() {
			hurdle = l.strike(now)
		}
	}
	defer l.screen.keep()
	return r.finish(now, hurdle)
}

// strike kills the bridge, and starts it again when a lag can be seen.
func (l *live) strike(now context.Context) error {
	l.round.kill()
	for until := time.Now().Add(l.outage); time.Now().Before(until); l.round.show() {
		if !pause(now, frame) {
			return context.Cause(now)
		}
	}
	return l.round.revive(now)
}

// tell notes what happened, and shows it.
func (l *live) tell(text string) {
	text = clock(time.Since(l.began)) + "  " + text
	l.events = append(l.events, text)
	if !l.screen.inPlace() {
		fmt.Fprintln(l.screen.out, text)
		return
	}
	if l.round != nil {
		l.round.show()
	}
}

func (l *live) view(at time.Time) view {
	r := l.round
	lanes := r.board.look()
	pid := 0
	if r.victim != nil {
		pid = r.victim.pid()
	}
	return view{
		Elapsed: at.Sub(l.began), Where: r.stage.where(), Topic: r.stage.topic, HTTP: r.stage.listen,
		Pid: pid, Restarts: r.restarts, Lanes: lanes, Rates: l.meter.add(at, lanes),
		Aborted: int(r.generator.aborted.Load()), Trouble: r.board.trouble(), Events: l.events, Checked: l.checked,
		Hint: "Ctrl-C ends it, and compares every record",
	}
}

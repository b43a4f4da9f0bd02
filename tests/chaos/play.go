package chaos

import (
	"context"
	"errors"
	"time"
)

// patience is how long the bridges may take to catch up when it is over; above what a group may need to count its dead.
const patience = 90 * time.Second

// Plan says for how long, and how much.
type Plan struct {
	For  time.Duration   // at least; and until each kind of misfortune has happened
	Rate int             // records a second
	More func() bool     // it goes on while this is true, too; nil: never. Called by a goroutine of Play's
	Stop <-chan struct{} // ends it early; nil: nothing does
}

// Play feeds records and does its worst until the plan is fulfilled, lets the world settle, and judges. An error means that
// nothing can be said.
func (h *Havoc) Play(ctx context.Context, p Plan) (Verdict, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	enough, calm := make(chan struct{}), make(chan struct{})
	fed, watched := make(chan error, 1), make(chan struct{})
	go func() {
		err := h.World.Feed(ctx, calm, p.Rate)
		if err != nil {
			cancel(err)
		}
		fed <- err
	}()
	go func() {
		defer close(watched)
		h.watch(ctx, p)
		close(enough)
	}()
	err := h.run(ctx, enough)
	if err != nil {
		cancel(err)
	}
	<-watched
	close(calm)
	if err := errors.Join(err, <-fed); err != nil {
		return Verdict{}, err
	}
	h.Logf("all processes run, nothing more is written")
	return h.World.Settle(ctx, patience, h.Logf)
}

// watch returns when the plan is fulfilled.
func (h *Havoc) watch(ctx context.Context, p Plan) {
	end := time.Now().Add(p.For)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.Stop:
			return
		case now := <-tick.C:
			if now.After(end) && len(h.Count.Never(h.World.Durable)) == 0 && (p.More == nil || !p.More()) {
				return
			}
		}
	}
}

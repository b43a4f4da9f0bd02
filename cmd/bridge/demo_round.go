package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// frame is how often a round looks at its watch and is shown.
	frame = 250 * time.Millisecond
	// patience is above what a bridge waits before it tries again.
	patience = 60 * time.Second
	// verifyTimeout bounds the comparison.
	verifyTimeout = 10 * time.Minute
)

// round is one topic's play: the stage, those who write, watch and are killed.
// Its methods are for one goroutine, which waits for all the others in close.
type round struct {
	stage     *stage
	generator *generator
	board     *board
	env       []string

	victim   *victim // nil between kill and revive
	restarts int
	killedAt []int // records in S2 at each kill
	began    time.Time

	patience time.Duration // how long a bridge that has work may stand still

	tell func(text string) // something happened
	show func()            // called once a frame

	crew    sync.WaitGroup // those who watch
	dismiss context.CancelFunc
	writing sync.WaitGroup // the generator
	silence context.CancelFunc
	failed  chan error // of the generator
}

// openRound sets everything up, unless setup ends before, and starts the bridge.
// It and all who watch live no longer than ctx.
func openRound(setup, ctx context.Context, o demoOptions, tell func(string)) (*round, error) {
	began := time.Now()
	stage, err := openStage(setup, o, demoTopic())
	if err != nil {
		return nil, err
	}
	r := &round{
		stage: stage, generator: newGenerator(stage, o.seed), board: newBoard(stage.partitions), env: stage.environment(),
		began: began, patience: patience, tell: tell, show: func() {}, silence: func() {}, failed: make(chan error, 1),
	}
	watching, dismiss := context.WithCancel(ctx)
	r.dismiss = dismiss
	client, err := stage.reader()
	if err != nil {
		r.close()
		return nil, err
	}
	stage.closers = append(stage.closers, client.Close)
	if r.board.edges = !o.once; r.board.edges { // shown while it runs
		consumer, err := stage.consumer()
		if err != nil {
			r.close()
			return nil, err
		}
		stage.closers = append(stage.closers, consumer.Close)
		r.crew.Go(func() { r.board.watchRecords(watching, consumer) })
	}
	r.crew.Go(func() { r.board.watchKafka(watching, stage) })
	for p := range stage.partitions {
		r.crew.Go(func() { r.board.watchStream(watching, client, fmt.Sprintf("%s/%d", stage.topic, p), p) })
	}
	if err := r.start(ctx); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// close ends everything that is left and waits for it.
func (r *round) close() {
	if r.victim != nil {
		r.victim.kill()
	}
	r.hush()
	r.generator.close()
	r.dismiss()
	r.crew.Wait()
	r.stage.close()
}

// generate runs work, which writes records, beside everything else. A failure
// of it ends the next wait. Once a round.
func (r *round) generate(ctx context.Context, work func(context.Context) error) (written func() bool) {
	ctx, r.silence = context.WithCancel(ctx)
	finished := make(chan struct{})
	r.writing.Go(func() {
		if err := work(ctx); err != nil {
			r.failed <- err
			return
		}
		close(finished)
	})
	return func() bool {
		select {
		case <-finished:
			return true
		default:
			return false
		}
	}
}

// hush ends the generator, if it still writes, and waits for it.
func (r *round) hush() {
	r.silence()
	r.writing.Wait()
}

func (r *round) start(ctx context.Context) (err error) {
	r.victim, err = startVictim(ctx, r.env)
	return err
}

// kill ends the bridge with SIGKILL in the middle of what it does.
func (r *round) kill() {
	at := r.board.records()
	pid := r.victim.pid()
	r.victim.kill()
	r.victim = nil
	r.killedAt = append(r.killedAt, at)
	r.tell(fmt.Sprintf("SIGKILL to the bridge (pid %d) with %s records in S2", pid, grouped(at)))
}

// revive starts another one.
func (r *round) revive(ctx context.Context) error {
	if err := r.start(ctx); err != nil {
		return err
	}
	r.restarts++
	r.tell(fmt.Sprintf("started the bridge again (pid %d)", r.victim.pid()))
	return nil
}

// stalled is why a round does not go on, although nothing has failed.
type stalled struct {
	since time.Duration
	why   string
}

func (s *stalled) Error() string {
	return fmt.Sprintf("nothing moved for %s: %s", s.since.Round(time.Second), s.why)
}

// wait returns when done says so; it is asked when the board changed, and once
// a frame. It returns early when the bridge ends by itself, when the generator
// fails, when nothing moves any more (*stalled), and with ctx.
func (r *round) wait(ctx context.Context, done func() bool) error {
	ticker := time.NewTicker(frame)
	defer ticker.Stop()
	for !done() {
		select {
		case <-r.board.stir:
		case <-ticker.C:
			r.show()
			if still := r.board.still(); still > r.patience {
				return &stalled{still, r.reasons(ctx)}
			}
		case <-r.victim.done:
			if ctx.Err() != nil {
				return context.Cause(ctx) // it was killed with it
			}
			return r.victim.ended()
		case err := <-r.failed:
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// reasons asks the bridge why it stands still.
func (r *round) reasons(ctx context.Context) string {
	if trouble := r.board.trouble(); trouble != "" {
		return trouble
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.stage.listen+"/readyz", nil)
	if err != nil {
		return err.Error()
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Sprintf("the bridge does not answer; it said:\n%s", r.victim.log)
	}
	defer func() { _ = resp.Body.Close() }()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	return "/readyz of the bridge says: " + strings.TrimSpace(string(said))
}

// finish lets the bridge catch up, ends it as an operator would, and compares.
// hurdle is what already went wrong on the way; after a stall the comparison
// says what it cost.
func (r *round) finish(ctx context.Context, hurdle error) (verdict, error) {
	if hurdle == nil {
		r.tell("waiting until the bridge has caught up")
		written := time.Now()
		hurdle = r.wait(ctx, func() bool { return r.board.caughtUp(written) })
	}
	var stall *stalled
	if hurdle != nil && !errors.As(hurdle, &stall) {
		return r.verdict(), hurdle
	}
	r.hush()
	stopping := r.victim.stop()
	r.tell("comparing every stream with its partition")
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	v, err := r.verify(ctx)
	for _, problem := range []error{hurdle, stopping} {
		if problem != nil {
			v.Problems = append(v.Problems, problem.Error())
			v.Verified = false
		}
	}
	if err != nil && hurdle != nil {
		err = fmt.Errorf("%w; then: %w", hurdle, err)
	}
	return v, err
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// The records of a bounded demo are written in ten parts, within a second if
// there are few: all at once would be gone before the bridge can be killed. The
// last three parts wait until it has been killed for the last time: so it was in
// the middle, however fast it is.
const (
	onceParts = 10
	onceGate  = 7
)

// killsAt says with how many records in S2 the bridge is to be killed: once,
// and more often among many records, between 20 % and 65 % of them.
func killsAt(records int) (at []int) {
	kills := min(1+records/40_000, 5)
	for k := range kills {
		percent := 20 + 45*(k+1)/(kills+1)
		at = append(at, (records*percent+99)/100)
	}
	return at
}

// onceBurst is the size of part i of the records, from 0.
func onceBurst(records, i int) int { return records*(i+1)/onceParts - records*i/onceParts }

// demoOnce is `bridge demo --once`. Progress goes to errout, the result to out.
func demoOnce(ctx context.Context, o demoOptions, out, errout io.Writer) error {
	v, err := playOnce(ctx, o, errout)
	if err != nil {
		v.Verified, v.Error = false, err.Error()
	}
	switch {
	case o.asJSON:
		if werr := json.NewEncoder(out).Encode(v); werr != nil {
			return unknown(fmt.Errorf("the result cannot be written: %w", werr))
		}
	case err == nil:
		v.print(out)
	}
	if err != nil {
		return unknown(err)
	}
	return v.wrong()
}

func playOnce(ctx context.Context, o demoOptions, errout io.Writer) (verdict, error) {
	began := time.Now()
	tell := func(text string) { fmt.Fprintf(errout, "%5.1f s  %s\n", time.Since(began).Seconds(), text) }
	r, err := openRound(ctx, ctx, o, tell)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return verdict{Partitions: o.partitions, KilledAt: []float64{}, Edges: map[string]edgePair{}, Seed: o.seed, Problems: []string{}}, err
	}
	defer r.close()
	tell(fmt.Sprintf("%s records into topic %s (%d partitions); %s; the bridge is pid %d", grouped(o.records), r.stage.topic, o.partitions, r.stage.where(), r.victim.pid()))
	last := began
	r.show = func() {
		if time.Since(last) >= 2*time.Second {
			last = time.Now()
			n, lag := r.board.records(), int64(0)
			for _, l := range r.board.look() {
				lag += l.Lag()
			}
			text := fmt.Sprintf("%s records in S2 (%d %%), lag %s", grouped(n), 100*n/o.records, grouped(lag))
			if trouble := r.board.trouble(); trouble != "" {
				text += "; " + trouble
			}
			tell(text)
		}
	}
	return r.finish(ctx, r.once(ctx, o.records))
}

// once writes all records, and kills the bridge while it copies them.
func (r *round) once(ctx context.Context, records int) error {
	proceed := make(chan struct{})
	written := r.generate(ctx, func(ctx context.Context) error {
		for i := range onceParts {
			if i == onceGate {
				select {
				case <-proceed:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			if err := r.generator.produce(ctx, onceBurst(records, i), float64(records)); err != nil {
				return err
			}
		}
		return nil
	})
	for _, at := range killsAt(records) {
		if err := r.wait(ctx, func() bool { return r.board.records() >= at }); err != nil {
			return err
		}
		r.kill()
		if err := r.revive(ctx); err != nil {
			return err
		}
	}
	close(proceed)
	return r.wait(ctx, written)
}

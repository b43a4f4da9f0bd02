package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"kafka-s2-bridge/tests/chaos"
	"kafka-s2-bridge/tests/oracle/produce"
	"kafka-s2-bridge/tests/real/bridge"
)

// names of the bridges.
var names = []string{"one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}

var errTwice = errors.New("ended at once by a second signal: nothing can be said")

// play is the whole thing. What is known goes into the result also where there is an error.
func play(ctx context.Context, o options, s *screen, signals <-chan os.Signal) (r result, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	over := make(chan struct{})
	var beside sync.WaitGroup
	defer beside.Wait()
	defer close(over)
	beside.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-over:
				return
			case <-signals:
			}
			if n == 0 {
				s.tell("no more misfortunes: the verdict is next")
				close(stop)
				continue
			}
			cancel(errTwice)
			return
		}
	})
	r.Seed = o.seed
	r.began = s.began
	defer r.took()

	dir, err := folder(o.keep)
	if err != nil {
		return r, err
	}
	if o.keep == "" {
		defer os.RemoveAll(dir)
	}
	bridge.ForgetSettings()
	s.tell("building the bridge: two versions that take turns")
	builds, err := build(ctx, o, dir)
	if err != nil {
		return r, err
	}
	stage, err := open(ctx, o, dir, s)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	r.durable = stage.Durable
	w, err := chaos.NewWorld(ctx, stage, dir, o.seed, produce.Topic{Name: "orders", Partitions: int32(o.partitions)})
	if err != nil {
		return r, err
	}
	defer w.Close()
	for i, name := range names[:o.bridges] {
		settings := bridge.Settings{}
		if o.memory || i%2 == 0 { // kfake never forgets a nameless member that died while it was joining
			settings["kafka.instance_id"] = name
		}
		if _, err := w.Bridge(name, settings); err != nil {
			return r, err
		}
	}
	live, end, err := chaos.Watch(ctx, w)
	if err != nil {
		return r, err
	}
	defer end()

	h := &chaos.Havoc{World: w, Builds: builds, Seed: o.seed, Logf: s.tell}
	r.count = &h.Count
	s.tell("%d bridges between Kafka %s and S2 %s, %d records a second, for %s; -seed %d", o.bridges, stage.Brokers, stage.URL, o.rate, o.span, o.seed)
	shown := make(chan struct{})
	beside.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.show(status(live.Tally(), &h.Count))
			case <-shown:
				return
			}
		}
	})
	r.Verdict, err = h.Play(ctx, chaos.Plan{For: o.span, Rate: o.rate, Stop: stop, More: func() bool {
		return h.Count.SIGKILLs(stage.Durable) < o.kills || live.Tally().Served < o.records
	}})
	close(shown)
	r.Live = live.Tally()
	s.show(status(r.Live, &h.Count))
	s.keep()
	if err == nil && r.Served == 0 {
		err = errors.New("kafka serves no record: there is nothing to judge; let it run for longer")
	}
	if err != nil {
		return r, err
	}
	r.judged = true
	if never := h.Count.Never(stage.Durable); len(never) > 0 {
		s.tell("it was ended before these ever happened: %s", strings.Join(never, ", "))
	}
	r.FencedOut = w.FencedOut()
	s.tell("%v; %d times somebody who had lost a stream was kept from writing it", &h.Count, r.FencedOut)
	s.tell("%v", r.Verdict)
	return r, nil
}

// folder is where everything goes: below keep, or where temporary files go.
func folder(keep string) (string, error) {
	if keep != "" {
		if err := os.MkdirAll(keep, 0o755); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp(keep, "chaos-")
}

func build(ctx context.Context, o options, dir string) (builds [2]string, err error) {
	for i, version := range []string{"v0.0.1-chaos", "v0.0.2-chaos"} {
		if i == 0 && o.old != "" {
			if builds[i], err = filepath.Abs(o.old); err != nil {
				return builds, err
			}
			continue
		}
		if builds[i], err = chaos.Build(ctx, dir, version); err != nil {
			return builds, err
		}
	}
	return builds, nil
}

func open(ctx context.Context, o options, dir string, s *screen) (*chaos.Stage, error) {
	if o.memory {
		return chaos.OpenMemory(ctx, chaos.Misfortunes(dir))
	}
	s.tell("starting Apache Kafka and s2-lite in %s", dir)
	return chaos.OpenReal(ctx, dir, s.tell)
}

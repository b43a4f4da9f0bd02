//go:build real

package real_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/produce"
	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/proc"
)

const group = "real"

// The main job: 1,000,000 records of all shapes from Apache Kafka into s2-lite on disk, by two bridges of one group that are
// killed at random moments while s2-lite is killed twice. In the end every record is there once, in order, byte-exact, and
// the group's lag is 0.
func TestMainJob(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	records := int(number(t, "REAL_RECORDS", 1_000_000))
	began := time.Now()
	w := newWorld(ctx, t)
	dir := t.TempDir()
	bin, err := bridge.Build(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	// One member of either kind: a static one is back at once after a kill, a dynamic one leaves its partitions
	// to the other when its session has timed out.
	bridges := []*bridge.Process{
		w.bridge(t, bin, dir, "static", bridge.Settings{"kafka.instance_id": "static"}),
		w.bridge(t, bin, dir, "dynamic", nil),
	}

	// Production takes a given time, so that there is time to kill in; the kills end when it does.
	const span = 150 * time.Second
	type result struct {
		sum produce.Summary
		err error
	}
	produced, enough := make(chan result, 1), make(chan struct{})
	producing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		defer close(enough)
		sum, err := produce.Run(producing, produce.Options{
			Kafka: []kgo.Opt{w.brokers()}, Shapes: w.shapes, Ledger: w.ledger, Records: records,
			Rate: float64(records) / span.Seconds(), TxShare: 0.3, AbortShare: 0.3,
		})
		produced <- result{sum, err}
	}()
	c := &chaos{bridges: bridges, s2: w.s2, rng: rand.New(rand.NewPCG(w.seed, 2)), logf: func(format string, args ...any) {
		t.Logf("%6.1f s: %s", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}}
	chaosErr := c.run(ctx, enough, span/4, span*3/5)
	if chaosErr != nil {
		stop(chaosErr)
	}
	made := <-produced
	if err := errors.Join(chaosErr, made.err); err != nil {
		t.Fatal(err)
	}
	t.Logf("%6.1f s: produced %+v; killed bridges %d times, s2-lite %d times", time.Since(began).Seconds(), made.sum, c.kills, c.s2Kills)
	if c.kills < 10 || c.s2Kills != 2 {
		t.Errorf("only %d kills of bridges and %d of s2-lite while records were produced", c.kills, c.s2Kills)
	}

	w.waitForLag(ctx, t, 5*time.Minute, bridges)
	t.Logf("%6.1f s: lag is 0", time.Since(began).Seconds())
	w.waitForBoth(ctx, t, bridges)
	for _, b := range bridges {
		if err := b.Stop(30 * time.Second); err != nil {
			t.Error(err)
		}
	}
	sum := w.judge(ctx, t, group, oracle.Expect{PastBefore: began.UnixMilli()})
	t.Logf("%6.1f s: %v", time.Since(began).Seconds(), sum)
	if sum.Records < records {
		t.Errorf("%d records were bridged, %d wanted", sum.Records, records)
	}
	if sum.Fences <= 8 {
		t.Error("no stream ever changed its owner: the kills hit nothing")
	}
}

// bridge starts a bridge on the world's servers. A failed test shows the end of its log.
func (w *world) bridge(t *testing.T, bin, dir, name string, more bridge.Settings) *bridge.Process {
	t.Helper()
	s := bridge.Settings{
		"kafka.brokers": []string{w.kafka.Addr()}, "kafka.group": group, "kafka.topics": w.topics,
		"s2.endpoint": w.s2.URL(), "s2.basin": w.s2.Basin(), "memory.budget": "128MiB",
		"kafka.session_timeout": "10s",
	}
	for k, v := range more {
		s[k] = v
	}
	b, err := bridge.Start(bridge.Options{Binary: bin, Dir: dir, Name: name, Settings: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if b.Child().Running() {
			_ = b.Kill()
		}
		if t.Failed() {
			t.Logf("end of the log of bridge %s:\n%s", name, proc.Tail(b.Log(), 8000))
		}
	})
	return b
}

// script starts a shell script in the place of a bridge.
func script(t *testing.T, dir, name, text string) *bridge.Process {
	t.Helper()
	bin := filepath.Join(dir, "script-"+name)
	if err := os.WriteFile(bin, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := bridge.Start(bridge.Options{Binary: bin, Dir: dir, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.Child().Running() {
			_ = p.Kill()
		}
	})
	return p
}

// waitForLag waits until the group has committed the last stable offset of every partition. The bridges must go on running.
func (w *world) waitForLag(ctx context.Context, t *testing.T, patience time.Duration, bridges []*bridge.Process) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("lag is not 0 after %s", patience))
	defer cancel()
	cl, err := w.kafka.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := proc.Poll(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		for _, b := range bridges {
			if !b.Child().Running() {
				return proc.Final(fmt.Errorf("bridge %s ended by itself: %w", b.Name(), b.Child().Err()))
			}
		}
		commits, err := oracle.ReadCommits(ctx, cl, group, w.topics...)
		if err != nil {
			return err
		}
		var late error
		for _, c := range commits {
			if c.Lag() > 0 {
				late = errors.Join(late, fmt.Errorf("%s/%d committed %d of %d", c.Topic, c.Partition, c.Offset, c.Stable))
			}
		}
		return late
	}); err != nil {
		for _, b := range bridges {
			code, body, err := b.Get(context.WithoutCancel(ctx), "/readyz")
			t.Logf("bridge %s: /readyz %d %s %v", b.Name(), code, body, err)
		}
		t.Fatal(err)
	}
}

// waitForBoth waits until the group has the two bridges as its members, each with partitions, and each sees no lag.
func (w *world) waitForBoth(ctx context.Context, t *testing.T, bridges []*bridge.Process) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the bridges do not share the group"))
	defer cancel()
	cl, err := w.kafka.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := proc.Poll(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		groups, err := kadm.NewClient(cl).DescribeGroups(ctx, group)
		if err != nil {
			return err
		}
		g := groups[group]
		if g.Err != nil || g.State != "Stable" || len(g.Members) != len(bridges) {
			return fmt.Errorf("group is %s with %d members, error %w", g.State, len(g.Members), g.Err)
		}
		for _, b := range bridges {
			_, text, err := b.Get(ctx, "/metrics")
			if err != nil {
				return err
			}
			own, behind := 0, 0
			for line := range strings.Lines(text) {
				if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && strings.HasPrefix(name, "kafka_s2_bridge_lag{") {
					if own++; value != "0" {
						behind++
					}
				}
			}
			if own == 0 || behind > 0 {
				return fmt.Errorf("bridge %s has %d partitions, %d of them with lag in /metrics", b.Name(), own, behind)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

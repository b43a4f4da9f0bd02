package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kafka-s2-bridge/sink"
)

const day = 24 * time.Hour

// settled is a stream with a retention.
type settled struct {
	age atomic.Int64
	err error
}

func (s *settled) Settings(context.Context) (sink.StreamSettings, error) {
	return sink.StreamSettings{Retention: time.Duration(s.age.Load())}, s.err
}

func streamOfAge(age time.Duration) *settled {
	s := &settled{}
	s.age.Store(int64(age))
	return s
}

// watchTopics is a watch of topics whose retention is known.
func watchTopics(ctx context.Context, cfg Config, out *lockedBuffer, ages map[string]time.Duration) *retentionWatch {
	return newRetentionWatch(ctx, cfg, slog.New(slog.NewTextHandler(out, nil)), func(_ context.Context, topic string) (time.Duration, error) {
		age, ok := ages[topic]
		if !ok {
			return 0, errors.New("not authorized")
		}
		return age, nil
	})
}

func TestShortStreamsAreTold(t *testing.T) {
	const forever = 0
	topicsOwn, fixed := Retention{FromTopic: true}, Retention{Age: 3 * day}
	for _, c := range []struct {
		name           string
		topic, stream  time.Duration
		configured     Retention
		short          bool
		line, lineElse string
	}{
		{"longer", 7 * day, 8 * day, topicsOwn, false, "", ""},
		{"the same", 7 * day, 7 * day, topicsOwn, false, "", ""},
		{"for ever", 7 * day, forever, topicsOwn, false, "", ""},
		{"both for ever", forever, forever, topicsOwn, false, "", ""},
		{"shorter", 7 * day, day, topicsOwn, true, "stream_retention=24h0m0s topic_retention=168h0m0s", "--retention-policy 604800s s2://basin-one/orders/0"},
		{"compacted topic", forever, 7 * day, topicsOwn, true, "topic_retention=infinite", "--retention-policy infinite s2://basin-one/orders/0"},
		{"as the operator wants it", 7 * day, 3 * day, fixed, false, "", ""},
		{"shorter than the operator wants it", 7 * day, 2 * day, fixed, true, "topic_retention=72h0m0s", "--retention-policy 259200s"},
		{"a topic shorter than the operator wants it", day, 2 * day, fixed, false, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out lockedBuffer
			cfg := Config{S2: S2Config{Basin: "basin-one"}, Stream: StreamConfig{Retention: c.configured}}
			w := watchTopics(t.Context(), cfg, &out, map[string]time.Duration{"orders": c.topic})
			for range 2 { // it is told once
				w.Look(comparison{partitionKey: partitionKey{"orders", 0}, name: "orders/0", stream: streamOfAge(c.stream)})
				w.work.Wait()
			}
			if got := len(w.Short()) == 1; got != c.short {
				t.Errorf("short: %v", got)
			}
			if got := out.String(); strings.Count(got, "\n") != strings.Count(fmt.Sprint(c.short), "true") || !strings.Contains(got, c.line) || !strings.Contains(got, c.lineElse) {
				t.Errorf("log: %s", got)
			}
			w.Close()
		})
	}
}

// A stream that was mended is looked at again, and its gauge goes.
func TestShortStreamsAreLookedAtAgain(t *testing.T) {
	var out lockedBuffer
	w := watchTopics(t.Context(), Config{}, &out, map[string]time.Duration{"orders": 7 * day})
	defer w.Close()
	s := streamOfAge(day)
	w.Look(comparison{partitionKey: partitionKey{"orders", 3}, name: "orders/3", stream: s})
	w.work.Wait()
	s.age.Store(int64(30 * day))
	ours := map[partitionKey]bool{{"orders", 3}: true}
	w.LookAgain(time.Now(), ours)
	w.work.Wait()
	if got := w.Short(); !slices.Equal(got, []partitionKey{{"orders", 3}}) {
		t.Fatalf("too early: %v", got)
	}
	w.LookAgain(time.Now().Add(compareAgain), ours)
	w.work.Wait()
	if got := w.Short(); len(got) != 0 || !strings.Contains(out.String(), "long enough now") {
		t.Errorf("%v\n%s", got, out.String())
	}

	s.age.Store(int64(day))
	w.Look(comparison{partitionKey: partitionKey{"orders", 3}, name: "orders/3", stream: s})
	w.work.Wait()
	w.LookAgain(time.Now(), nil)
	if got := w.Short(); len(got) != 0 {
		t.Errorf("it is another process's now: %v", got)
	}
}

// A thousand partitions of a topic come at once: a few streams are looked at at a
// time, the topic is asked about once, and what cannot be found out is said once.
func TestManyComparisons(t *testing.T) {
	var out lockedBuffer
	var asked atomic.Int32
	var mu sync.Mutex
	under, most := 0, 0
	w := newRetentionWatch(t.Context(), Config{}, slog.New(slog.NewTextHandler(&out, nil)), func(_ context.Context, topic string) (time.Duration, error) {
		asked.Add(1)
		if topic == "secret" {
			return 0, errors.New("not authorized")
		}
		return 7 * day, nil
	})
	gate := make(chan struct{})
	s := slowStream{settled: streamOfAge(day), look: func() {
		mu.Lock()
		under++
		most = max(most, under)
		mu.Unlock()
		<-gate
		mu.Lock()
		under--
		mu.Unlock()
	}}
	for n := range int32(500) {
		w.Look(comparison{partitionKey: partitionKey{"orders", n}, stream: s})
		w.Look(comparison{partitionKey: partitionKey{"secret", n}, stream: s})
		w.Look(comparison{partitionKey: partitionKey{"denied", n}, stream: &settled{err: errors.New("permission_denied")}})
	}
	close(gate)
	w.work.Wait()
	if most > comparisons || asked.Load() != 2 || len(w.Short()) != 500 {
		t.Errorf("%d at once, %d questions about topics, %d short", most, asked.Load(), len(w.Short()))
	}
	if got := out.String(); strings.Count(got, "get-stream-config") != 1 || strings.Count(got, "describe the topic's configuration") != 1 {
		t.Errorf("said:\n%.500s", got)
	}
	w.Close()
}

type slowStream struct {
	*settled
	look func()
}

func (w slowStream) Settings(ctx context.Context) (sink.StreamSettings, error) {
	w.look()
	return w.settled.Settings(ctx)
}

// The end waits for what runs, which the context cuts off; what waits is forgotten.
func TestComparisonsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out lockedBuffer
	w := watchTopics(ctx, Config{}, &out, map[string]time.Duration{"orders": 7 * day})
	var started sync.WaitGroup
	started.Add(comparisons)
	var looks atomic.Int32
	for n := range int32(50) {
		w.Look(comparison{partitionKey: partitionKey{"orders", n}, stream: blocking(func(ctx context.Context) error {
			if looks.Add(1) <= comparisons {
				started.Done()
			}
			<-ctx.Done()
			return ctx.Err()
		})})
	}
	started.Wait()
	cancel()
	w.Close()
	w.Look(comparison{stream: blocking(func(context.Context) error { t.Error("a look behind the end"); return nil })})
	w.work.Wait()
	if out.String() != "" {
		t.Errorf("the end is no news:\n%s", out.String())
	}
}

type blocking func(ctx context.Context) error

func (b blocking) Settings(ctx context.Context) (sink.StreamSettings, error) {
	return sink.StreamSettings{}, b(ctx)
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{"s2://b/orders/0": "s2://b/orders/0", "s2://b/a b": "'s2://b/a b'", "$(x)'": `'$(x)'\'''`} {
		if got := shellWord(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

package chaos

import (
	"context"
	"flag"
	"testing"
	"time"

	"kafka-s2-bridge/tests/oracle/produce"
	"kafka-s2-bridge/tests/real/bridge"
)

var span = flag.Duration("span", 60*time.Second, "how long the random misfortunes go on")

// Three bridges of two versions are killed, ended, and stopped for longer than the group waits for them, while Kafka is ended and
// both servers stop and go on. No record is lost, doubled, moved or altered.
func TestRandomChaos(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3**span+3*time.Minute)
	defer cancel()
	w := memoryWorld(ctx, t, Misfortunes(""), produce.Topic{Name: topic, Partitions: 12})
	// All have names: this kfake never forgets a member without one that died while it was joining.
	playHavoc(ctx, t, w, 1500, 3)
}

// playHavoc runs the random misfortunes for their span, on three bridges of which so many have a name in the group, lets the world
// settle, and holds it to the oracle.
func playHavoc(ctx context.Context, t *testing.T, w *World, rate, named int) {
	t.Helper()
	began := time.Now()
	for i, name := range []string{"one", "two", "three"} {
		settings := bridge.Settings{}
		if i < named {
			settings["kafka.instance_id"] = name
		}
		mustBridge(t, w, name, settings)
	}
	h := &Havoc{World: w, Builds: [2]string{oldBridge, newBridge}, Seed: *seed, Logf: func(format string, args ...any) {
		t.Logf("%6.1f s: "+format, append([]any{time.Since(began).Seconds()}, args...)...)
	}}
	stop := make(chan struct{}) // a kind that does not come up in three times the span never does
	timer := time.AfterFunc(3**span, func() { close(stop) })
	defer timer.Stop()
	v, err := h.Play(ctx, Plan{For: *span, Rate: rate, Stop: stop})
	must(t, err)
	sound(t, v)
	t.Logf("%6.1f s: -seed=%d: %v; %d times somebody who had lost a stream was kept from writing it; %v", time.Since(began).Seconds(), *seed, &h.Count, w.FencedOut(), v)
	if never := h.Count.Never(w.Durable); len(never) > 0 || h.Count.Kills.Load() < 5 {
		t.Errorf("too little happened: %v; never: %v", &h.Count, never)
	}
}

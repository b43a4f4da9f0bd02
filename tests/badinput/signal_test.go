package badinput

import (
	"syscall"
	"testing"
	"time"

	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/s2mem"
)

// drain is the drain.timeout of the world's settings, leave what it takes to say goodbye to Kafka.
const (
	drain = 3 * time.Second
	leave = 4 * time.Second
)

func TestTermWhileIdle(t *testing.T) {
	t.Parallel()
	w, r := running(t, worldOptions{}, nil)
	r.signal(syscall.SIGTERM)
	r.exits(leave, 0)
	if len(r.lines("drained")) != 1 {
		t.Error("it does not say that it drained")
	}
	again(w, r)
}

// again starts the bridge anew: it finds its place, and everything is there once.
func again(w *world, r *run) {
	w.t.Helper()
	if err := r.Restart(); err != nil {
		w.t.Fatal(err)
	}
	w.produceAll("orders", parts, 20)
	r.green(patient)
	w.copied(patient, "orders", nil)
	r.signal(syscall.SIGTERM)
	r.exits(leave, 0)
}

func TestTermWithS2Gone(t *testing.T) {
	t.Parallel()
	w, r := running(t, worldOptions{}, nil)
	w.s2Door.shut()
	w.produceAll("orders", parts, 20)
	r.red(prompt, "orders/0", "orders/3")
	r.signal(syscall.SIGTERM)
	r.exits(drain+leave, 0)
	w.s2Door.open(t)
	again(w, r)
}

func TestTermWithS2Silent(t *testing.T) {
	t.Parallel()
	w, r := running(t, worldOptions{}, nil)
	applied := inFlight(w, r)
	r.signal(syscall.SIGTERM)
	r.exits(drain+leave, 0)
	applied.Remove()
	again(w, r)
}

// inFlight returns when a batch of every partition was appended and its ack does not come.
func inFlight(w *world, r *run) *s2mem.FaultHandle {
	w.t.Helper()
	held := w.s2.Fault(s2mem.Fault{Op: s2mem.OpBatch, Count: -1, Do: s2mem.HoldAnswer})
	w.produceAll("orders", parts, 20)
	if err := held.Wait(w.t.Context(), parts); err != nil {
		w.t.Fatal(err)
	}
	return held
}

func TestTermWithKafkaGone(t *testing.T) {
	t.Parallel()
	w, r := running(t, worldOptions{}, nil)
	inFlight(w, r).Remove() // acks that could not be committed yet
	w.kafkaDoor.shut()
	r.signal(syscall.SIGTERM)
	began := time.Now()
	r.exits(drain+patient, 0)
	t.Logf("ended after %s", time.Since(began))
	w.kafkaDoor.open(t)
	again(w, r)
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	w, r := running(t, worldOptions{}, bridge.Settings{"drain.timeout": "50s", "s2.ack_timeout": "5m"})
	applied := inFlight(w, r)
	r.signal(syscall.SIGTERM)
	r.awaitLine(prompt, "draining; a second signal ends the bridge at once")
	r.signal(syscall.SIGTERM)
	began := time.Now()
	<-r.Child().Done()
	if status, ok := r.Child().State().Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM || time.Since(began) > leave {
		t.Errorf("ended with %s after %s", r.Child().State(), time.Since(began))
	}
	applied.Remove()
	again(w, r)
}

// Whoever stops a bridge that has not begun yet need not wait for its look at both sides.
func TestTermWhileStarting(t *testing.T) {
	t.Parallel()
	kafka, s2 := newMute(t), newMute(t)
	r := start(t, bridge.Settings{
		"kafka.brokers": []string{kafka.address()}, "kafka.group": group, "kafka.topics": []string{"orders"},
		"s2.endpoint": "http://" + s2.address(), "s2.basin": basin,
	})
	kafka.visited(t)
	s2.visited(t)
	r.signal(syscall.SIGTERM)
	began := time.Now()
	<-r.Child().Done()
	t.Logf("ended after %s with %s: %s", time.Since(began), r.Child().State(), r.said())
	if r.Child().State().ExitCode() != 0 || time.Since(began) > leave {
		t.Errorf("ended with %s after %s", r.Child().State(), time.Since(began))
	}
}

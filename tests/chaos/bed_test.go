package chaos

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"kafka-s2-bridge/tests/oracle/produce"
	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/proc"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// memoryWorld has embedded servers; all of it ends with the test. A failed test shows the ends of the logs.
func memoryWorld(ctx context.Context, t *testing.T, o MemoryOptions, topics ...produce.Topic) *World {
	t.Helper()
	o.Dir = folder(t)
	stage, err := OpenMemory(ctx, o)
	must(t, err)
	return newWorld(ctx, t, stage, o.Dir, topics...)
}

// folder is where the test's files go: a temporary one, unless they are to be kept.
func folder(t *testing.T) string {
	t.Helper()
	if *keep == "" {
		return t.TempDir()
	}
	dir := filepath.Join(*keep, t.Name())
	must(t, os.RemoveAll(dir))
	must(t, os.MkdirAll(dir, 0o755))
	return dir
}

func newWorld(ctx context.Context, t *testing.T, stage *Stage, dir string, topics ...produce.Topic) *World {
	t.Helper()
	t.Cleanup(func() {
		if err := stage.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, s := range []Server{stage.Kafka, stage.S2} {
				t.Logf("end of %s:\n%s", s.Log(), proc.Tail(s.Log(), 1500))
			}
		}
	})
	w, err := NewWorld(ctx, stage, dir, *seed, topics...)
	must(t, err)
	t.Cleanup(func() {
		w.Close()
		if t.Failed() {
			for _, v := range w.Bridges {
				t.Logf("end of the log of bridge %s:\n%s", v.opts.Name, proc.Tail(v.logFile(), 6000))
			}
		}
	})
	return w
}

func mustBridge(t *testing.T, w *World, name string, more bridge.Settings) *Victim {
	t.Helper()
	v, err := w.Bridge(name, more)
	must(t, err)
	return v
}

// feeder is a Feed beside the test.
type feeder struct {
	enough chan struct{}
	ended  chan error
}

func feed(ctx context.Context, t *testing.T, w *World, rate int) *feeder {
	t.Helper()
	ctx, cancel := context.WithCancelCause(ctx)
	f := &feeder{enough: make(chan struct{}), ended: make(chan error, 1)}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		f.ended <- w.Feed(ctx, f.enough, rate)
	}()
	t.Cleanup(func() { // a test that failed has not stopped it
		cancel(errors.New("the test is over"))
		<-gone
	})
	return f
}

// stop lets it finish what it writes.
func (f *feeder) stop(t *testing.T) {
	t.Helper()
	close(f.enough)
	must(t, <-f.ended)
}

// settle waits until everything is copied, ends the bridges and has the streams judged.
func settle(ctx context.Context, t *testing.T, w *World) Verdict {
	t.Helper()
	v, err := w.Settle(ctx, patience, t.Logf)
	must(t, err)
	return sound(t, v)
}

// sound holds a verdict to what it must be.
func sound(t *testing.T, v Verdict) Verdict {
	t.Helper()
	if !v.OK() || v.Records == 0 {
		t.Error(v)
	}
	return v
}

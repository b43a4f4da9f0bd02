package sim

import "testing"

// FuzzSchedule lives worlds whose faults a fuzzer makes up, under all that the
// oracle watches. Its corpus begins with the plans of some seeds.
func FuzzSchedule(f *testing.F) {
	for seed := range uint64(24) {
		w := newWorld(Options{Seed: seed, Focus: fuzzed[seed%uint64(len(fuzzed))]})
		f.Add([]byte(write(seed, w.shape, w.plan)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := Run(Options{Script: b}); r.Failed != "" {
			t.Fatalf("%s\n%v", r.Failed, r.Plan)
		}
	})
}

// fuzzed are the foci of the first corpus.
var fuzzed = []string{
	"", "truncate-at,expire", "roll-back,delete-stream", "big-record,letter-lost", "restore,change-token", "crash-at,lost-ack", "trim,foreign-append", "add-partition,evict-alive",
}

// A script says what its plan says.
func TestScript(t *testing.T) {
	for seed := range uint64(200) {
		w := newWorld(Options{Seed: seed})
		again, shape, plan := write(seed, w.shape, w.plan).read()
		if again != seed || shape.partitions != w.shape.partitions || shape.processes != w.shape.processes || shape.records != w.shape.records || len(plan) != len(w.plan) {
			t.Fatalf("seed %d: %d, %+v of %+v", seed, again, shape, w.shape)
		}
		for i, f := range plan {
			if g := w.plan[i]; f.kind != g.kind || f.point != g.point || f.part != max(g.part, 0) || f.slot != g.slot {
				t.Errorf("seed %d: %v is read as %v", seed, g, f)
			}
		}
	}
}

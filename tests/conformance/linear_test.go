package conformance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"kafka-s2-bridge/tests/s2mem"
)

const (
	histories    = 200 // short ones find more than a long one, and are checked in no time
	linearPeers  = 5   // clients of a history
	linearRounds = 8   // of each client
)

func TestMemoryIsLinearizable(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{0, time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			t.Parallel()
			linearizable(t, s2mem.Start(t, s2mem.Options{FlushDelay: delay}).URL())
		})
	}
}

func TestLiteIsLinearizable(t *testing.T) {
	t.Parallel()
	linearizable(t, lite(t))
}

// linearizable has clients do things to a stream at the same time, again and again, and looks for an order of one after the
// other that explains all that they were told.
func linearizable(t *testing.T, url string) {
	p := &peer{url: url, http: client(t, "h2c"), basin: plainBasin}
	p.makeBasins(t)
	told := map[resultKind]int{}
	var mu sync.Mutex
	work := make(chan uint64)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for seed := range work {
				history, err := record(t.Context(), p, fmt.Sprintf("linear/%d", seed), seed)
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
					continue
				}
				mu.Lock()
				for _, op := range history {
					told[op.Output.(result).kind]++
				}
				mu.Unlock()
				explain(t, seed, history)
			}
		})
	}
	for seed := range uint64(histories) {
		work <- seed
	}
	close(work)
	all.Wait()
	t.Logf("%d histories: %d done, %d refused for their token, %d for their number, %d behind a refused one, %d never answered",
		histories, told[done], told[wrongToken], told[wrongNumber], told[neverApplied], told[unknown])
	for _, kind := range []resultKind{done, wrongToken, wrongNumber, neverApplied, unknown} {
		if told[kind] < histories/10 {
			t.Errorf("result %d came only %d times: the histories are too tame", kind, told[kind])
		}
	}
}

// explain fails the test if nothing explains the history.
func explain(t *testing.T, seed uint64, history []porcupine.Operation) {
	t.Helper()
	if r := porcupine.CheckOperationsTimeout(streams, history, 30*time.Second); r != porcupine.Ok {
		var b strings.Builder
		for _, op := range history {
			fmt.Fprintf(&b, "\n%d: %9d to %9d us: %s", op.ClientId, op.Call/1000, min(op.Return, math.MaxInt64/2)/1000, streams.DescribeOperation(op.Input, op.Output))
		}
		t.Errorf("seed %d: the history is not linearizable (%s):%s", seed, r, b.String())
	}
}

// What a server must never do is found, in a history that is else right: each of these is planted in many.
func TestPlantedViolationsAreFound(t *testing.T) {
	t.Parallel()
	p := &peer{url: s2mem.Start(t, s2mem.Options{}).URL(), http: client(t, "h2c"), basin: plainBasin}
	p.makeBasins(t)
	plant := map[string]func(*rand.Rand, []porcupine.Operation) bool{
		"an ack of another place": func(rng *rand.Rand, h []porcupine.Operation) bool {
			return change(rng, h, func(c call, r *result) bool {
				r.start, r.end = r.start+1, r.end+1
				return c.kind == callAppend && r.kind == done
			})
		},
		"a refused append that was done": func(rng *rand.Rand, h []porcupine.Operation) bool {
			return change(rng, h, func(c call, r *result) bool {
				refused := r.kind == wrongToken || r.kind == wrongNumber
				*r = result{kind: done, start: r.start, end: r.start + uint64(len(c.batch.records))}
				return refused
			})
		},
		"a stale tail": func(rng *rand.Rand, h []porcupine.Operation) bool {
			return change(rng, h, func(c call, r *result) bool {
				was := r.end
				r.end = was / 2
				return c.kind == callTail && was > 8 // not so many can have come meanwhile
			})
		},
		"a read of other records": func(rng *rand.Rand, h []porcupine.Operation) bool {
			return change(rng, h, func(c call, r *result) bool {
				r.digest++
				return c.kind == callRead
			})
		},
		"the wrong token named": func(rng *rand.Rand, h []porcupine.Operation) bool {
			return change(rng, h, func(_ call, r *result) bool {
				r.token += "?"
				return r.kind == wrongToken
			})
		},
	}
	found := map[string]int{}
	for seed := range uint64(40) {
		right, err := record(t.Context(), p, fmt.Sprintf("planted/%d", seed), seed)
		if err != nil {
			t.Fatal(err)
		}
		explain(t, seed, right)
		for name, spoil := range plant {
			h := slices.Clone(right)
			if spoil(rand.New(rand.NewPCG(seed, 99)), h) && porcupine.CheckOperationsTimeout(streams, h, 30*time.Second) == porcupine.Illegal {
				found[name]++
			}
		}
	}
	for name := range plant {
		if found[name] < 10 {
			t.Errorf("%s was found in %d of 40 histories", name, found[name])
		}
	}
	t.Logf("found, of 40: %v", found)
}

// change spoils the first result, from a random place on, that the function takes.
func change(rng *rand.Rand, h []porcupine.Operation, spoil func(call, *result) bool) bool {
	from := rng.IntN(len(h))
	for i := range h {
		op := &h[(from+i)%len(h)]
		r := op.Output.(result)
		if spoil(op.Input.(call), &r) {
			op.Output = r
			return true
		}
	}
	return false
}

// A server that answers wrongly once, or that forgets what it has acknowledged, is found by the same clients.
func TestPlantedServersAreFound(t *testing.T) {
	t.Parallel()
	srv := s2mem.Start(t, s2mem.Options{})
	p := &peer{ctx: t.Context(), url: srv.URL(), http: client(t, "h2c"), basin: plainBasin}
	p.makeBasins(t)
	for name, spoil := range map[string]s2mem.Fault{
		"wrong ack":    {Do: s2mem.WrongAck, ShiftStart: 1, ShiftEnd: 1},
		"wrong token":  {Do: s2mem.ApplyRefuse, Status: 412, Body: `{"fencing_token_mismatch":"nobody's"}`},
		"wrong number": {Do: s2mem.ApplyRefuse, Status: 412, Body: `{"seq_num_mismatch":77}`},
		"lost records": {Do: s2mem.Observe},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				spoil.Op, spoil.Stream, spoil.Skip = s2mem.OpAppend, fmt.Sprintf("%s/%d", name, seed), 6
				srv.Fault(spoil)
				history, err := record(t.Context(), p, spoil.Stream, seed)
				if err != nil {
					t.Fatal(err)
				}
				if name == "lost records" {
					own := *p
					own.name = spoil.Stream
					srv.Rewind(own.name, 2)
					history = append(history, porcupine.Operation{Input: call{kind: callTail}, Call: math.MaxInt64 - 1, Output: result{end: own.tail(t)}, Return: math.MaxInt64})
				}
				if porcupine.CheckOperationsTimeout(streams, history, 30*time.Second) == porcupine.Illegal {
					return
				}
			}
			t.Error("not found in 20 histories")
		})
	}
}

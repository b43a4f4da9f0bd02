package offsets

import (
	"math/rand/v2"
	"testing"
)

// TestPassesAgainstALog compares with the whole log. The position that a commit
// may name is the first offset behind durable that holds a data record, as far
// as the log was read: one more, and a record is skipped; one less, and lag is
// never 0.
//
//	offsets   7 data  8 data  9 control  10 control  11 data
//	durable 8: position 11
func TestPassesAgainstALog(t *testing.T) {
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		const size = 40
		var control [size]bool
		for i := range control {
			control[i] = rnd.IntN(3) == 0
		}
		var p Passes
		read, lastData, durable, position := int64(0), int64(-1), int64(-1), int64(0)
		for range 80 {
			switch {
			case read < size && rnd.IntN(2) == 0:
				if control[read] {
					p.Add(lastData, read+1)
				} else {
					lastData = read
				}
				read++
			case durable < lastData: // the next data record is acknowledged
				for durable++; control[durable]; durable++ {
				}
			}
			want := durable + 1
			for want < read && control[want] {
				want++
			}
			// Through forgets what it gave: a commit never falls.
			if position = max(position, p.Through(durable)); position != want {
				t.Fatalf("seed %d: durable %d, read up to %d of %v: position %d, want %d", seed, durable, read, control, position, want)
			}
		}
	}
}

func TestPassesForget(t *testing.T) {
	var p Passes
	p.Add(8, 10)
	p.Add(8, 11)
	p.Add(12, 15)
	if got := p.Through(7); got != 8 {
		t.Errorf("durable 7: %d", got)
	}
	if got := p.Through(8); got != 11 {
		t.Errorf("durable 8: %d", got)
	}
	if got := p.Through(8); got != 9 {
		t.Errorf("durable 8 once more: %d", got)
	}
	p.Add(8, 11) // passed long ago
	if got := p.Through(20); got != 21 {
		t.Errorf("durable 20: %d", got)
	}
	p.Clear()
	if got := p.Through(12); got != 13 {
		t.Errorf("durable 12 after clear: %d", got)
	}
}

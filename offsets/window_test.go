package offsets

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestWindowAgainstAList compares the window with a plain list of what was
// pushed: acks in order are believed, all others leave it as it was.
func TestWindowAgainstAList(t *testing.T) {
	type sent struct {
		start, end uint64
		bytes, id  int
	}
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var w Window[int]
		var list []sent
		next := rnd.Uint64N(100)
		for id := range 60 {
			switch {
			case rnd.IntN(2) == 0:
				s := sent{start: next, end: next + 1 + rnd.Uint64N(5), bytes: rnd.IntN(1000), id: id}
				w.Push(s.start, int(s.end-s.start), s.bytes, id)
				list, next = append(list, s), s.end
			case rnd.IntN(8) == 0:
				got := w.Drain()
				var want []int
				for _, s := range list {
					want = append(want, s.id)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("seed %d: drained %v, want %v", seed, got, want)
				}
				list, next = nil, rnd.Uint64N(100) // a new position: any start
			default:
				start, end := rnd.Uint64N(next+2), rnd.Uint64N(next+2)
				if len(list) > 0 && rnd.IntN(2) == 0 {
					start, end = list[0].start, list[0].end
				}
				expected := len(list) > 0 && start == list[0].start && end == list[0].end
				load, err := w.Ack(start, end)
				if (err == nil) != expected || (expected && load != list[0].id) {
					t.Fatalf("seed %d: ack [%d, %d) of %v: %d, %v", seed, start, end, list, load, err)
				}
				if expected {
					list = list[1:]
				}
			}
			bytes := 0
			var each, want []int
			w.Each(func(id int) { each = append(each, id) })
			for _, s := range list {
				bytes += s.bytes
				want = append(want, s.id)
			}
			if w.Len() != len(list) || w.Bytes() != bytes || !slices.Equal(each, want) {
				t.Fatalf("seed %d: window %d loads %d bytes %v, want %d %d %v", seed, w.Len(), w.Bytes(), each, len(list), bytes, want)
			}
		}
	}
}

// Two batches that do not follow each other can never both be acknowledged as
// sent: a caller that tries has lost its position, and must not go on.
func TestWindowRefusesAHole(t *testing.T) {
	for _, start := range []uint64{11, 13, 0} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a push at %d behind 12 passed", start)
				}
			}()
			var w Window[int]
			w.Push(10, 2, 0, 1)
			w.Push(start, 1, 0, 2)
		}()
	}
}

package offsets

import "fmt"

// Window is what was sent and is not yet acknowledged, oldest first. B is
// whatever travels; the window only counts it.
//
//	      oldest                        newest
//	ack -> [start..start+count) [....) [....) <- Push
//
// Sequence numbers in it are contiguous: each entry begins where the one before
// ends, because every append names the number that it must get.
type Window[B any] struct {
	entries []entry[B]
	bytes   int
}

type entry[B any] struct {
	start uint64
	count int
	bytes int
	load  B
}

// Push adds what was sent with match_seq_num start. It panics where start does
// not continue the window: that would be a broken caller, not a broken network.
func (w *Window[B]) Push(start uint64, count, bytes int, load B) {
	if n := len(w.entries); n > 0 {
		if last := w.entries[n-1]; last.start+uint64(last.count) != start {
			panic(fmt.Sprintf("offsets: window ends at %d, pushed %d", last.start+uint64(last.count), start))
		}
	}
	w.entries = append(w.entries, entry[B]{start, count, bytes, load})
	w.bytes += bytes
}

// Ack takes the acknowledgement [start, end) and returns the oldest load. An
// acknowledgement that is not exactly the expected one proves nothing about any
// batch: the error says so and the window stays as it was.
func (w *Window[B]) Ack(start, end uint64) (load B, err error) {
	if len(w.entries) == 0 {
		return load, fmt.Errorf("ack of [%d, %d) with nothing in flight", start, end)
	}
	oldest := w.entries[0]
	if start != oldest.start || end != oldest.start+uint64(oldest.count) {
		return load, fmt.Errorf("ack of [%d, %d), expected [%d, %d)", start, end, oldest.start, oldest.start+uint64(oldest.count))
	}
	w.entries[0] = entry[B]{}
	w.entries = w.entries[1:]
	w.bytes -= oldest.bytes
	return oldest.load, nil
}

// Drain empties the window and returns its loads, oldest first.
func (w *Window[B]) Drain() []B {
	loads := make([]B, 0, len(w.entries))
	for _, e := range w.entries {
		loads = append(loads, e.load)
	}
	w.entries, w.bytes = nil, 0
	return loads
}

// Each calls f for every load, oldest first.
func (w *Window[B]) Each(f func(B)) {
	for i := range w.entries {
		f(w.entries[i].load)
	}
}

// Len is the number of loads in flight.
func (w *Window[B]) Len() int { return len(w.entries) }

// Bytes is the size of what is in flight, as the pushes gave it.
func (w *Window[B]) Bytes() int { return w.bytes }

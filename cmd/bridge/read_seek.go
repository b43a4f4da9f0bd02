package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"kafka-s2-bridge/mapping"
)

// start is where reading begins; one of the pointers at most is set.
type start struct {
	offset *int64 // first Kafka offset
	time   *int64 // milliseconds; the first record of that time or later
	last   *int64 // so many records before the tail
}

// seek sets w.next so that nothing is read in vain: few requests, whatever the
// stream's length. What it lands on may still be in front of what is wanted:
// skip says of a record whether it is.
func (w *walk) seek(ctx context.Context, s start, first uint64) (skip func(*mapping.Record) bool, err error) {
	skip = func(*mapping.Record) bool { return false }
	switch {
	case s.offset != nil:
		w.next, err = w.seekOffset(ctx, *s.offset)
		skip = func(r *mapping.Record) bool { return r.Offset < *s.offset }
		if err == nil && first > 0 && w.next <= first && first < w.end {
			w.notes.say(fmt.Sprintf("the stream begins at sequence number %d, what was before it is trimmed; offset %d may have been there", first, *s.offset))
		}
	case s.time != nil:
		w.next, err = w.seekTime(ctx, *s.time)
		met := false
		skip = func(r *mapping.Record) bool {
			met = met || r.Timestamp >= *s.time
			return !met
		}
	case s.last != nil:
		w.next, err = w.seekLast(ctx, *s.last, first)
	}
	return skip, err
}

// seekOffset finds the first record that has to do with the offset, or with one
// above. Offsets rise along the stream, so it halves the sequence numbers:
//
//	seq   0     1    2   3   4      5     6    7      8      9
//	      fence open 10  11  20/0   fence open 20/0   20/1   gap 21-30
//	tells -     9    10  11  20     -     19   20     20     30
//
// What a record tells never falls: a chunk tells its offset, whole or torn; an
// open marker looks back, and tells nothing here.
func (w *walk) seekOffset(ctx context.Context, offset int64) (uint64, error) {
	low, high := uint64(0), w.end // all below low is before it, high is not
	for low < high {
		middle := low + (high-low)/2
		seq, told, ok, err := w.tells(ctx, middle, high)
		switch {
		case err != nil:
			return 0, err
		case !ok || told >= offset:
			high = middle
		default:
			low = seq + 1
		}
	}
	return low, nil
}

// tells is the first offset that a record from the sequence number from on,
// and below to, tells.
func (w *walk) tells(ctx context.Context, from, to uint64) (seq uint64, offset int64, ok bool, err error) {
	for count := 1; from < to; count = min(8*count, 1000) {
		page, err := w.peek(ctx, from, int(min(uint64(count), to-from)))
		if err != nil || len(page) == 0 {
			return 0, 0, false, err
		}
		for _, s := range page {
			from = s.Seq + 1
			switch e := mapping.Classify(s); {
			case s.Seq >= to:
				return 0, 0, false, nil
			case e.Kind == mapping.Data:
				return s.Seq, e.Position.Offset, true, nil
			case e.Kind == mapping.GapMark:
				return s.Seq, e.Gap.To - 1, true, nil
			}
		}
	}
	return 0, 0, false, nil
}

// seekTime asks S2 for the place. Its timestamps are Kafka's or later ones,
// since they never fall, but for records from the future.
func (w *walk) seekTime(ctx context.Context, ms int64) (uint64, error) {
	if ms <= 0 {
		return 0, nil
	}
	page, err := insist(ctx, w, func() ([]mapping.Stored, error) { return w.stream.ReadSince(ctx, uint64(ms), 1) })
	switch {
	case err != nil:
		return 0, err
	case len(page) == 0:
		return w.end, nil
	}
	return begins(page[0]), nil
}

// begins is the sequence number of the first chunk of what s is a part of.
func begins(s mapping.Stored) uint64 {
	e := mapping.Classify(s)
	if c := e.Position.Chunk; e.Kind == mapping.Data && c != nil {
		return s.Seq - min(c.Index, s.Seq)
	}
	return s.Seq
}

// seekLast goes back from the tail, by windows that grow, until there are n
// complete records. first is the stream's first sequence number.
func (w *walk) seekLast(ctx context.Context, n int64, first uint64) (uint64, error) {
	high := w.end
	for size := uint64(max(16, min(n, 1000))); n > 0 && high > first; size = min(2*size, 1000) {
		low := max(first, high-min(high, size))
		var starts []uint64 // of the records that are complete in the window
		for at := low; at < high; {
			page, err := w.peek(ctx, at, int(high-at))
			if err != nil {
				return 0, err
			}
			if len(page) == 0 {
				break // trimmed meanwhile
			}
			for _, s := range page {
				e := mapping.Classify(s)
				if _, done := e.Through(); s.Seq < high && e.Kind == mapping.Data && done {
					starts = append(starts, begins(s))
				}
			}
			at = page[len(page)-1].Seq + 1
		}
		if have := int64(len(starts)); have >= n {
			return starts[have-n], nil
		}
		n -= int64(len(starts))
		high = low
	}
	return high, nil
}

// parseTime reads milliseconds since 1970 or RFC 3339.
func parseTime(text string) (int64, error) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return ms, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, fmt.Errorf("--from-time must be milliseconds since 1970 or a time such as 2026-01-02T15:04:05Z")
	}
	// A part of a millisecond counts as a whole one: nothing earlier is meant.
	ms := t.UnixMilli()
	if t.Nanosecond()%int(time.Millisecond) != 0 && ms < math.MaxInt64 {
		ms++
	}
	return ms, nil
}

package mapping

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// plain returns a record that is metered with exactly n bytes.
func plain(t testing.TB, offset int64, n int) Record {
	t.Helper()
	r := Record{Offset: offset, Value: []byte{}}
	r.Value = make([]byte, n-measure(&r).metered)
	if got := measure(&r).metered; got != n {
		t.Fatalf("metered %d, want %d", got, n)
	}
	return r
}

func TestPackCutsBatches(t *testing.T) {
	small := make([]Record, MaxRecords+1)
	for i := range small {
		small[i] = Record{Offset: int64(i), Value: []byte("v")}
	}
	flooded := func(offset int64, headers int) Record { return flood(Record{Offset: offset}, headers) }
	tests := []struct {
		name    string
		records []Record
		want    []int // records a batch
	}{
		{"by number", small, []int{1000, 1}},
		{"metered, just fits", []Record{plain(t, 1, 600_000), plain(t, 2, MaxMetered-600_000)}, []int{2}},
		{"metered, one byte over", []Record{plain(t, 1, 600_000), plain(t, 2, MaxMetered-600_000+1)}, []int{1, 1}},
		{"a whole batch", []Record{plain(t, 1, 100), plain(t, 2, MaxMetered), plain(t, 3, 100)}, []int{1, 1, 1}},
		{"chunks", []Record{plain(t, 1, 100), plain(t, 2, MaxMetered+1), plain(t, 3, 100), plain(t, 4, MaxMetered)}, []int{1, 0, 2, 1}},
		// The fourth would bring them to 1,048,572 bytes metered, within the
		// limit, and to 2,097,091 encoded, above it.
		{"encoded", []Record{flooded(1, 87_262), flooded(2, 87_262), flooded(3, 87_262), flooded(4, 342)}, []int{3, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			queue := pack(t, tt.records...)
			var got []int
			for _, b := range queue {
				got = append(got, b.Records())
				if b.Metered() > MaxMetered || len(b.Bytes()) > MaxEncoded || b.Count() > MaxRecords {
					t.Errorf("batch passes a limit: %d records, %d metered, %d encoded", b.Count(), b.Metered(), len(b.Bytes()))
				}
			}
			if len(got) != len(tt.want) {
				t.Fatalf("records a batch: %v, want %v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Fatalf("records a batch: %v, want %v", got, tt.want)
				}
			}
		})
	}
}

func TestPackRefuses(t *testing.T) {
	many := flood(Record{Offset: 5}, 262_130) // 1,048,535 bytes metered, 2,097,057 encoded
	tests := []struct {
		name   string
		record Record
		limit  int
		why    string
	}{
		{"frame", func() Record { r := many; r.Value = make([]byte, 30); return r }(), MaxEncoded, "headers"},
		{"control", Record{Offset: 5, Control: true}, 0, "control"},
		{"negative offset", Record{Offset: -1}, 0, "negative"},
		{"timestamp type", Record{Offset: 5, TimestampType: 3}, 0, "type 3"},
		{"offset again", Record{Offset: 4}, 0, "offset 4"},
		{"offset back", Record{Offset: 3}, 0, "offset 4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			queue := pack(t, Record{Offset: 4})
			before := bytes.Clone(queue[0].Bytes())
			got, err := Pack(queue, &tt.record, 0)
			var refused *Refused
			if !errors.As(err, &refused) {
				t.Fatalf("error %v", err)
			}
			if refused.Offset != tt.record.Offset || refused.Limit != tt.limit || refused.Size < refused.Limit ||
				!strings.Contains(err.Error(), tt.why) {
				t.Errorf("got %+v: %v", refused, err)
			}
			if len(got) != 1 || !bytes.Equal(got[0].Bytes(), before) {
				t.Error("a refused record left something behind")
			}
		})
	}
	// At the limits themselves, both are taken.
	pack(t, plain(t, 5, MaxMetered))
	many.Value = make([]byte, 29)
	if b := pack(t, many)[0]; len(b.Bytes()) != MaxEncoded {
		t.Errorf("%d bytes encoded", len(b.Bytes()))
	}
}

func TestPackLeavesSealedBatchesAlone(t *testing.T) {
	queue := pack(t, Record{Offset: 1})
	queue[0].Seal()
	if !queue[0].Full() {
		t.Error("a sealed batch is not full")
	}
	r := Record{Offset: 2}
	queue, err := Pack(queue, &r, 0)
	if err != nil || len(queue) != 2 || queue[0].Count() != 1 {
		t.Fatalf("%d batches, error %v", len(queue), err)
	}
	r = Record{Offset: 0}
	queue[1].Release()
	queue = []*Batch{OpenMarker(Open{TopicID: Identity{}.TopicUUID()})}
	if queue, err = Pack(queue, &r, 0); err != nil || len(queue) != 2 {
		t.Fatalf("behind a marker: %d batches, error %v", len(queue), err)
	}
}

func TestFull(t *testing.T) {
	for _, tt := range []struct {
		name    string
		records []Record
		want    bool
	}{
		{"half", []Record{plain(t, 1, MaxMetered/2)}, false},
		{"more than half", []Record{plain(t, 1, MaxMetered/2+1)}, true},
		{"two of three", []Record{plain(t, 1, MaxMetered/3), plain(t, 2, MaxMetered/3)}, false},
	} {
		if got := pack(t, tt.records...)[0].Full(); got != tt.want {
			t.Errorf("%s: full is %v", tt.name, got)
		}
	}
	if b := NewBatch(10); b.Full() {
		t.Error("an empty batch is full")
	}
}

func TestDropThrough(t *testing.T) {
	records := []Record{
		{Offset: 10, LeaderEpoch: 1, Key: []byte("k"), Value: []byte("one")},
		{Offset: 12, LeaderEpoch: 3, Value: []byte("three")},
		{Offset: 13, LeaderEpoch: 2},
		{Offset: 20, LeaderEpoch: 4, Value: bytes.Repeat([]byte("x"), 3000)}, // grows the buffer
	}
	for through, want := range map[int64]int{-1: 0, 9: 0, 10: 1, 11: 1, 12: 2, 13: 3, 19: 3, 20: 4, 99: 4} {
		b := pack(t, records...)[0]
		b.DropThrough(through)
		b.DropThrough(through - 5) // never comes back
		rest := records[want:]
		if b.Count() != len(rest) || b.Records() != len(rest) {
			t.Errorf("through %d: %d records, want %d", through, b.Count(), len(rest))
		}
		payload := 0
		for _, r := range rest {
			payload += len(r.Key) + len(r.Value)
		}
		if b.Payload() != payload {
			t.Errorf("through %d: payload %d, want %d", through, b.Payload(), payload)
		}
		first, last, ok := b.Span()
		if len(rest) == 0 {
			if ok || b.Epoch() != -1 || b.FirstEpoch() != -1 || len(b.Bytes()) != 0 || b.Metered() != 0 || b.EpochThrough(99) != -1 {
				t.Errorf("through %d: something is left", through)
			}
			continue
		}
		fresh := pack(t, rest...)[0]
		if !bytes.Equal(b.Bytes(), fresh.Bytes()) || b.Metered() != fresh.Metered() {
			t.Errorf("through %d: not the encoding of what is left", through)
		}
		if !ok || first != rest[0].Offset || last != 20 || b.Epoch() != 4 || b.FirstEpoch() != rest[0].LeaderEpoch {
			t.Errorf("through %d: span %d to %d, epochs %d to %d", through, first, last, b.FirstEpoch(), b.Epoch())
		}
	}

	b := pack(t, records...)[0]
	for offset, want := range map[int64]int32{9: -1, 10: 1, 12: 3, 13: 3, 19: 3, 20: 4} {
		if got := b.EpochThrough(offset); got != want {
			t.Errorf("epoch through %d: %d, want %d", offset, got, want)
		}
	}

	open := OpenMarker(testOpen)
	open.DropThrough(100)
	if _, _, ok := open.Span(); ok || open.Count() != 1 || open.Records() != 0 || open.Epoch() != -1 || open.EpochThrough(100) != -1 || open.Gap() != nil {
		t.Error("an open marker is not one record without an offset")
	}

	// A gap stands where its records would: it is in the stream with the last
	// of them, and not before.
	gap := GapMarker(Gap{From: 5, To: 8, Reason: ReasonOperator})
	gap.DropThrough(6)
	if first, last, ok := gap.Span(); !ok || first != 5 || last != 7 || gap.Count() != 1 || gap.Records() != 0 || gap.Epoch() != -1 || gap.Gap() == nil {
		t.Errorf("a gap of 5 to 7 spans %d to %d, %t; %d records", first, last, ok, gap.Records())
	}
	if gap.DropThrough(7); gap.Count() != 0 || gap.Records() != 0 {
		t.Error("a gap that is in the stream is still there")
	}
	if _, _, ok := gap.Span(); ok {
		t.Error("a dropped gap has a span")
	}
}

func TestReleasedBatchPanics(t *testing.T) {
	for name, use := range map[string]func(b *Batch){
		"Bytes":   func(b *Batch) { b.Bytes() },
		"Count":   func(b *Batch) { b.Count() },
		"Release": func(b *Batch) { b.Release() },
		"Pack":    func(b *Batch) { Pack([]*Batch{b}, &Record{Offset: 9}, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			b := pack(t, Record{Offset: 1})[0]
			b.Release()
			defer func() {
				if recover() == nil {
					t.Error("nothing happened")
				}
			}()
			use(b)
		})
	}
}

func TestBuffersFitTheTraffic(t *testing.T) {
	r := Record{Offset: 1, Value: make([]byte, 100)}
	queue, _ := Pack(nil, &r, 0)
	if mem := queue[0].Mem(); mem > 4096 {
		t.Errorf("a batch of one small record pins %d bytes", mem)
	}
	r.Offset = 0
	queue, _ = Pack(nil, &r, 1<<40)
	if mem := queue[0].Mem(); mem < MaxMetered || mem > bigBuffer+1<<17 {
		t.Errorf("a batch with much to come pins %d bytes", mem)
	}
	for _, n := range []int{-1, 0, 1, 1024, 1025, 1 << 19, 1<<19 + 1, bigBuffer, bigBuffer + 1, 1 << 30} {
		b := NewBatch(n)
		if got := cap(b.store.buf); got < min(n, bigBuffer) || got > max(1024, 2*n) && got != bigBuffer {
			t.Errorf("a hint of %d gives a buffer of %d", n, got)
		}
		b.Release()
	}
}

func TestPackDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("SKIPPED under -race, which drops pooled buffers at random; make test runs it")
	}
	r := Record{Key: []byte("k"), Value: make([]byte, 1000), Headers: []Header{{Key: "~h", Value: []byte("v")}, {Key: "n"}}}
	var queue []*Batch
	round := func() { // 3,000 records in three batches or so
		for range 3000 {
			r.Offset++
			queue, _ = Pack(queue, &r, MaxMetered)
		}
		for _, b := range queue {
			b.Release()
		}
		queue = queue[:0]
	}
	round()
	if n := testing.AllocsPerRun(20, round); n > 30 {
		t.Errorf("%v allocations for 3,000 records", n)
	}
}

func benchmarkPack(b *testing.B, value int) {
	r := Record{LeaderEpoch: 3, Timestamp: 1764000000000, Key: []byte("customer-00001234"), Value: bytes.Repeat([]byte("v"), value)}
	var queue []*Batch
	b.ReportAllocs()
	b.SetBytes(int64(len(r.Key) + len(r.Value)))
	for b.Loop() {
		var err error
		queue, err = Pack(queue, &r, MaxMetered)
		if err != nil {
			b.Fatal(err)
		}
		r.Offset++
		if len(queue) == 2 {
			queue[0].Release()
			queue = append(queue[:0], queue[1])
		}
	}
}

func BenchmarkPack100B(b *testing.B) { benchmarkPack(b, 100) }
func BenchmarkPack1kB(b *testing.B)  { benchmarkPack(b, 1000) }

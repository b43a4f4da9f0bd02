package mapping

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	pb "github.com/s2-streamstore/s2-sdk-go/generated"
	"google.golang.org/protobuf/proto"
)

// filled returns n bytes; parts of the same length differ, unless they are a
// multiple of the pattern's (a prime) apart.
func filled(n int) []byte {
	b := make([]byte, n)
	for i := range min(n, 65_521) {
		b[i] = byte(i) ^ byte(i>>8)*31
	}
	for done := 65_521; done < n; done *= 2 {
		copy(b[done:], b[:done])
	}
	return b
}

// flood adds headers of one byte and one byte, which encode to twice what they
// are metered with.
func flood(r Record, headers int) Record {
	for range headers {
		r.Headers = append(r.Headers, Header{Key: "h", Value: []byte{1}})
	}
	return r
}

// beside returns a record whose first chunk has n metered bytes beside its
// part of the value: a key of the right length.
func beside(n, value int) Record {
	r := Record{Offset: 5, Key: []byte{}, Value: filled(value)}
	c := Chunk{Count: 2, Total: uint64(value)}
	r.Key = make([]byte, n-measurePart(&r, &c, 0).metered)
	return r
}

// readBatches returns what S2 would store for the batches, numbered from seq.
func readBatches(t testing.TB, queue []*Batch, seq uint64) (out []Stored) {
	t.Helper()
	for i, b := range queue {
		all, err := decode(b.Bytes())
		if err != nil {
			t.Fatalf("batch %d: %v", i, err)
		}
		metered := 0
		for _, s := range all {
			metered += meteredOf(s)
			s.Seq = seq
			seq++
			out = append(out, s)
		}
		if metered != b.Metered() || len(all) != b.Count() || metered > MaxMetered || len(b.Bytes()) > MaxEncoded {
			t.Fatalf("batch %d: %d metered in %d records, it says %d in %d; %d bytes encoded",
				i, metered, len(all), b.Metered(), b.Count(), len(b.Bytes()))
		}
	}
	return out
}

// yields feeds stored records and returns the Kafka records that they complete.
func yields(t testing.TB, a *Assembler, stored []Stored) (out []Record) {
	t.Helper()
	for _, s := range stored {
		rec, e, err := a.Feed(s)
		if err != nil {
			t.Fatalf("sequence number %d: %+v, %v", s.Seq, e, err)
		}
		if rec != nil {
			out = append(out, *rec)
		}
	}
	return out
}

// checkChunks holds batches that one cut record takes against the format and
// against what Batch promises its owner.
func checkChunks(t testing.TB, r *Record, queue []*Batch) []Stored {
	t.Helper()
	stored := readBatches(t, queue, 0)
	if len(stored) < 2 || len(stored) != len(queue) {
		t.Fatalf("%d chunks in %d batches", len(stored), len(queue))
	}
	payload := 0
	for i, b := range queue {
		last := i == len(queue)-1
		offset, open := b.Unfinished()
		_, to, done := b.Span()
		if open == last || done != last || last && (to != r.Offset || b.Records() != 1) || !last && (offset != r.Offset || b.Records() != 0) {
			t.Fatalf("batch %d of %d: unfinished %v, span %v, %d records", i, len(queue), open, done, b.Records())
		}
		if b.sealed == last || b.Epoch() != r.LeaderEpoch || b.FirstEpoch() != r.LeaderEpoch {
			t.Fatalf("batch %d of %d: sealed %v, epochs %d to %d", i, len(queue), b.sealed, b.FirstEpoch(), b.Epoch())
		}
		payload += b.Payload()
		e := Classify(stored[i])
		if e.Kind != Data || e.Position.Chunk == nil || e.Position.Chunk.Index != uint64(i) || stored[i].Timestamp != stamp(r) {
			t.Fatalf("chunk %d is %+v with S2 timestamp %d", i, e, stored[i].Timestamp)
		}
	}
	if payload != len(r.Key)+len(r.Value) {
		t.Fatalf("payload %d of %d bytes", payload, len(r.Key)+len(r.Value))
	}
	var a Assembler
	if got := yields(t, &a, stored[:len(stored)-1]); len(got) > 0 {
		t.Fatal("a record without its last chunk")
	}
	got := yields(t, &a, stored[len(stored)-1:])
	if len(got) != 1 || !sameRecord(&got[0], r) {
		t.Fatal("the record did not come back")
	}
	return stored
}

// sameRecord is reflect.DeepEqual, in less time for large values.
func sameRecord(a, b *Record) bool {
	if !bytes.Equal(a.Value, b.Value) || (a.Value == nil) != (b.Value == nil) {
		return false
	}
	c, d := *a, *b
	c.Value, d.Value = nil, nil
	return reflect.DeepEqual(c, d)
}

func TestWhereRecordsAreCut(t *testing.T) {
	// Metered: 8, 2 and "~", 4 bytes of position; 9 more with chunk fields while
	// the length of the value takes 3.
	const whole, chunk = MaxMetered - 15, MaxMetered - 24
	value := func(n int) Record { return Record{Offset: 5, Value: filled(n)} }
	tests := []struct {
		name   string
		record Record
		bodies []int
	}{
		{"the largest that is not cut", value(whole), []int{whole}},
		{"one byte more", value(whole + 1), []int{chunk, whole + 1 - chunk}},
		{"two full chunks", value(2 * chunk), []int{chunk, chunk}},
		{"three chunks", value(2*chunk + 1), []int{chunk, chunk, 1}},
		{"first body of one byte", beside(MaxMetered-1, 100), []int{1, 99}},
		{"first body empty", beside(MaxMetered, 100), []int{0, 100}},
		{"first body empty, the rest fills a chunk", beside(MaxMetered, chunk), []int{0, chunk}},
		{"first body empty, three chunks", beside(MaxMetered, chunk+1), []int{0, chunk, 1}},
		{"the frame bounds the first body", flood(value(1_000_000), 200_000), []int{248_552, 751_448}},
		{"the frame leaves one byte", flood(value(200), 262_132), []int{1, 199}},
		{"the frame leaves nothing", flood(Record{Offset: 5, Key: []byte{}, Value: filled(200)}, 262_132), []int{0, 200}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			queue := pack(t, tt.record)
			var bodies []int
			for _, s := range readBatches(t, queue, 0) {
				bodies = append(bodies, len(s.Body))
			}
			if !slices.Equal(bodies, tt.bodies) {
				t.Fatalf("bodies %v, want %v", bodies, tt.bodies)
			}
			if len(bodies) > 1 {
				checkChunks(t, &tt.record, queue)
			}
		})
	}
}

// The number of chunks is in every position as a varint: where it gets longer,
// the chunks get smaller.
func TestCutsAreAsFewAsCanBe(t *testing.T) {
	value := make([]byte, 300<<20) // never touched: no memory behind it
	for _, around := range []int{MaxMetered, 2 * MaxMetered, 126 * MaxMetered, 127*(MaxMetered-30) + 3, 127 * MaxMetered, 128 * MaxMetered, 300 * MaxMetered} {
		for n := around - 40; n <= min(around+40, len(value)); n++ {
			r := Record{Offset: math.MaxInt64, LeaderEpoch: math.MaxInt32, Timestamp: math.MinInt64, Value: value[:n]}
			if measure(&r).metered <= MaxMetered {
				continue
			}
			d, refused := divide(&r)
			if refused != nil {
				t.Fatal(refused)
			}
			c := Chunk{Count: d.count, Total: uint64(n)}
			sum := 0
			for c.Index = range d.count {
				body := d.each
				switch {
				case c.Index == 0:
					body = d.first
				case c.last():
					body = n - sum
				}
				sum += body
				if got := measurePart(&r, &c, body).metered; body < 1 || got > MaxMetered || !c.last() && got < MaxMetered-2 {
					t.Fatalf("%d bytes: chunk %d of %d has a body of %d, metered %d", n, c.Index, c.Count, body, got)
				}
			}
			if sum != n {
				t.Fatalf("%d bytes of %d in %d chunks", sum, n, d.count)
			}
		}
	}
}

func TestPackBesideChunks(t *testing.T) {
	small := func(offset int64) Record {
		return Record{Offset: offset, LeaderEpoch: 1, Key: []byte("k"), Value: []byte("v")}
	}
	large := func(offset int64) Record { return Record{Offset: offset, LeaderEpoch: 2, Value: filled(2_500_000)} }
	queue := pack(t, small(1), large(2), small(3), large(4), large(5), small(6))
	var shape []string
	for _, b := range queue {
		s := "done"
		if _, ok := b.Unfinished(); ok {
			s = "open"
		}
		shape = append(shape, s+strings.Repeat("+", b.Count()-1))
	}
	if want := strings.Fields("done open open done+ open open done open open done+"); !slices.Equal(shape, want) {
		t.Fatalf("batches %v, want %v", shape, want)
	}
	var a Assembler
	got := yields(t, &a, readBatches(t, queue, 0))
	for i, want := range []Record{small(1), large(2), small(3), large(4), large(5), small(6)} {
		if !sameRecord(&got[i], &want) {
			t.Fatalf("record %d came back otherwise", i)
		}
	}

	// Dropping is by record: of a dropped one nothing is left, of others all is.
	left := func() (n []int) {
		for _, b := range queue {
			n = append(n, b.Count())
		}
		return n
	}
	for _, step := range []struct {
		through int64
		want    []int
	}{
		{1, []int{0, 1, 1, 2, 1, 1, 1, 1, 1, 2}},
		{2, []int{0, 0, 0, 1, 1, 1, 1, 1, 1, 2}},
		{4, []int{0, 0, 0, 0, 0, 0, 0, 1, 1, 2}},
		{5, []int{0, 0, 0, 0, 0, 0, 0, 0, 0, 1}},
	} {
		payload := 0
		for _, b := range queue {
			b.DropThrough(step.through)
			payload += b.Payload()
			if _, ok := b.Unfinished(); ok && b.Count() == 0 || b.Count() == 0 && (b.Metered() != 0 || b.Epoch() != noEpoch) {
				t.Fatalf("through %d: a batch is empty and says it is not", step.through)
			}
		}
		if got := left(); !slices.Equal(got, step.want) {
			t.Fatalf("through %d: %v left, want %v", step.through, got, step.want)
		}
		if want := map[int64]int{1: 3*2_500_000 + 4, 2: 2*2_500_000 + 4, 4: 2_500_000 + 2, 5: 2}[step.through]; payload != want {
			t.Fatalf("through %d: payload %d, want %d", step.through, payload, want)
		}
	}
	if e := queue[9].EpochThrough(6); e != 1 {
		t.Errorf("epoch of the last record: %d", e)
	}
	large2 := large(2)
	for _, b := range pack(t, large2) {
		if b.EpochThrough(1) != noEpoch || b.EpochThrough(2) != 2 {
			t.Errorf("a chunk's epoch: %d", b.EpochThrough(2))
		}
	}
}

func TestPackerRefuses(t *testing.T) {
	limited := Record{Offset: 5, Key: []byte("key"), Value: make([]byte, 2<<20), Headers: []Header{{Key: "name", Value: []byte("value")}, {Key: "null"}}}
	size := content(&limited)
	if size != 3+2<<20+4+5+4 {
		t.Fatalf("content %d", size)
	}
	tests := []struct {
		name   string
		packer Packer
		record Record
		limit  int
		size   int
		why    string // "": it is packed
	}{
		{"at the limit", Packer{MaxRecord: size}, limited, 0, 0, ""},
		{"over the limit", Packer{MaxRecord: size - 1}, limited, size - 1, size, "limit that is set"},
		{"small, over the limit", Packer{MaxRecord: 2}, Record{Offset: 5, Key: []byte("key")}, 2, 3, "limit that is set"},
		{"chunks are off, not needed", Packer{NoChunks: true}, plain(t, 5, MaxMetered), 0, 0, ""},
		{"chunks are off", Packer{NoChunks: true}, plain(t, 5, MaxMetered+1), MaxMetered, MaxMetered + 1, "not to be cut"},
		{"key at the limit", Packer{}, beside(MaxMetered, 100), 0, 0, ""},
		{"key over the limit", Packer{}, beside(MaxMetered+1, 100), MaxMetered, MaxMetered + 1, "key and headers"},
		{"null value", Packer{}, Record{Offset: 5, Key: make([]byte, MaxMetered)}, MaxMetered, MaxMetered + 26, "key and headers"},
		{"empty value", Packer{}, Record{Offset: 5, Key: make([]byte, MaxMetered), Value: []byte{}}, MaxMetered, MaxMetered + 26, "key and headers"},
		// One byte too much for a whole record, and nothing to gain by cutting:
		// the position of a chunk is longer.
		{"key just below the limit, small value", Packer{}, Record{Offset: 5, Key: make([]byte, MaxMetered-15-4-2), Value: make([]byte, 3)}, MaxMetered, MaxMetered + 5, "key and headers"},
		{"frame, by one header", Packer{}, flood(Record{Offset: 5, Value: make([]byte, 4000)}, 262_134), MaxEncoded, 2_097_097, "headers encode"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			queue := pack(t, Record{Offset: 4})
			before := bytes.Clone(queue[0].Bytes())
			got, err := tt.packer.Pack(queue, &tt.record, 0)
			if tt.why == "" {
				if err != nil || len(got) < 2 {
					t.Fatalf("%d batches, error %v", len(got), err)
				}
				return
			}
			var refused *Refused
			if !errors.As(err, &refused) || refused.Offset != 5 || refused.Limit != tt.limit || refused.Size != tt.size || !strings.Contains(err.Error(), tt.why) {
				t.Fatalf("error %+v: %v", refused, err)
			}
			if len(got) != 1 || !bytes.Equal(got[0].Bytes(), before) {
				t.Error("a refused record left something behind")
			}
		})
	}
}

// Random records around every limit: the format holds, nothing incomplete ever
// comes out, and what was torn and begun anew comes out once.
func TestChunksOfRandomRecords(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	near := func(n int) int { return max(0, n+rng.IntN(81)-40) }
	rounds := 80
	if raceEnabled {
		rounds = 15
	}
	for range rounds {
		r := randomRecord(rng, rng.Int64())
		switch rng.IntN(3) {
		case 0:
			r.Value = filled(near(MaxMetered * (1 + rng.IntN(3))))
		case 1:
			r = beside(MaxMetered-rng.IntN(60), near(rng.IntN(3)*MaxMetered))
		case 2:
			r.Headers = append(r.Headers, Header{Key: "~big", Value: make([]byte, rng.IntN(MaxMetered))})
			r.Value = filled(MaxMetered + rng.IntN(2*MaxMetered))
		}
		queue, err := Pack(nil, &r, 0)
		if err != nil || len(queue) == 1 {
			continue
		}
		checkTorn(t, &r, checkChunks(t, &r, queue), rng.IntN(len(queue)))
		for _, b := range queue {
			var input pb.AppendInput
			if err := proto.Unmarshal(b.Bytes(), &input); err != nil {
				t.Fatal(err)
			}
			official, err := proto.MarshalOptions{Deterministic: true}.Marshal(&input)
			if err != nil || !bytes.Equal(official, b.Bytes()) {
				t.Fatalf("a chunk is not encoded as protocol buffers are: %v", err)
			}
			b.Release()
		}
	}
}

// checkTorn breaks a record off behind its first chunks, twice, and begins it
// anew behind a fence and an open marker.
func checkTorn(t testing.TB, r *Record, chunks []Stored, after int) {
	t.Helper()
	m := testOpen
	m.Resume = r.Offset
	again := []Stored{{Headers: h("", "fence"), Body: []byte("kb1.token")}, readBatches(t, []*Batch{OpenMarker(m)}, 0)[0]}
	all := slices.Concat(chunks[:after], again, chunks[:after], again, chunks)
	if r.Offset < math.MaxInt64 {
		all = append(all, readBatches(t, pack(t, Record{Offset: r.Offset + 1, Value: []byte("next")}), 0)...)
	}
	for i := range all {
		all[i].Seq = uint64(i)
	}
	var a Assembler
	got := yields(t, &a, all)
	if len(got) == 0 || !sameRecord(&got[0], r) || len(got) != 1 && (len(got) != 2 || string(got[1].Value) != "next") {
		t.Fatalf("torn behind %d of %d chunks: %d records came back", after, len(chunks), len(got))
	}
}

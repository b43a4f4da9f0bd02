package mapping

import (
	"bytes"
	"hash/crc32"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// cut makes the chunks of a record; every size but the last is given.
func cut(r Record, sizes ...int) []Stored {
	c := Chunk{Count: uint64(len(sizes) + 1), Total: uint64(len(r.Value)), CRC: crc32.Checksum(r.Value, castagnoli)}
	rest := r.Value
	var out []Stored
	for i := range c.Count {
		c.Index = i
		n := len(rest)
		if int(i) < len(sizes) {
			n = sizes[i]
		}
		s := Stored{
			Timestamp: stamp(&r),
			Headers:   []StoredHeader{{Name: []byte("~"), Value: appendPosition(nil, &r, &c)}},
			Body:      rest[:n],
		}
		if i == 0 {
			if r.Key != nil {
				s.Headers = append(s.Headers, StoredHeader{Name: []byte("~k"), Value: r.Key})
			}
			for _, h := range r.Headers {
				s.Headers = append(s.Headers, StoredHeader{Name: []byte(escape(&h) + h.Key), Value: h.Value})
			}
		}
		rest = rest[n:]
		out = append(out, s)
	}
	return out
}

// big returns a record that needs chunks.
func big(offset int64) Record {
	return Record{
		Offset: offset, LeaderEpoch: 2, Timestamp: -5, TimestampType: LogAppendTime,
		Key: []byte{}, Headers: []Header{{Key: ""}, {Key: "~", Value: []byte("v")}},
		Value: bytes.Repeat([]byte("chunks! "), 200_000),
	}
}

// Streams are written as the steps of this alphabet:
//
//	d7    data record of offset 7          f  fence       t  trim
//	c9.0  chunk 0 of offset 9 (of three)   u  unknown marker   x  foreign record
//	o7    open marker that resumes at 7    g7 gap that ends at 7 (exclusive)
//	!     a sequence number is missing
//
// Beside each step stands what it yields: "" nothing, a number: the record of
// that offset, else a part of the error.
func TestReadingOrder(t *testing.T) {
	tests := []struct{ name, steps, want string }{
		{"plain", "f o5 d5 d6 d9", "- - 5 6 9"},
		{"chunks", "f o5 d5 c9.0 c9.1 c9.2 d10", "- - 5 - - 9 10"},
		{"torn, fence, again", "c9.0 c9.1 f o9 c9.0 c9.1 c9.2 d10", "- - - - - - 9 10"},
		{"torn, foreign, fence", "c9.0 x f o9 d9", "- - - - 9"},
		{"torn, trim, fence", "c9.0 t f o9 d9", "- - - - 9"},
		{"torn twice", "c9.0 f o9 c9.0 f o9 d9", "- - - - - - 9"},
		{"torn, no fence, again", "c9.0 c9.0 c9.1 c9.2", "- fence - 9"},
		{"torn, no fence, next", "c9.0 d10 d11", "- fence 11"},
		{"torn, foreign, no fence", "c9.0 x t d10 d11", "- - - fence 11"},
		{"torn, no fence, marker", "c9.0 g20 d20", "- fence 20"},
		{"unknown marker within chunks", "c9.0 u c9.1 c9.2", "- - continue continue"},
		{"trim within chunks", "c9.0 t c9.1", "- - continue"},
		{"chunk left out", "c9.0 c9.2 f o9 d9", "- continue - - 9"},
		{"chunk twice", "c9.0 c9.1 c9.1 c9.2", "- - continue continue"},
		{"chunk of another record", "c9.0 c10.1 c10.2", "- continue continue"},
		{"on in the middle", "c9.0 f o9 c9.1 c9.2", "- - - continue continue"},
		{"starts within chunks", "c9.1 c9.2 d10", "- - 10"},
		{"starts within chunks, position known", "c9.1 c9.2 d9", "- - behind"},
		{"starts within torn chunks", "c9.1 f o9 c9.0 c9.1 c9.2", "- - - - - 9"},
		{"only chunks are skipped at the start", "u c9.1", "- continue"},
		{"overtaken by a trim", "d5 c9.0 ! c9.2 d10", "5 - - 10"},
		{"overtaken, position kept", "d5 ! d5 d6", "5 behind 6"},
		{"overtaken, whole", "d5 ! d6", "5 6"},
		{"same offset", "d5 d5 d6", "5 behind 6"},
		{"offset back", "d5 d4 d5 d6", "5 behind behind 6"},
		{"chunks back", "d5 c5.0 c5.1 c5.2 d6", "5 behind - 5 6"},
		{"data behind a fence", "d5 f d6 d7", "5 - open 7"},
		{"gap behind a fence", "d5 f g7 d7", "5 - open 7"},
		{"fences", "d5 f f f o6 d6", "5 - - - - 6"},
		{"unknown marker, then open", "d5 f u o6 d6", "5 - - - 6"},
		{"gap", "d5 g10 d10", "5 - 10"},
		{"record in a gap", "d5 g10 d9 d10", "5 - behind 10"},
		{"gap of a truncation", "d5 f o6 g6 d6", "5 - - - 6"},
		{"open back", "d5 f o5 d6", "5 - back 6"},
		{"gap back", "d5 g5 d6", "5 back 6"},
		{"marker from 0", "f o0 g0 d0", "- - - 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var a Assembler
			seq := uint64(100)
			want := strings.Fields(tt.want)
			for _, step := range strings.Fields(tt.steps) {
				seq++
				if step == "!" {
					continue
				}
				s := stepRecord(t, step)
				s.Seq = seq
				rec, e, err := a.Feed(s)
				if again := Classify(s); !reflect.DeepEqual(e, again) {
					t.Fatalf("step %s: entry %+v, not %+v", step, e, again)
				}
				if len(want) == 0 {
					t.Fatal("the test expects too little")
				}
				got := "-"
				switch {
				case err != nil && rec != nil:
					t.Fatalf("step %s: a record and %v", step, err)
				case err != nil:
					got = err.Error()
				case rec != nil:
					got = strconv.FormatInt(rec.Offset, 10)
					want := Record{Offset: rec.Offset, Value: []byte("v")}
					if step[0] == 'c' {
						want = big(rec.Offset)
					}
					if !reflect.DeepEqual(*rec, want) {
						t.Errorf("step %s: record is not what was written", step)
					}
				}
				if !strings.Contains(got, want[0]) || len(want[0]) < 3 && got != want[0] {
					t.Fatalf("step %s: got %s, want %s", step, got, want[0])
				}
				want = want[1:]
			}
			if len(want) > 0 {
				t.Fatal("the test expects too much")
			}
		})
	}
}

func stepRecord(t *testing.T, step string) Stored {
	t.Helper()
	name, index, _ := strings.Cut(step[1:], ".")
	n, _ := strconv.ParseInt(name, 10, 64)
	i, _ := strconv.Atoi(index)
	switch step[0] {
	case 'd':
		return stored(t, Record{Offset: n, Value: []byte("v")})[0]
	case 'c':
		return cut(big(n), 0, 1_000_000)[i]
	case 'o':
		m := testOpen
		m.Resume = n
		return one(t, OpenMarker(m))
	case 'g':
		return one(t, GapMarker(Gap{From: max(n-3, 0), To: n, Reason: ReasonTruncation}))
	case 'f':
		return Stored{Headers: h("", "fence"), Body: []byte("kb1.token")}
	case 't':
		return Stored{Headers: h("", "trim"), Body: make([]byte, 8)}
	case 'u':
		return Stored{Headers: h("~!", "later"), Body: []byte("{}")}
	}
	return Stored{Headers: h("x", "")}
}

func TestChunksThatPromiseSomethingElse(t *testing.T) {
	tests := []struct {
		name   string
		change func(s []Stored, at func(i int) *Chunk, set func(i int, r Record, c Chunk))
		why    string
	}{
		{"body changed", func(s []Stored, _ func(int) *Chunk, _ func(int, Record, Chunk)) {
			s[1].Body = bytes.Clone(s[1].Body)
			s[1].Body[0]++
		}, "CRC"},
		{"body cut", func(s []Stored, _ func(int) *Chunk, _ func(int, Record, Chunk)) { s[1].Body = s[1].Body[1:] }, "promise"},
		{"other total", func(_ []Stored, at func(int) *Chunk, set func(int, Record, Chunk)) {
			c := *at(1)
			c.Total++
			set(1, big(9), c)
		}, "continue"},
		{"other CRC", func(_ []Stored, at func(int) *Chunk, set func(int, Record, Chunk)) {
			c := *at(1)
			c.CRC++
			set(1, big(9), c)
		}, "continue"},
		{"other count", func(_ []Stored, at func(int) *Chunk, set func(int, Record, Chunk)) {
			c := *at(1)
			c.Count++
			set(1, big(9), c)
		}, "continue"},
		{"other epoch", func(_ []Stored, at func(int) *Chunk, set func(int, Record, Chunk)) {
			r := big(9)
			r.LeaderEpoch++
			set(1, r, *at(1))
		}, "continue"},
		{"other timestamp", func(_ []Stored, at func(int) *Chunk, set func(int, Record, Chunk)) {
			r := big(9)
			r.Timestamp++
			set(1, r, *at(1))
		}, "continue"},
		{"other type", func(_ []Stored, at func(int) *Chunk, set func(int, Record, Chunk)) {
			r := big(9)
			r.TimestampType = CreateTime
			set(1, r, *at(1))
		}, "continue"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := cut(big(9), 800_000)
			at := func(i int) *Chunk { return Classify(s[i]).Position.Chunk }
			tt.change(s, at, func(i int, r Record, c Chunk) { s[i].Headers[0].Value = appendPosition(nil, &r, &c) })
			var a Assembler
			if rec, _, err := a.Feed(s[0]); rec != nil || err != nil {
				t.Fatalf("first chunk: %v", err)
			}
			s[1].Seq = 1
			rec, _, err := a.Feed(s[1])
			if rec != nil || err == nil || !strings.Contains(err.Error(), tt.why) {
				t.Fatalf("got record %v, error %v", rec != nil, err)
			}
			next := stored(t, Record{Offset: 10})[0]
			next.Seq = 2
			if rec, _, err := a.Feed(next); rec == nil || err != nil {
				t.Fatalf("the record behind: %v", err)
			}
		})
	}
}

// A record that was cut outlives the stored records that it came in.
func TestChunksAreCopied(t *testing.T) {
	want := big(9)
	want.Key, want.Headers[1].Value = []byte("key"), []byte("value")
	var a Assembler
	var got *Record
	for i, s := range stored(t, want) {
		s.Seq = uint64(i)
		got, _, _ = a.Feed(s)
		for _, h := range s.Headers {
			clear(h.Name)
			clear(h.Value)
		}
		clear(s.Body)
	}
	if got == nil || !reflect.DeepEqual(*got, want) {
		t.Error("the record changed with what it was read from")
	}
}

// Only what does not fit one S2 record is cut.
func TestNeedlessChunks(t *testing.T) {
	for size, ok := range map[int]bool{MaxMetered: false, MaxMetered + 1: true} {
		var a Assembler
		var rec *Record
		var err error
		for i, s := range cut(plain(t, 1, size), 500_000) {
			s.Seq = uint64(i)
			rec, _, err = a.Feed(s)
		}
		if (err == nil) != ok || (rec != nil) != ok {
			t.Errorf("%d bytes metered: error %v", size, err)
		}
	}
}

package oracle_test

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	"kafka-s2-bridge/tests/oracle"
)

func TestRightStream(t *testing.T) {
	s := copied(t)
	r := check(t, s, oracle.Expect{Group: "g", PastBefore: 1 << 40})
	if !r.OK() || r.Records != 10 || r.Fences != 3 || r.Markers != 3 || r.Chunked != 1 || r.Torn != 1 {
		t.Error(r)
	}
	if r.Last != 11 || r.Next != uint64(len(s)) || r.Tail != uint64(len(s)) {
		t.Errorf("last %d, next %d, tail %d of %d", r.Last, r.Next, r.Tail, len(s))
	}
}

// A stream of fences alone, as after crashes before any data: nothing wrong with it but what is missing.
func TestFencesOnly(t *testing.T) {
	var s stream
	for i := range 3 {
		s.add(0, oracle.EncodeFence(oracle.Token(id, int64(i), "0123456789")))
	}
	r := check(t, s, oracle.Expect{})
	if r.Missing != 10 || r.Bad() != 10 || r.Fences != 3 || r.Last != -1 || r.Next != 0 || r.Tail != 3 {
		t.Error(r)
	}
	if r = check(t, s, oracle.Expect{Start: 11}); r.Missing != 1 {
		t.Error(r)
	}
}

// at is the index of the n-th stored record of an offset.
func at(t *testing.T, s stream, offset int64, n int) int {
	t.Helper()
	for i, r := range s {
		if it := oracle.Decode(r); it.Kind == oracle.Data && it.Record.Offset == offset {
			if n == 0 {
				return i
			}
			n--
		}
	}
	t.Fatalf("no record of offset %d", offset)
	return 0
}

// renumber gives a changed stream the sequence numbers that S2 would have.
func renumber(s stream) stream {
	out := make(stream, 0, len(s))
	for _, r := range s {
		out.add(r.Timestamp, r)
	}
	return out
}

// Each kind of violation is planted in a right stream, and is found and named.
func TestPlanted(t *testing.T) {
	remove := func(s stream, i, n int) stream { return slices.Delete(s, i, i+n) }
	insert := func(s stream, i int, r ...oracle.Stored) stream { return slices.Insert(s, i, r...) }
	change := func(t *testing.T, s stream, offset int64, f func(*oracle.Record)) stream {
		i := at(t, s, offset, 0)
		r := kafka()[slices.IndexFunc(kafka(), func(r oracle.Record) bool { return r.Offset == offset })]
		f(&r)
		parts, err := oracle.Encode(r)
		if err != nil || len(parts) != 1 {
			t.Fatal(err)
		}
		parts[0].Timestamp = s[i].Timestamp
		s[i] = parts[0]
		return s
	}
	altered := func(f func(*oracle.Record)) func(*testing.T, stream) stream {
		return func(t *testing.T, s stream) stream { return change(t, s, 10, f) }
	}
	header := func(name, value string) oracle.StoredHeader {
		return oracle.StoredHeader{Name: []byte(name), Value: []byte(value)}
	}
	other := id
	other.Partition = 4
	for _, c := range []struct {
		name  string
		plant func(t *testing.T, s stream) stream
		count func(r oracle.Report) int
		words string
		more  int // violations of other kinds that follow from this one
	}{
		{"lost", func(t *testing.T, s stream) stream { return remove(s, at(t, s, 10, 0), 1) }, missing, "1 records, offsets 10 to 10", 0},
		{"lost tail", func(t *testing.T, s stream) stream { i := at(t, s, 10, 0); return remove(s, i, len(s)-i) }, missing, "2 records, offsets 10 to 11", 0},
		{"lost chunk", func(t *testing.T, s stream) stream { return remove(s, at(t, s, 8, 3), 1) }, missing, "offsets 8 to 8", 1},
		{"doubled", func(t *testing.T, s stream) stream { i := at(t, s, 9, 0); return insert(s, i+1, s[i]) }, duplicates, "offset 9 at", 0},
		{"doubled later", func(t *testing.T, s stream) stream { return append(s, s[at(t, s, 0, 0)]) }, duplicates, "offset 0 at", 0},
		{"swapped", func(t *testing.T, s stream) stream {
			i := at(t, s, 10, 0)
			s[i], s[i+1] = s[i+1], s[i]
			return s
		}, reordered, "offset 10 at", 0},
		{"value", altered(func(r *oracle.Record) { r.Value = []byte("other") }), alteredCount, "value", 0},
		{"null value", altered(func(r *oracle.Record) { r.Value = nil }), alteredCount, "value", 0},
		{"key", altered(func(r *oracle.Record) { r.Key = []byte{} }), alteredCount, "key", 0},
		{"null key", altered(func(r *oracle.Record) { r.Key = nil }), alteredCount, "key", 0},
		{"null key made empty", func(t *testing.T, s stream) stream {
			return change(t, s, 1, func(r *oracle.Record) { r.Key = []byte{} })
		}, alteredCount, "key", 0},
		{"tombstone made empty", func(t *testing.T, s stream) stream {
			return change(t, s, 2, func(r *oracle.Record) { r.Value = []byte{} })
		}, alteredCount, "value", 0},
		{"empty made null", func(t *testing.T, s stream) stream { return change(t, s, 3, func(r *oracle.Record) { r.Value = nil }) }, alteredCount, "value", 0},
		{"header order", func(t *testing.T, s stream) stream {
			return change(t, s, 6, func(r *oracle.Record) { slices.Reverse(r.Headers) })
		}, alteredCount, "headers", 0},
		{"header lost", func(t *testing.T, s stream) stream {
			return change(t, s, 6, func(r *oracle.Record) { r.Headers = r.Headers[1:] })
		}, alteredCount, "headers", 0},
		{"header null", func(t *testing.T, s stream) stream {
			return change(t, s, 6, func(r *oracle.Record) { r.Headers[3].Value = []byte{} })
		}, alteredCount, "headers", 0},
		{"timestamp", altered(func(r *oracle.Record) { r.Timestamp++ }), alteredCount, "timestamp (1011, Kafka has 1010)", 0},
		{"timestamp type", altered(func(r *oracle.Record) { r.Type = 1 }), alteredCount, "timestamp type", 0},
		{"leader epoch", altered(func(r *oracle.Record) { r.Epoch = 3 }), alteredCount, "leader epoch", 0},
		{"S2 timestamp", func(t *testing.T, s stream) stream { s[len(s)-1].Timestamp += 5; return s }, alteredCount, "S2 timestamp", 0},
		{"aborted", func(t *testing.T, s stream) stream { return change(t, s, 3, func(r *oracle.Record) { r.Offset = 4 }) }, foreign, "not served by Kafka: aborted, says the test", 1},
		{"foreign", func(_ *testing.T, s stream) stream { return append(s, oracle.Stored{Body: []byte("hello")}) }, foreign, "no headers", 0},
		{"foreign header", func(_ *testing.T, s stream) stream {
			return append(s, oracle.Stored{Headers: []oracle.StoredHeader{header("a", "b")}})
		}, foreign, "first header is not the position", 0},
		{"trim", func(_ *testing.T, s stream) stream {
			return append(s, oracle.Stored{Headers: []oracle.StoredHeader{header("", "trim")}, Body: make([]byte, 8)})
		}, foreign, "trim command", 0},
		{"strange token", func(_ *testing.T, s stream) stream { return append(s, oracle.EncodeFence("mine")) }, foreign, `token "mine"`, 0},
		{"token of another", func(_ *testing.T, s stream) stream {
			return append(s, oracle.EncodeFence(oracle.Token(other, 1, "0123456789")))
		}, foreign, "another partition", 0},
		{"open of another", func(_ *testing.T, s stream) stream {
			s[1].Body = oracle.EncodeOpen(other, oracle.OpenMarker{Group: "g", Epoch: 2}).Body
			return s
		}, foreign, "another partition", 0},
		{"open of another group", func(_ *testing.T, s stream) stream {
			s[1].Body = oracle.EncodeOpen(id, oracle.OpenMarker{Group: "h", Epoch: 2}).Body
			return s
		}, foreign, `group "h"`, 0},
		{"wrong resume", func(_ *testing.T, s stream) stream {
			s[6].Body = oracle.EncodeOpen(id, oracle.OpenMarker{Group: "g", Resume: 2, Epoch: 2}).Body
			return s
		}, broken, "resumes at 2, but the stream stands at 2", 0},
		{"wrong epoch in open", func(_ *testing.T, s stream) stream {
			s[1].Body = oracle.EncodeOpen(id, oracle.OpenMarker{Group: "g", Resume: 0, Epoch: 7}).Body
			return s
		}, broken, "open marker said 7", 0},
		{"unknown marker", func(_ *testing.T, s stream) stream {
			return append(s, oracle.Stored{Headers: []oracle.StoredHeader{header("~!", "note")}, Body: []byte("{}")})
		}, foreign, `unknown kind "note"`, 0},
		{"no fence", func(_ *testing.T, s stream) stream { return remove(s, 5, 1) }, broken, "without a fence", 0},
		{"no open", func(_ *testing.T, s stream) stream { return remove(s, 6, 1) }, broken, "before an open marker", 0},
		{"chunks without a fence", func(t *testing.T, s stream) stream { i := at(t, s, 8, 1); return remove(s, i+1, 2) }, broken, "broken off", 0},
		{"chunks go on behind a fence", func(t *testing.T, s stream) stream { i := at(t, s, 8, 2); return remove(s, i-1, 3) }, broken, "goes on behind a fence", 1},
		{"chunk byte", func(t *testing.T, s stream) stream {
			i := at(t, s, 8, 3)
			s[i].Body = slices.Clone(s[i].Body)
			s[i].Body[5]++
			return s
		}, alteredCount, "value", 1},
		{"sequence", func(_ *testing.T, s stream) stream { s[len(s)-1].Seq++; return s }, broken, "sequence number", 0},
		{"gap over data", func(_ *testing.T, s stream) stream {
			return append(s, oracle.EncodeGap(oracle.GapMarker{From: 11, To: 20, Reason: "refused"}))
		}, broken, "offset 11 is here", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.plant(t, copied(t))
			if c.name != "sequence" {
				s = renumber(s)
			}
			want := oracle.Expect{Group: "g", PastBefore: 1 << 40, Explain: func(int64) string { return "aborted, says the test" }}
			r := check(t, s, want)
			if c.count(r) == 0 || r.Bad() != c.count(r)+c.more {
				t.Errorf("want this kind and %d others, have %v", c.more, r)
			}
			if !strings.Contains(strings.Join(r.Violations, "\n"), c.words) {
				t.Errorf("want the words %q, have %v", c.words, r)
			}
		})
	}
}

func missing(r oracle.Report) int      { return r.Missing }
func duplicates(r oracle.Report) int   { return r.Duplicates }
func reordered(r oracle.Report) int    { return r.Reordered }
func alteredCount(r oracle.Report) int { return r.Altered }
func foreign(r oracle.Report) int      { return r.Foreign }
func broken(r oracle.Report) int       { return r.Broken }

func TestGapMarkerExcusesOnlyWhenAllowed(t *testing.T) {
	k := kafka()
	var s stream
	s.tenure(0, 2)
	s.data(t, k[:4]...)
	s.add(0, oracle.EncodeGap(oracle.GapMarker{From: 4, To: 9, Reason: "operator", At: 1}))
	s.data(t, k[7:]...)
	if r := check(t, s, oracle.Expect{}); r.Missing != 3 || r.Bad() != 3 || r.Gaps != 1 {
		t.Error(r)
	}
	if r := check(t, s, oracle.Expect{AllowGaps: true}); !r.OK() || r.Gapped != 3 || r.Last != 11 {
		t.Error(r)
	}
}

func TestPlantedByTheTestItself(t *testing.T) {
	s := copied(t)
	s.add(0, oracle.Stored{Body: []byte("mine")})
	r := check(t, s, oracle.Expect{Planted: func(s oracle.Stored) bool { return string(s.Body) == "mine" }})
	if !r.OK() || r.Tail != r.Next+1 {
		t.Error(r)
	}
}

func TestReadErrorIsNoVerdict(t *testing.T) {
	bad := errors.New("no stream today")
	var all iter.Seq2[oracle.Stored, error] = func(yield func(oracle.Stored, error) bool) { yield(oracle.Stored{}, bad) }
	if _, err := oracle.Check(truth(t, kafka()), all, oracle.Expect{}); !errors.Is(err, bad) {
		t.Errorf("error %v", err)
	}
}

func TestSum(t *testing.T) {
	one := check(t, copied(t), oracle.Expect{})
	two := check(t, stream{}, oracle.Expect{})
	s := oracle.Sum([]oracle.Report{one, two})
	if s.Records != 10 || s.Missing != 10 || s.Fences != 3 || len(s.Violations) != 1 || !strings.HasPrefix(s.String(), "2 streams: 10 records, 10 missing") {
		t.Error(s)
	}
}

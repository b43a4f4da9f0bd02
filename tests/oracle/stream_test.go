package oracle_test

import (
	"fmt"
	"iter"
	"strings"
	"testing"

	"kafka-s2-bridge/tests/oracle"
)

var id = oracle.Identity{Cluster: "cluster", Topic: "orders", TopicID: [16]byte{1, 2, 3}, Partition: 3}

// stream is a hand-made S2 stream.
type stream []oracle.Stored

// add appends records as S2 would: the next sequence number, a timestamp that never falls.
func (s *stream) add(given uint64, records ...oracle.Stored) {
	for _, r := range records {
		r.Seq, r.Timestamp = uint64(len(*s)), given
		if n := len(*s); n > 0 {
			r.Timestamp = max(given, (*s)[n-1].Timestamp)
		}
		*s = append(*s, r)
	}
}

// tenure adds what a new owner writes first.
func (s *stream) tenure(resume int64, epoch int32) {
	s.add(0, oracle.EncodeFence(oracle.Token(id, int64(len(*s)), "abcdefghij")))
	s.add(0, oracle.EncodeOpen(id, oracle.OpenMarker{Group: "g", Bridge: "test", Resume: resume, Epoch: epoch}))
}

func (s *stream) data(t *testing.T, records ...oracle.Record) {
	t.Helper()
	for _, r := range records {
		parts, err := oracle.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		s.add(oracle.Index(r), parts...)
	}
}

func (s stream) all() iter.Seq2[oracle.Stored, error] {
	return func(yield func(oracle.Stored, error) bool) {
		for _, r := range s {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// large is a value that needs three chunks.
var large = []byte(strings.Repeat("0123456789abcdef", 170_000))

// kafka is the partition that the tests copy: offsets 0 to 11 without 4 and 5 (a control record and an aborted one, say).
func kafka() []oracle.Record {
	var out []oracle.Record
	for i := range int64(12) {
		if i == 4 || i == 5 {
			continue
		}
		r := oracle.Record{Offset: i, Epoch: 2, Timestamp: 1000 + i, Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, "v%d", i)}
		switch i {
		case 1:
			r.Key = nil
		case 2:
			r.Value = nil
		case 3:
			r.Key, r.Value = []byte{}, []byte{}
		case 6:
			r.Headers = []oracle.Header{{Key: "", Value: []byte("trim")}, {Key: "~", Value: []byte{0xff}}, {Key: "~k", Value: []byte("x")},
				{Key: "a", Value: nil}, {Key: "a", Value: []byte{}}, {Key: "~0", Value: nil}, {Key: "", Value: nil}, {Key: "~~", Value: []byte("y")}}
		case 7:
			r.Timestamp, r.Type = -1, 2
		case 8:
			r.Value = large
		case 9:
			r.Timestamp, r.Type = -5, 1
		}
		out = append(out, r)
	}
	return out
}

// truth is what Kafka serves.
func truth(t *testing.T, records []oracle.Record) *oracle.Served {
	t.Helper()
	s := oracle.NewServed(id, 0, 12)
	for _, r := range records {
		if err := s.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// copied is a right stream with three owners; the second gave up in the middle of the large record.
func copied(t *testing.T) stream {
	t.Helper()
	k := kafka()
	var s stream
	s.tenure(0, 2)
	s.data(t, k[:3]...)
	s.tenure(3, 2)
	s.data(t, k[3:6]...)
	torn, err := oracle.Encode(k[6])
	if err != nil || len(torn) != 3 {
		t.Fatalf("%d chunks, %v", len(torn), err)
	}
	s.add(oracle.Index(k[6]), torn[:2]...)
	s.tenure(8, 2)
	s.data(t, k[6:]...)
	return s
}

func check(t *testing.T, s stream, want oracle.Expect) oracle.Report {
	t.Helper()
	r, err := oracle.Check(truth(t, kafka()), s.all(), want)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

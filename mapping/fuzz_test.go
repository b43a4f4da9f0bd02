package mapping

import (
	"bytes"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// fuzzRecord builds a record from a fuzzer's arguments. Each byte of shape
// stands for a header: bits 7..5 length of the value, bit 4 null, bits 3..0
// length of the name; names and values are cut from text.
func fuzzRecord(offset int64, epoch int32, timestamp int64, flags byte, key, value, shape []byte, text string) Record {
	r := Record{
		Offset: offset, LeaderEpoch: epoch, Timestamp: timestamp, TimestampType: TimestampType(flags & 3),
		Key: present(key), Value: present(value),
	}
	if flags&4 != 0 {
		r.Key = nil
	}
	if flags&8 != 0 {
		r.Value = nil
	}
	cut := func(n int) string {
		n = min(n, len(text))
		s := text[:n]
		text = text[n:]
		return s
	}
	for _, b := range shape {
		h := Header{Key: cut(int(b & 15))}
		if b&16 == 0 {
			h.Value = []byte(cut(int(b >> 5)))
		}
		r.Headers = append(r.Headers, h)
	}
	return r
}

func FuzzRecordRoundTrip(f *testing.F) {
	f.Add(int64(0), int32(0), int64(0), byte(0), []byte("k"), []byte("v"), []byte{}, "")
	f.Fuzz(func(t *testing.T, offset int64, epoch int32, timestamp int64, flags byte, key, value, shape []byte, text string) {
		r := fuzzRecord(offset, epoch, timestamp, flags, key, value, shape, text)
		queue, err := Pack(nil, &r, 0)
		if err != nil {
			var refused *Refused
			if !errors.As(err, &refused) || len(queue) != 0 {
				t.Fatalf("%v", err)
			}
			if r.Offset >= 0 && r.TimestampType <= NoTimestampType && measure(&r).metered <= MaxMetered && measure(&r).wire() <= MaxEncoded {
				t.Fatalf("refused without need: %v", err)
			}
			return
		}
		if len(queue) > 1 {
			return // FuzzChunks looks at these
		}
		s := one(t, queue[0])
		var a Assembler
		got, e, err := a.Feed(s)
		if err != nil || got == nil {
			t.Fatalf("entry %+v, error %v", e, err)
		}
		if !reflect.DeepEqual(*got, r) {
			t.Fatalf("%+v came back as %+v", r, *got)
		}
		queue[0].Release()
	})
}

func FuzzNoCommand(f *testing.F) {
	f.Add(int64(0), int32(0), int64(0), byte(0), []byte{}, []byte("token"), []byte{0xa0}, "fence")
	f.Fuzz(func(t *testing.T, offset int64, epoch int32, timestamp int64, flags byte, key, value, shape []byte, text string) {
		r := fuzzRecord(offset, epoch, timestamp, flags, key, value, shape, text)
		queue, err := Pack(nil, &r, 0)
		if err != nil {
			return
		}
		queue = append(queue, OpenMarker(Open{
			Cluster: string(key), Topic: string(value), Group: text, Bridge: text,
			TopicID: testOpen.TopicID, Resume: r.Offset, Partition: max(epoch, 0), Epoch: max(epoch, -1),
		}))
		for _, b := range queue {
			s := one(t, b)
			if len(s.Headers) == 0 || s.Headers[0].Name[0] != '~' || isCommand(s) {
				t.Fatalf("headers %q", s.Headers)
			}
			if e := Classify(s); e.Kind != Data && e.Kind != OpenMark {
				t.Fatalf("is read as %+v", e)
			}
		}
	})
}

// The input is the encoding of records, as Batch.Bytes gives it.
func FuzzClassify(f *testing.F) {
	f.Add(pack(f, Record{Offset: 1, Key: []byte("k"), Value: []byte("v"), Headers: []Header{{Key: "~"}, {Key: "a", Value: []byte{}}}})[0].Bytes())
	f.Add(OpenMarker(testOpen).Bytes())
	f.Add(GapMarker(testGap).Bytes())
	f.Fuzz(func(t *testing.T, input []byte) {
		records, err := decode(input)
		if err != nil {
			return
		}
		var a Assembler
		for _, s := range records {
			e := Classify(s)
			checkEntry(t, s, e)
			rec, fed, err := a.Feed(s)
			if !reflect.DeepEqual(e, fed) || err != nil && rec != nil || rec != nil && e.Kind != Data {
				t.Fatalf("fed: record %v, entry %+v, error %v", rec, fed, err)
			}
		}
	})
}

// checkEntry encodes what was accepted again: it must be what was read.
func checkEntry(t *testing.T, s Stored, e Entry) {
	if (e.Why != "") != (e.Kind == Foreign || e.Kind == Unsupported) || e.Kind == 0 {
		t.Fatalf("kind %v with the reason %q", e.Kind, e.Why)
	}
	switch e.Kind {
	case Data:
		if isCommand(s) {
			t.Fatalf("a command is data: %q", s.Headers)
		}
		rec := restore(s, e.Position)
		if c := e.Position.Chunk; c != nil {
			if again := appendPosition(nil, rec, c); !bytes.Equal(again, s.Headers[0].Value) {
				t.Fatalf("position % x is written as % x", s.Headers[0].Value, again)
			}
			plain := *rec // the other headers are checked as those of a whole record
			queue, err := Pack(nil, &plain, 0)
			if err != nil {
				return
			}
			sameHeaders(t, one(t, queue[0]).Headers[1:], s.Headers[1:])
			return
		}
		queue, err := Pack(nil, rec, 0)
		if err != nil {
			return // too large for S2, so it cannot come from there
		}
		again := one(t, queue[0])
		sameHeaders(t, again.Headers, s.Headers)
		if !bytes.Equal(again.Body, s.Body) {
			t.Fatal("another body")
		}
	case OpenMark:
		if again := Classify(one(t, OpenMarker(*e.Open))); again.Kind != OpenMark || *again.Open != *e.Open {
			t.Fatalf("%+v is written as %+v", e.Open, again)
		}
	case GapMark:
		if again := Classify(one(t, GapMarker(*e.Gap))); again.Kind != GapMark || *again.Gap != *e.Gap {
			t.Fatalf("%+v is written as %+v", e.Gap, again)
		}
	case Fence, Trim:
		if !isCommand(s) || len(s.Headers) != 1 {
			t.Fatalf("no command: %q", s.Headers)
		}
	}
}

func sameHeaders(t *testing.T, got, want []StoredHeader) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d headers are written as %d", len(want), len(got))
	}
	for i := range want {
		if !bytes.Equal(got[i].Name, want[i].Name) || !bytes.Equal(got[i].Value, want[i].Value) {
			t.Fatalf("header %q is written as %q", want[i], got[i])
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add(NewToken(testIdentity, 7, make([]byte, 16)), "orders", int64(3), []byte("0123456789"))
	f.Fuzz(func(t *testing.T, s, topic string, generation int64, random []byte) {
		if token, ok := ParseToken(s); ok {
			if again := "kb1." + token.ID + "." + strconv.FormatInt(token.Generation, 36) + "." + token.Random; again != s {
				t.Fatalf("%q is read as %+v", s, token)
			}
			if len(s) > 36 || len(token.ID) != 8 || len(token.Random) < 10 || token.Generation < 0 {
				t.Fatalf("%q is read as %+v", s, token)
			}
		}
		if len(random) < 10 {
			return
		}
		id := Identity{Topic: topic, Partition: int32(generation)}
		made := NewToken(id, generation, random)
		token, ok := ParseToken(made)
		if !ok || token.ID != id.Hash() || len(made) > 36 || !utf8.ValidString(made) {
			t.Fatalf("%q is read as %+v, %v", made, token, ok)
		}
		if generation >= 0 && generation <= generationMax && token.Generation != generation {
			t.Fatalf("generation %d became %d", generation, token.Generation)
		}
	})
}

func FuzzTemplate(f *testing.F) {
	f.Add("{topic}/{partition}", "orders", "orders1", int32(11), int32(1), "c", "d")
	f.Fuzz(func(t *testing.T, s, topic1, topic2 string, partition1, partition2 int32, cluster1, cluster2 string) {
		tpl, err := ParseTemplate(s)
		if err != nil {
			return
		}
		if !strings.Contains(s, "{cluster}") {
			cluster2 = cluster1
		}
		id1 := fuzzIdentity(cluster1, topic1, partition1)
		id2 := fuzzIdentity(cluster2, topic2, partition2)
		name1, err1 := tpl.Name(id1)
		name2, err2 := tpl.Name(id2)
		for _, name := range []string{name1, name2} {
			if len(name) > 512 || name == "." || name == ".." || !utf8.ValidString(name) {
				t.Fatalf("%q gives %q", s, name)
			}
		}
		if err1 == nil && err2 == nil && (name1 == name2) != (id1 == id2) {
			t.Fatalf("%q gives %q to %+v and %q to %+v", s, name1, id1, name2, id2)
		}
	})
}

// fuzzIdentity gives each topic of a cluster an id of its own.
func fuzzIdentity(cluster, topic string, partition int32) Identity {
	id := Identity{Cluster: cluster, Topic: topic, Partition: partition}
	copy(id.TopicID[:], (Identity{Cluster: cluster, Topic: topic}).Hash()+"#")
	return id
}

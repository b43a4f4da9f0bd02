package mapping

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	pb "github.com/s2-streamstore/s2-sdk-go/generated"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// decode reads what S2 would store for a batch. It is written against the
// protocol, not against the encoder.
func decode(b []byte) ([]Stored, error) {
	var out []Stored
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || num != 1 || typ != protowire.BytesType {
			return nil, errors.New("no record")
		}
		msg, m := protowire.ConsumeBytes(b[n:])
		if m < 0 {
			return nil, errors.New("record cut short")
		}
		b = b[n+m:]
		s, err := decodeRecord(msg)
		if err != nil {
			return nil, err
		}
		s.Seq = uint64(len(out))
		out = append(out, s)
	}
	return out, nil
}

func decodeRecord(b []byte) (Stored, error) {
	var s Stored
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return s, errors.New("no tag")
		}
		b = b[n:]
		switch {
		case num == 1 && typ == protowire.VarintType:
			s.Timestamp, n = protowire.ConsumeVarint(b)
		case num == 2 && typ == protowire.BytesType:
			var msg []byte
			if msg, n = protowire.ConsumeBytes(b); n >= 0 {
				h, err := decodeHeader(msg)
				if err != nil {
					return s, err
				}
				s.Headers = append(s.Headers, h)
			}
		case num == 3 && typ == protowire.BytesType:
			s.Body, n = protowire.ConsumeBytes(b)
		default:
			return s, errors.New("unknown field")
		}
		if n < 0 {
			return s, errors.New("field cut short")
		}
		b = b[n:]
	}
	return s, nil
}

func decodeHeader(b []byte) (StoredHeader, error) {
	var h StoredHeader
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || typ != protowire.BytesType || num > 2 {
			return h, errors.New("unknown field in header")
		}
		v, m := protowire.ConsumeBytes(b[n:])
		if m < 0 {
			return h, errors.New("header cut short")
		}
		if num == 1 {
			h.Name = v
		} else {
			h.Value = v
		}
		b = b[n+m:]
	}
	return h, nil
}

// meteredOf is S2's own formula.
func meteredOf(s Stored) int {
	n := 8 + 2*len(s.Headers) + len(s.Body)
	for _, h := range s.Headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

// isCommand is S2's rule for what it executes, or refuses as a bad command.
func isCommand(s Stored) bool {
	for _, h := range s.Headers {
		if len(h.Name) == 0 {
			return true
		}
	}
	return false
}

// pack packs records into batches of their own queue.
func pack(t testing.TB, recs ...Record) []*Batch {
	t.Helper()
	var queue []*Batch
	for i := range recs {
		var err error
		if queue, err = Pack(queue, &recs[i], 0); err != nil {
			t.Fatalf("pack: %v", err)
		}
	}
	return queue
}

// stored packs records and returns what S2 would store, numbered from 0.
func stored(t testing.TB, recs ...Record) []Stored {
	t.Helper()
	var out []Stored
	for _, b := range pack(t, recs...) {
		s, err := decode(b.Bytes())
		if err != nil {
			t.Fatalf("decode: %v", err)
		}
		out = append(out, s...)
	}
	for i := range out {
		out[i].Seq = uint64(i)
	}
	return out
}

// randomRecord makes records of all shapes, biased to the odd ones.
func randomRecord(rng *rand.Rand, offset int64) Record {
	names := []string{"", "~", "~~", "~k", "~0", "~!", "~0x", "~~x", "a", "trace-id", "\x00", "\xff\xfe", "fence", "trim", strings.Repeat("n", 300)}
	blob := func() []byte {
		switch rng.IntN(6) {
		case 0:
			return nil
		case 1:
			return []byte{}
		case 2:
			return bytes.Repeat([]byte{0xff}, rng.IntN(20_000))
		}
		b := make([]byte, rng.IntN(200))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	stamps := []int64{-1, -5, 0, 1, 1764000000000, math.MaxInt64, math.MinInt64, rng.Int64() - rng.Int64()}
	r := Record{
		Offset:        offset,
		LeaderEpoch:   int32(rng.IntN(5) - 1),
		Timestamp:     stamps[rng.IntN(len(stamps))],
		TimestampType: TimestampType(rng.IntN(3)),
		Key:           blob(),
		Value:         blob(),
	}
	for range rng.IntN(5) {
		r.Headers = append(r.Headers, Header{Key: names[rng.IntN(len(names))], Value: blob()})
	}
	return r
}

// The encoding is what the official protocol buffer library writes, metered is
// what S2's formula says, and what is read back is what was given.
func TestEncodingOfRandomRecords(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var queue []*Batch
	var want []Record
	offset := int64(0)
	for range 3000 {
		offset += 1 + rng.Int64N(3)
		r := randomRecord(rng, offset)
		var err error
		if queue, err = Pack(queue, &r, 0); err != nil {
			t.Fatal(err)
		}
		want = append(want, r)
	}
	var got []Record
	var asm Assembler
	seq := uint64(0)
	for i, b := range queue {
		var input pb.AppendInput
		if err := proto.Unmarshal(b.Bytes(), &input); err != nil {
			t.Fatalf("batch %d: %v", i, err)
		}
		official, err := proto.MarshalOptions{Deterministic: true}.Marshal(&input)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(official, b.Bytes()) {
			t.Fatalf("batch %d is not encoded as protocol buffers are", i)
		}
		all, err := decode(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		metered := 0
		for _, s := range all {
			metered += meteredOf(s)
			if isCommand(s) {
				t.Fatalf("batch %d has a record that S2 takes for a command", i)
			}
			s.Seq = seq
			seq++
			rec, e, err := asm.Feed(s)
			if err != nil || rec == nil {
				t.Fatalf("record %d: entry %+v, error %v", len(got), e, err)
			}
			if wantStamp := uint64(max(0, rec.Timestamp)); s.Timestamp != wantStamp {
				t.Fatalf("S2 timestamp %d for a Kafka timestamp of %d", s.Timestamp, rec.Timestamp)
			}
			got = append(got, *rec)
		}
		if metered != b.Metered() || len(all) != b.Count() || len(all) != b.Records() {
			t.Fatalf("batch %d: %d metered in %d records, the batch says %d in %d", i, metered, len(all), b.Metered(), b.Count())
		}
		if metered > MaxMetered || len(all) > MaxRecords || len(b.Bytes()) > MaxEncoded {
			t.Fatalf("batch %d passes a limit", i)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d records came back of %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("record %d came back as\n%+v, it was\n%+v", i, got[i], want[i])
		}
	}
}

// TestWorkedExample is the example of docs/format.md, byte by byte.
func TestWorkedExample(t *testing.T) {
	r := Record{
		Offset: 300, LeaderEpoch: 5, Timestamp: 1700000000000,
		Key: []byte("k1"), Value: []byte("hi"),
		Headers: []Header{{Key: "a", Value: []byte("b")}, {Key: "~x", Value: []byte{}}, {Key: "n"}},
	}
	want := "\x0a\x3d" + // record, 61 bytes
		"\x08\x80\xd0\x95\xff\xbc\x31" + // S2 timestamp 1700000000000
		"\x12\x0f\x0a\x01~\x12\x0a" + "\x20" + "\xac\x02" + "\x0a" + "\x80\xa0\xab\xfe\xf9\x62" + // position
		"\x12\x08\x0a\x02~k\x12\x02k1" + // key
		"\x12\x06\x0a\x01a\x12\x01b" + // Kafka header a
		"\x12\x06\x0a\x04~~~x" + // Kafka header ~x, empty
		"\x12\x05\x0a\x03~0n" + // Kafka header n, null
		"\x1a\x02hi"
	queue := pack(t, r)
	if got := string(queue[0].Bytes()); got != want {
		t.Fatalf("got  %x\nwant %x", got, want)
	}
	if got := queue[0].Metered(); got != 8+2*5+(1+10)+(2+2)+(1+1)+4+3+2 {
		t.Fatalf("metered %d", got)
	}
}

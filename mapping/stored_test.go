package mapping

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
)

// h makes stored headers from names and values.
func h(namesAndValues ...string) []StoredHeader {
	var out []StoredHeader
	for i := 0; i < len(namesAndValues); i += 2 {
		out = append(out, StoredHeader{Name: []byte(namesAndValues[i]), Value: []byte(namesAndValues[i+1])})
	}
	return out
}

// Positions of offset 1, epoch 0, timestamp 0 and what follows them.
const (
	wholePos = "\x20\x01\x00\x00"
	nullPos  = "\x21\x01\x00\x00"
	chunkPos = "\x22\x01\x00\x00"
	crc      = "\x01\x02\x03\x04"
)

// deviation is a stored record that is nearly one of ours.
type deviation struct {
	name    string
	headers []StoredHeader
	body    string
	kind    Kind
	why     string // a part of the reason
}

var deviations = []deviation{
	{"no headers", nil, "x", Foreign, "without headers"},
	{"foreign first header", h("a", "b", "~", wholePos), "", Foreign, `first header is "a"`},
	{"position second", h("~k", "", "~", wholePos), "", Foreign, `first header is "~k"`},
	{"null header first", h("~0", ""), "", Foreign, `first header is "~0"`},
	{"escaped header first", h("~~", ""), "", Foreign, `first header is "~~"`},
	{"name near ours", h("~?", wholePos), "", Foreign, `first header is "~?"`},

	{"command with two headers", h("", "fence", "a", ""), "token", Foreign, "beside other headers"},
	{"command of unknown name", h("", "fences"), "token", Foreign, "unknown S2 command"},
	{"command without name", h("", ""), "", Foreign, "unknown S2 command"},
	{"fence too long", h("", "fence"), strings.Repeat("t", 37), Foreign, "fencing token"},
	{"fence not UTF-8", h("", "fence"), "\xff", Foreign, "fencing token"},
	{"trim of 7 bytes", h("", "trim"), "1234567", Foreign, "sequence number"},

	{"position empty", h("~", ""), "", Foreign, "empty"},
	{"version 0", h("~", "\x00\x01\x00\x00"), "", Unsupported, "version 0"},
	{"version 2", h("~", "\x40\x01\x00\x00"), "", Unsupported, "version 2"},
	{"version 7, nothing else", h("~", "\xff", "", ""), "", Unsupported, "version 7"},
	{"bit 4", h("~", "\x30\x01\x00\x00"), "", Foreign, "bit 4"},
	{"timestamp type 3", h("~", "\x2c\x01\x00\x00"), "", Foreign, "type 3"},
	{"version byte only", h("~", "\x20"), "", Foreign, "cut short"},
	{"offset only", h("~", "\x20\x01"), "", Foreign, "cut short"},
	{"no timestamp", h("~", "\x20\x01\x00"), "", Foreign, "cut short"},
	{"offset cut", h("~", "\x20\x81"), "", Foreign, "cut short"},
	{"offset not shortest", h("~", "\x20\x81\x00\x00\x00"), "", Foreign, "shortest"},
	{"epoch not shortest", h("~", "\x20\x01\x80\x00\x00"), "", Foreign, "shortest"},
	{"timestamp not shortest", h("~", "\x20\x01\x00\x80\x80\x00"), "", Foreign, "shortest"},
	{"offset of 64 bits", h("~", "\x20\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x00\x00"), "", Foreign, "63 bits"},
	{"offset of 65 bits", h("~", "\x20\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02\x00\x00"), "", Foreign, "shortest"},
	{"epoch of 33 bits", h("~", "\x20\x01\x80\x80\x80\x80\x10\x00"), "", Foreign, "32 bits"},
	{"negative epoch of 33 bits", h("~", "\x20\x01\x81\x80\x80\x80\x10\x00"), "", Foreign, "32 bits"},
	{"byte behind", h("~", wholePos+"\x00"), "", Foreign, "1 bytes too many"},
	{"chunk fields without the bit", h("~", wholePos+"\x00\x02\x05"+crc), "", Foreign, "7 bytes too many"},

	{"null with a body", h("~", nullPos), "x", Foreign, "null value"},
	{"chunk bit without fields", h("~", chunkPos), "a", Foreign, "cut short"},
	{"chunk without CRC", h("~", chunkPos+"\x00\x02\x05"), "a", Foreign, "cut short"},
	{"chunk with half a CRC", h("~", chunkPos+"\x00\x02\x05\x01\x02"), "a", Foreign, "cut short"},
	{"chunk with a byte behind", h("~", chunkPos+"\x00\x02\x05"+crc+"\x00"), "a", Foreign, "too many"},
	{"chunk index not shortest", h("~", chunkPos+"\x80\x00\x02\x05"+crc), "a", Foreign, "shortest"},
	{"chunk count not shortest", h("~", chunkPos+"\x00\x82\x00\x05"+crc), "a", Foreign, "shortest"},
	{"chunk total not shortest", h("~", chunkPos+"\x00\x02\x85\x00"+crc), "a", Foreign, "shortest"},
	{"chunk count 0", h("~", chunkPos+"\x00\x00\x05"+crc), "a", Foreign, "count is 0"},
	{"chunk count 1", h("~", chunkPos+"\x00\x01\x05"+crc), "a", Foreign, "count is 1"},
	{"chunk index is count", h("~", chunkPos+"\x02\x02\x05"+crc), "a", Foreign, "index 2 of 2"},
	{"chunk and null", h("~", "\x23\x01\x00\x00\x00\x02\x05"+crc), "", Foreign, "both chunk and null"},
	{"chunk of nothing", h("~", chunkPos+"\x00\x02\x00"+crc), "", Foreign, "do not fill"},
	{"chunks with too few bytes", h("~", chunkPos+"\x00\x05\x03"+crc), "", Foreign, "do not fill"},
	{"chunk larger than the whole", h("~", chunkPos+"\x01\x02\x05"+crc), "123456", Foreign, "larger"},
	{"first chunk is the whole", h("~", chunkPos+"\x00\x02\x05"+crc), "12345", Foreign, "too little"},
	{"later chunk empty", h("~", chunkPos+"\x01\x02\x05"+crc), "", Foreign, "empty chunk"},
	{"later chunk with key", h("~", chunkPos+"\x01\x02\x05"+crc, "~k", "k"), "a", Foreign, "with headers"},
	{"later chunk with header", h("~", chunkPos+"\x01\x02\x05"+crc, "a", "b"), "a", Foreign, "with headers"},

	{"key third", h("~", wholePos, "a", "b", "~k", "k"), "", Foreign, "reserved"},
	{"two keys", h("~", wholePos, "~k", "k", "~k", "k"), "", Foreign, "reserved"},
	{"two positions", h("~", wholePos, "~", wholePos), "", Foreign, "reserved"},
	{"marker name behind", h("~", wholePos, "~!", "open"), "", Foreign, "reserved"},
	{"unknown name of ours", h("~", wholePos, "~x", ""), "", Foreign, "reserved"},
	{"key with more", h("~", wholePos, "~kk", ""), "", Foreign, "reserved"},
	{"empty name", h("~", wholePos, "", "trim"), "", Foreign, "empty header name"},
	{"null header with a value", h("~", wholePos, "~0a", "b"), "", Foreign, "null value"},
	{"escaped without need", h("~", wholePos, "~~a", "b"), "", Foreign, "without need"},

	{"marker with position", h("~!", "open", "~", wholePos), "{}", Foreign, "more than one"},
	{"marker without kind", h("~!", ""), "{}", Foreign, "without a kind"},
	{"marker kind not ASCII", h("~!", "\xc3\xb6ffnen"), "{}", Foreign, "ASCII"},
	{"marker kind with NUL", h("~!", "open\x00"), "{}", Foreign, "ASCII"},
	{"marker without a body", h("~!", "open"), "", Foreign, "not JSON"},
	{"unknown marker without JSON", h("~!", "later"), "later", Foreign, "not JSON"},
	{"unknown marker not UTF-8", h("~!", "later"), "\"\xff\"", Foreign, "not JSON"},
}

func TestClassifyRefusesDeviations(t *testing.T) {
	for _, tt := range deviations {
		t.Run(tt.name, func(t *testing.T) {
			e := Classify(Stored{Headers: tt.headers, Body: []byte(tt.body)})
			if e.Kind != tt.kind || !strings.Contains(e.Why, tt.why) || e.Why == "" {
				t.Fatalf("got %v, %q; want %v, ...%s...", e.Kind, e.Why, tt.kind, tt.why)
			}
			if _, ok := e.Through(); ok || e.Open != nil || e.Gap != nil || e.Position != (Position{}) {
				t.Errorf("got more than a reason: %+v", e)
			}
		})
	}
}

func TestClassify(t *testing.T) {
	tests := []struct {
		name    string
		stored  Stored
		want    Entry
		through int64 // -9: none
	}{
		{"smallest", Stored{Headers: h("~", "\x20\x00\x00\x00")}, Entry{Kind: Data}, 0},
		{"all flags", Stored{Headers: h("~", "\x29\x01\x01\x01")},
			Entry{Kind: Data, Position: Position{1, -1, -1, NoTimestampType, true, nil}}, 1},
		{"largest", Stored{Headers: h("~", "\x24\xff\xff\xff\xff\xff\xff\xff\xff\x7f\xfe\xff\xff\xff\x0f\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01")},
			Entry{Kind: Data, Position: Position{math.MaxInt64, math.MaxInt32, math.MaxInt64, LogAppendTime, false, nil}}, math.MaxInt64},
		{"most negative", Stored{Headers: h("~", "\x20\x00\xff\xff\xff\xff\x0f\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")},
			Entry{Kind: Data, Position: Position{0, math.MinInt32, math.MinInt64, CreateTime, false, nil}}, 0},
		{"all headers", Stored{Headers: h("~", wholePos, "~k", "", "a", "", "a", "", "~0", "", "~0~", "", "~~", "v", "~~~", "", "~~~k", "", "~0k", ""), Body: []byte("v")},
			Entry{Kind: Data, Position: Position{Offset: 1}}, 1},
		{"first chunk", Stored{Headers: h("~", chunkPos+"\x00\x02\x05"+crc, "~k", "k", "a", "")},
			Entry{Kind: Data, Position: Position{Offset: 1, Chunk: &Chunk{0, 2, 5, 0x01020304}}}, -9},
		{"last chunk", Stored{Headers: h("~", chunkPos+"\x01\x02\x05"+crc), Body: []byte("12345")},
			Entry{Kind: Data, Position: Position{Offset: 1, Chunk: &Chunk{1, 2, 5, 0x01020304}}}, 1},
		{"fence", Stored{Headers: h("", "fence"), Body: []byte(strings.Repeat("t", 36))}, Entry{Kind: Fence}, -9},
		{"fence cleared", Stored{Headers: h("", "fence")}, Entry{Kind: Fence}, -9},
		{"trim", Stored{Headers: h("", "trim"), Body: make([]byte, 8)}, Entry{Kind: Trim}, -9},
		{"unknown marker", Stored{Headers: h("~!", "later"), Body: []byte(`[1]`)}, Entry{Kind: UnknownMark}, -9},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := Classify(tt.stored)
			if !reflect.DeepEqual(e, tt.want) {
				t.Fatalf("got %+v, want %+v", e, tt.want)
			}
			if through, ok := e.Through(); ok != (tt.through != -9) || ok && through != tt.through {
				t.Errorf("through %d, %v", through, ok)
			}
		})
	}
	for k := Kind(0); k <= Unsupported+1; k++ {
		if k.String() == "" {
			t.Errorf("kind %d has no name", k)
		}
	}
}

// A record with any one byte of its position changed is another record of
// ours or none, and never a panic.
func TestClassifyOneByteOff(t *testing.T) {
	s := stored(t, Record{Offset: 123456, LeaderEpoch: 7, Timestamp: 1764000000000, Key: []byte("k"), Value: []byte("v")})[0]
	good := bytes.Clone(s.Headers[0].Value)
	for i := range good {
		for b := range 256 {
			v := bytes.Clone(good)
			v[i] = byte(b)
			s.Headers[0].Value = v
			e := Classify(s)
			if e.Kind != Data {
				continue
			}
			rec := restore(s, e.Position)
			if again := appendPosition(nil, rec, e.Position.Chunk); !bytes.Equal(again, v) {
				t.Errorf("% x was accepted, and is written as % x", v, again)
			}
		}
		s.Headers[0].Value = good[:i]
		if e := Classify(s); e.Kind == Data {
			t.Errorf("%d bytes of %d were accepted", i, len(good))
		}
	}
}

package oracle_test

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"kafka-s2-bridge/tests/oracle"
)

func h(pairs ...string) []oracle.StoredHeader {
	var out []oracle.StoredHeader
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, oracle.StoredHeader{Name: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return out
}

// Written down by hand from the document: version 1, LogAppendTime, offset 300, epoch 3, timestamp 1,000.
func TestDecodeByHand(t *testing.T) {
	it := oracle.Decode(oracle.Stored{
		Headers: h("~", "\x24\xac\x02\x06\xd0\x0f", "~k", "key", "~0n", "", "~~~", "t", "~~", "", "a", "b", "a", ""),
		Body:    []byte("value"),
	})
	want := oracle.Item{Kind: oracle.Data, Record: oracle.Record{
		Offset: 300, Epoch: 3, Timestamp: 1000, Type: 1, Key: []byte("key"), Value: []byte("value"),
		Headers: []oracle.Header{{Key: "n"}, {Key: "~", Value: []byte("t")}, {Key: "", Value: []byte{}}, {Key: "a", Value: []byte("b")}, {Key: "a", Value: []byte{}}},
	}}
	if !reflect.DeepEqual(it, want) {
		t.Errorf("%+v\nwant %+v", it, want)
	}
	// A tombstone without a key, epoch and timestamp unknown; a reader that knows no empty body gives nil.
	it = oracle.Decode(oracle.Stored{Headers: h("~", "\x29\x00\x01\x01")})
	want = oracle.Item{Kind: oracle.Data, Record: oracle.Record{Epoch: -1, Timestamp: -1, Type: 2}}
	if !reflect.DeepEqual(it, want) {
		t.Errorf("%+v\nwant %+v", it, want)
	}
	// The second of two chunks, 1,000 bytes in all.
	it = oracle.Decode(oracle.Stored{Headers: h("~", "\x22\x05\x00\x00\x01\x02\xe8\x07\x01\x02\x03\x04"), Body: []byte("x")})
	want = oracle.Item{Kind: oracle.Data, Record: oracle.Record{Offset: 5, Value: []byte("x")}, Chunked: true, Index: 1, Count: 2, Total: 1000, CRC: 0x01020304}
	if !reflect.DeepEqual(it, want) {
		t.Errorf("%+v\nwant %+v", it, want)
	}
	if it = oracle.Decode(oracle.Stored{Headers: h("", "fence"), Body: []byte("t")}); it.Kind != oracle.Fence || it.Token != "t" {
		t.Errorf("%+v", it)
	}
}

func TestDecodeRefuses(t *testing.T) {
	const pos, gap = "\x20\x00\x00\x00", `{"v":1,"from":1,"to":2,"reason":"refused","at":5}`
	if it := oracle.Decode(oracle.Stored{Headers: h("~!", "gap"), Body: []byte(gap)}); it.Kind != oracle.Gap {
		t.Fatalf("%+v", it)
	}
	for name, s := range map[string]oracle.Stored{
		"nothing":                  {},
		"plain":                    {Headers: h("a", "b")},
		"position second":          {Headers: h("a", "b", "~", pos)},
		"unknown command":          {Headers: h("", "drop")},
		"no position bytes":        {Headers: h("~", "")},
		"version 0":                {Headers: h("~", "\x00\x00\x00\x00")},
		"version 2":                {Headers: h("~", "\x40\x00\x00\x00")},
		"bit 4":                    {Headers: h("~", "\x30\x00\x00\x00")},
		"timestamp type 3":         {Headers: h("~", "\x2c\x00\x00\x00")},
		"short":                    {Headers: h("~", "\x20\x00\x00")},
		"more":                     {Headers: h("~", pos+"\x00")},
		"long offset":              {Headers: h("~", "\x20\x80\x00\x00\x00")},
		"offset above int64":       {Headers: h("~", "\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00")},
		"epoch -2":                 {Headers: h("~", "\x20\x00\x03\x00")},
		"epoch above int32":        {Headers: h("~", "\x20\x00\x80\x80\x80\x80\x10\x00")},
		"null with body":           {Headers: h("~", "\x21\x00\x00\x00"), Body: []byte("x")},
		"null chunk":               {Headers: h("~", "\x23\x05\x00\x00\x00\x02\xe8\x07\x01\x02\x03\x04")},
		"one chunk":                {Headers: h("~", "\x22\x05\x00\x00\x00\x01\xe8\x07\x01\x02\x03\x04"), Body: []byte("x")},
		"chunk behind count":       {Headers: h("~", "\x22\x05\x00\x00\x02\x02\xe8\x07\x01\x02\x03\x04"), Body: []byte("x")},
		"chunk without CRC":        {Headers: h("~", "\x22\x05\x00\x00\x01\x02\xe8\x07\x01\x02\x03"), Body: []byte("x")},
		"later chunk, key":         {Headers: h("~", "\x22\x05\x00\x00\x01\x02\xe8\x07\x01\x02\x03\x04", "~k", "k"), Body: []byte("x")},
		"later chunk, empty":       {Headers: h("~", "\x22\x05\x00\x00\x01\x02\xe8\x07\x01\x02\x03\x04")},
		"key later":                {Headers: h("~", pos, "a", "b", "~k", "k")},
		"two keys":                 {Headers: h("~", pos, "~k", "k", "~k", "k")},
		"two positions":            {Headers: h("~", pos, "~", pos)},
		"marker inside":            {Headers: h("~", pos, "~!", "gap")},
		"reserved name":            {Headers: h("~", pos, "~x", "")},
		"null with a value":        {Headers: h("~", pos, "~0a", "x")},
		"needless escape":          {Headers: h("~", pos, "~~a", "x")},
		"empty name":               {Headers: h("~", pos, "", "x")},
		"marker with more headers": {Headers: h("~!", "gap", "a", "b"), Body: []byte(gap)},
		"marker without JSON":      {Headers: h("~!", "gap")},
		"marker version":           {Headers: h("~!", "gap"), Body: []byte(strings.Replace(gap, `"v":1`, `"v":2`, 1))},
		"marker field missing":     {Headers: h("~!", "gap"), Body: []byte(strings.Replace(gap, `,"at":5`, ``, 1))},
		"marker field more":        {Headers: h("~!", "gap"), Body: []byte(strings.Replace(gap, `"at"`, `"more":1,"at"`, 1))},
		"marker field's case":      {Headers: h("~!", "gap"), Body: []byte(strings.Replace(gap, `"at"`, `"At"`, 1))},
		"gap that ends first":      {Headers: h("~!", "gap"), Body: []byte(strings.Replace(gap, `"to":2`, `"to":0`, 1))},
		"open that is a gap":       {Headers: h("~!", "open"), Body: []byte(gap)},
	} {
		if it := oracle.Decode(s); it.Kind != oracle.Foreign || it.Why == "" {
			t.Errorf("%s: %+v", name, it)
		}
	}
}

// What the oracle encodes it decodes; the oracle's encoder serves the tests of the harness.
func FuzzRoundTrip(f *testing.F) {
	f.Add(int64(0), int32(-1), int64(-1), uint8(2), []byte(nil), []byte("v"), "~k", []byte("x"), "", uint8(1))
	f.Add(int64(math.MaxInt64), int32(math.MaxInt32), int64(math.MinInt64), uint8(0), []byte{}, []byte{}, "a", []byte{}, "~0", uint8(6))
	f.Fuzz(func(t *testing.T, offset int64, epoch int32, ts int64, kind uint8, key, value []byte, n1 string, v1 []byte, n2 string, null uint8) {
		r := oracle.Record{Offset: max(0, offset), Epoch: max(-1, epoch), Timestamp: ts, Type: kind % 3,
			Headers: []oracle.Header{{Key: n1, Value: v1}, {Key: n2}}}
		if r.Key = key; null&1 != 0 {
			r.Key = nil
		}
		if r.Value = value; null&2 != 0 {
			r.Value = nil
		}
		if null&4 != 0 && r.Value != nil {
			r.Value = bytes.Repeat(append(r.Value, 'x'), 1+(3<<20)/(len(r.Value)+1)) // some 3 MiB: chunks
		}
		parts, err := oracle.Encode(r)
		if err != nil {
			if !strings.Contains(err.Error(), "do not fit one S2 record") {
				t.Fatal(err)
			}
			return // no such record can be in a stream
		}
		s := oracle.NewServed(id, 0, math.MaxInt64)
		if err := s.Add(r); err != nil {
			t.Fatal(err)
		}
		var st stream
		st.tenure(0, -1)
		st.add(oracle.Index(r), parts...)
		report, err := oracle.Check(s, st.all(), oracle.Expect{})
		if err != nil || !report.OK() {
			t.Errorf("%v %v", err, report)
		}
	})
}

package mapping

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"
)

type namedRecord struct {
	name   string
	record Record
}

var recordCases = []namedRecord{
	{"smallest", Record{Value: []byte{}}},
	{"all null", Record{Offset: 1}},
	{"empty key and value", Record{Offset: 2, Key: []byte{}, Value: []byte{}}},
	{"null key, value", Record{Offset: 3, Value: []byte("value")}},
	{"tombstone", Record{Offset: 4, Key: []byte("key")}},
	{"example of docs/format.md", Record{Offset: 300, LeaderEpoch: 5, Timestamp: 1700000000000, Key: []byte("k1"), Value: []byte("hi"),
		Headers: []Header{{Key: "a", Value: []byte("b")}, {Key: "~x", Value: []byte{}}, {Key: "n"}}}},
	{"headers twice, in order", Record{Offset: 5, Value: []byte("v"), Headers: []Header{
		{Key: "b", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "b", Value: []byte("3")}, {Key: "b", Value: []byte("1")}}}},
	{"header values null and empty", Record{Offset: 6, Value: []byte("v"), Headers: []Header{{Key: "a"}, {Key: "a", Value: []byte{}}}}},
	{"empty header name", Record{Offset: 7, Value: []byte("v"), Headers: []Header{{Key: "", Value: []byte("x")}}}},
	{"empty header name, null", Record{Offset: 8, Value: []byte("v"), Headers: []Header{{}}}},
	{"empty header name, empty value", Record{Offset: 9, Value: []byte("v"), Headers: []Header{{Value: []byte{}}}}},
	{"a fence for a naive bridge", Record{Offset: 10, Value: []byte("token"), Headers: []Header{{Key: "", Value: []byte("fence")}}}},
	{"a trim for a naive bridge", Record{Offset: 11, Value: make([]byte, 8), Headers: []Header{{Key: "", Value: []byte("trim")}}}},
	{"reserved names", Record{Offset: 12, Value: []byte("v"), Headers: []Header{
		{Key: "~", Value: []byte("\x20\x00\x00\x00")}, {Key: "~k", Value: []byte("k")}, {Key: "~!", Value: []byte("open")},
		{Key: "~0", Value: []byte{}}, {Key: "~0a", Value: []byte("b")}, {Key: "~~", Value: []byte{}}, {Key: "~~~", Value: []byte("x")}, {Key: "~other"}}}},
	{"names with a tilde inside", Record{Offset: 13, Value: []byte("v"), Headers: []Header{{Key: "a~", Value: []byte("x")}, {Key: "0", Value: []byte("x")}, {Key: "k", Value: []byte("x")}}}},
	{"binary", Record{Offset: 14, Key: []byte{0, 0xff, 0x80}, Value: []byte{0xc3, 0x28, 0}, Headers: []Header{{Key: "\xff\x00\xc3", Value: []byte{0, 1, 0xfe}}}}},
	{"long header name", Record{Offset: 15, Value: []byte("v"), Headers: []Header{{Key: string(bytes.Repeat([]byte("n"), 150)), Value: []byte("x")}}}},
	{"value of 200 bytes", Record{Offset: 16, Value: bytes.Repeat([]byte{0xab}, 200)}},
	{"largest offset", Record{Offset: math.MaxInt64, Value: []byte("v")}},
	{"offset of two bytes", Record{Offset: 128, Value: []byte("v")}},
	{"epoch unknown", Record{Offset: 17, LeaderEpoch: -1, Value: []byte("v")}},
	{"largest epoch", Record{Offset: 18, LeaderEpoch: math.MaxInt32, Value: []byte("v")}},
	{"timestamp -1", Record{Offset: 19, Timestamp: -1, Value: []byte("v")}},
	{"timestamp -5", Record{Offset: 20, Timestamp: -5, Value: []byte("v")}},
	{"timestamp in microseconds", Record{Offset: 21, Timestamp: 1700000000000000, Value: []byte("v")}},
	{"largest timestamp", Record{Offset: 22, Timestamp: math.MaxInt64, Value: []byte("v")}},
	{"smallest timestamp", Record{Offset: 23, Timestamp: math.MinInt64, Value: []byte("v")}},
	{"log append time", Record{Offset: 24, Timestamp: 1700000000000, TimestampType: LogAppendTime, Value: []byte("v")}},
	{"no timestamp type", Record{Offset: 25, LeaderEpoch: -1, Timestamp: -1, TimestampType: NoTimestampType, Value: []byte("v")}},
	{"everything null, no timestamp type", Record{Offset: 26, LeaderEpoch: -1, Timestamp: -1, TimestampType: NoTimestampType}},
}

func TestRecordVectors(t *testing.T) {
	type vector struct {
		Name    string    `json:"name"`
		Kafka   *vecKafka `json:"kafka"`
		S2      vecS2     `json:"s2"`
		Metered int       `json:"metered"`
		Encoded vecBytes  `json:"encoded"`
	}
	var out []vector
	for _, c := range recordCases {
		b := pack(t, c.record)[0]
		out = append(out, vector{c.name, kafkaVector(&c.record), s2Vector(one(t, b)), b.Metered(), b.Bytes()})
	}
	golden(t, "records.json", map[string]any{"records": out})
}

// limitCases are records around the limits. What they become is written down
// as lengths and checksums.
func limitCases(t *testing.T) []namedRecord {
	many := func(headers, value int) Record {
		return flood(Record{Offset: 5, Value: make([]byte, value)}, headers)
	}
	wide := Record{Offset: 6, Key: bytes.Repeat([]byte("k"), 600_000), Headers: []Header{{Key: "~", Value: bytes.Repeat([]byte("h"), 300_000)}}}
	wide.Value = make([]byte, MaxMetered-measure(&wide).metered)
	wider := wide
	wider.Value = append(wide.Value, 0)
	full := func(r Record, value int) Record {
		r.Value = bytes.Repeat([]byte("v"), value)
		return r
	}
	key := func(n int) Record { return full(beside(n, 1000), 1000) }
	late := Record{Offset: math.MaxInt64, LeaderEpoch: 12, Timestamp: 1700000000000, TimestampType: LogAppendTime, Key: []byte{}, Headers: []Header{{Key: "n"}, {Value: []byte("e")}}}
	return []namedRecord{
		{"value, one byte below the metered limit", plain(t, 1, MaxMetered-1)},
		{"value, at the metered limit", plain(t, 1, MaxMetered)},
		{"value, one byte above the metered limit", plain(t, 1, MaxMetered+1)},
		{"value that fills two chunks", full(Record{Offset: 1}, 2*(MaxMetered-24))},
		{"value that fills two chunks, and one byte", full(Record{Offset: 1}, 2*(MaxMetered-24)+1)},
		{"value of 4 MiB, with key and headers", full(late, 4<<20)},
		{"key, headers and value, at the metered limit", wide},
		{"key, headers and value, one byte above the metered limit", wider},
		{"key leaves one byte in the first chunk", key(MaxMetered - 1)},
		{"key leaves nothing in the first chunk", key(MaxMetered)},
		{"key is one byte too long for the first chunk", key(MaxMetered + 1)},
		{"key too long, value null", Record{Offset: 5, Key: make([]byte, MaxMetered)}},
		{"key too long, value empty", Record{Offset: 5, Key: make([]byte, MaxMetered), Value: []byte{}}},
		{"many headers, one byte below the frame limit", many(262_130, 28)},
		{"many headers, at the frame limit", many(262_130, 29)},
		{"many headers, one byte above the frame limit", many(262_130, 30)},
		{"many headers in the first chunk", many(262_130, 1000)},
		{"too many headers for the first chunk", many(262_134, 1000)},
	}
}

func TestLimitVectors(t *testing.T) {
	type chunk struct {
		Position vecBytes `json:"position"`
		Body     int      `json:"body_length"`
		Metered  int      `json:"metered"`
		Encoded  int      `json:"encoded_length"`
		SHA256   string   `json:"encoded_sha256"`
	}
	type vector struct {
		Name    string    `json:"name"`
		Kafka   *vecKafka `json:"kafka"`
		Metered int       `json:"metered"`
		Encoded int       `json:"encoded_length"`
		Outcome string    `json:"outcome"`
		SHA256  string    `json:"encoded_sha256,omitempty"`
		Chunks  []chunk   `json:"chunks,omitempty"`
	}
	sum := func(b *Batch) string {
		sum := sha256.Sum256(b.Bytes())
		return hex.EncodeToString(sum[:])
	}
	var out []vector
	for _, c := range limitCases(t) {
		s := measure(&c.record)
		v := vector{Name: c.name, Kafka: kafkaVector(&c.record), Metered: s.metered, Encoded: s.wire()}
		queue, err := Pack(nil, &c.record, 0)
		switch {
		case err != nil:
			v.Outcome = "refused"
		case len(queue) == 1:
			v.Outcome, v.SHA256 = "one record", sum(queue[0])
		default:
			v.Outcome = "chunks"
			for i, s := range checkChunks(t, &c.record, queue) {
				b := queue[i]
				v.Chunks = append(v.Chunks, chunk{s.Headers[0].Value, len(s.Body), b.Metered(), len(b.Bytes()), sum(b)})
			}
		}
		out = append(out, v)
	}
	golden(t, "limits.json", map[string]any{
		"metered_limit": MaxMetered, "encoded_limit": MaxEncoded, "records_limit": MaxRecords, "records": out,
	})
}

func TestMarkerVectors(t *testing.T) {
	type vector struct {
		Name    string   `json:"name"`
		Open    *Open    `json:"open,omitempty"`
		Gap     *Gap     `json:"gap,omitempty"`
		Text    string   `json:"body_text"`
		S2      vecS2    `json:"s2"`
		Metered int      `json:"metered"`
		Encoded vecBytes `json:"encoded"`
		Entry   vecEntry `json:"entry"`
	}
	var out []vector
	add := func(name string, open *Open, gap *Gap, b *Batch) {
		s := one(t, b)
		out = append(out, vector{name, open, gap, string(s.Body), s2Vector(s), b.Metered(), b.Bytes(), entryVector(Classify(s))})
	}
	id := Identity{}.TopicUUID()
	for _, c := range []struct {
		name string
		m    Open
	}{
		{"open", testOpen},
		{"open, nothing read yet", Open{V: 1, Cluster: "c", Topic: "t", TopicID: id, Group: "g", Bridge: "dev", Epoch: -1}},
		{"open, names that JSON escapes", Open{V: 1, Cluster: "<&>", Topic: "t", TopicID: id, Group: "quote \" backslash \\ tab \t \u00fc\u20ac", Bridge: "v1", Resume: 5}},
	} {
		add(c.name, &c.m, nil, OpenMarker(c.m))
	}
	for _, reason := range []string{ReasonRetention, ReasonTruncation, ReasonRefused, ReasonDeadLetter, ReasonOperator} {
		g := testGap
		g.Reason = reason
		add("gap, "+reason, nil, &g, GapMarker(g))
	}
	golden(t, "markers.json", map[string]any{"markers": out})
}

func TestIdentityVectors(t *testing.T) {
	type identity struct {
		Cluster   string `json:"cluster"`
		Topic     string `json:"topic"`
		TopicID   string `json:"topic_id"`
		TopicHex  string `json:"topic_id_hex"`
		Partition int32  `json:"partition"`
		Hash      string `json:"hash"`
		Token     string `json:"token"`
		Name      string `json:"stream"`
	}
	ids := []Identity{
		testIdentity, testIdentity.Anonymous(), {}, {Cluster: "c", Topic: "t", Partition: math.MaxInt32},
		{Cluster: "MkU3OEVBNTcwNTJENDM2Qg", Topic: "orders.v1_eu-west", TopicID: [16]byte{15: 1}, Partition: 0},
	}
	tpl, err := ParseTemplate("{topic}/{partition}")
	if err != nil {
		t.Fatal(err)
	}
	var out []identity
	for i, id := range ids {
		name, _ := tpl.Name(id)
		out = append(out, identity{id.Cluster, id.Topic, id.TopicUUID(), hex.EncodeToString(id.TopicID[:]), id.Partition,
			id.Hash(), NewToken(id, int64(i*i*i*i*1000), []byte("0123456789abcdef")[:10+i]), name})
	}
	type token struct {
		Token      string `json:"token"`
		ID         string `json:"id"`
		Generation string `json:"generation"`
		Random     string `json:"random"`
	}
	var tokens []token
	for _, s := range []string{
		"kb1.abcdefgh.0.0123456789", "kb1.ab-_EF09.zik0zj.abcdefghijklmnop", "kb1.abcdefgh.zzzzzzzzzzzz.0000000000", "kb1.abcdefgh.1.0123456789abcdefghijk",
	} {
		tok, ok := ParseToken(s)
		if !ok {
			t.Fatal(s)
		}
		tokens = append(tokens, token{s, tok.ID, strconv.FormatInt(tok.Generation, 10), tok.Random})
	}
	var not []vecBytes
	for _, s := range notTokens {
		not = append(not, vecBytes(s))
	}
	golden(t, "identities.json", map[string]any{"identities": out, "tokens": tokens, "not_tokens_hex": not})
}

func TestTemplateVectors(t *testing.T) {
	var out []templateCase
	for _, c := range templateCases {
		if c.Refused != "" {
			c.Refused = "yes"
		}
		if json := fmt.Sprintf("%q", c.Template); bytes.Contains([]byte(json), []byte(`\x`)) {
			continue // JSON has no bytes
		}
		out = append(out, c)
	}
	golden(t, "templates.json", map[string]any{
		"identity":  map[string]any{"cluster": testIdentity.Cluster, "topic": testIdentity.Topic, "topic_id": testIdentity.TopicUUID(), "partition": testIdentity.Partition},
		"templates": out,
	})
}

func TestDeviationVectors(t *testing.T) {
	type vector struct {
		Name  string   `json:"name"`
		S2    vecS2    `json:"s2"`
		Entry vecEntry `json:"entry"`
	}
	var out []vector
	for _, d := range deviations {
		s := Stored{Headers: d.headers, Body: []byte(d.body)}
		out = append(out, vector{d.name, s2Vector(s), entryVector(Classify(s))})
	}
	golden(t, "deviations.json", map[string]any{"records": out})
}

func TestChunkVectors(t *testing.T) {
	type step struct {
		Seq    uint64    `json:"seq"`
		S2     vecS2     `json:"s2"`
		Entry  vecEntry  `json:"entry"`
		Yields *vecKafka `json:"yields"`
		Error  bool      `json:"error"`
	}
	type vector struct {
		Name  string `json:"name"`
		Steps []step `json:"steps"`
	}
	r := Record{Offset: 9, LeaderEpoch: 2, Timestamp: 1700000000000, Key: []byte("k"), Headers: []Header{{Key: "~h", Value: []byte("v")}, {Key: "n"}},
		Value: slices.Concat(bytes.Repeat([]byte("a"), 700_000), bytes.Repeat([]byte("b"), 700_000), bytes.Repeat([]byte("c"), 100))}
	three := cut(r, 700_000, 700_000)
	two := cut(r, 0, 1_000_000)
	flipped := cut(r, 700_000, 700_000)
	flipped[2].Body = bytes.Repeat([]byte("d"), 100)
	small := cut(Record{Offset: 9, Value: []byte("small")}, 2)
	fence := Stored{Headers: h("", "fence"), Body: []byte(NewToken(testIdentity, 1, []byte("0123456789")))}
	m := testOpen
	m.Resume, m.Epoch = 9, 2
	open := one(t, OpenMarker(m))
	next := stored(t, Record{Offset: 10, LeaderEpoch: 2, Value: []byte("next")})[0]

	var out []vector
	for _, c := range []struct {
		name string
		s    []Stored
	}{
		{"three chunks", []Stored{fence, open, three[0], three[1], three[2], next}},
		{"first chunk with an empty body", []Stored{two[0], two[1], two[2], next}},
		{"torn, fenced, and cut elsewhere", []Stored{three[0], three[1], fence, open, two[0], two[1], two[2], next}},
		{"torn, then the first one anew without a fence", []Stored{three[0], three[0], three[1], three[2]}},
		{"starts within chunks", []Stored{three[1], three[2], next}},
		{"one chunk missing", []Stored{three[0], three[2], fence, open, three[0], three[1], three[2]}},
		{"goes on in the middle behind a fence", []Stored{three[0], fence, open, three[1], three[2]}},
		{"checksum does not match", []Stored{flipped[0], flipped[1], flipped[2], next}},
		{"cut without need", []Stored{small[0], small[1], next}},
	} {
		var a Assembler
		v := vector{Name: c.name}
		for i, s := range c.s {
			s.Seq = uint64(i)
			rec, e, err := a.Feed(s)
			v.Steps = append(v.Steps, step{s.Seq, s2Vector(s), entryVector(e), kafkaVector(rec), err != nil})
		}
		out = append(out, v)
	}
	golden(t, "chunks.json", map[string]any{"streams": out})
}

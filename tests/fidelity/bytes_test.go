package fidelity

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
)

// Null, empty and something, for key, value and header value, in all combinations: each is what it was, seen by the oracle and
// by the project's own reader.
func TestT46NullIsNotEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.topic("nulls", 1, nil)
	kinds := [][]byte{nil, {}, []byte("x")}
	var sent []*kgo.Record
	for _, key := range kinds {
		for _, value := range kinds {
			r := &kgo.Record{Topic: "nulls", Key: key, Value: value, Timestamp: now}
			sent = append(sent, r)
			for _, one := range kinds {
				for _, other := range kinds {
					for _, name := range []string{"", "h", "~"} {
						r := *r
						r.Headers = []kgo.RecordHeader{{Key: name, Value: one}, {Key: "second", Value: other}}
						sent = append(sent, &r)
					}
				}
			}
		}
	}
	w.send(sent...)
	r := w.start("one", nil, "nulls")
	w.copied(r, "nulls")
	type line struct {
		Key, Value *string
		Headers    [][2]*string
	}
	text := func(b []byte) *string {
		if b == nil {
			return nil
		}
		s := string(b)
		return &s
	}
	n := 0
	for l := range splitLines(w.read("nulls/0")) {
		var got line
		if err := json.Unmarshal(l, &got); err != nil {
			t.Fatal(err)
		}
		want := line{Key: text(sent[n].Key), Value: text(sent[n].Value)}
		for _, h := range sent[n].Headers {
			want.Headers = append(want.Headers, [2]*string{text([]byte(h.Key)), text(h.Value)})
		}
		if len(got.Headers) == 0 {
			got.Headers = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("bridge read prints %s for %+v", l, sent[n])
		}
		n++
	}
	if n != len(sent) || n != 9*28 {
		t.Errorf("bridge read prints %d records of %d", n, len(sent))
	}
}

// splitLines yields the lines of a text, the last one too.
func splitLines(text []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for start, i := 0, 0; i < len(text); i++ {
			if text[i] == '\n' {
				if !yield(text[start:i]) {
					return
				}
				start = i + 1
			}
		}
	}
}

// Keys and values are bytes: every single one, every pair that could be taken for an end or an escape, and what is not UTF-8.
func TestT47KeysAreBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.topic("keys", 2, nil)
	rng := rand.New(rand.NewPCG(47, 0))
	var sent []*kgo.Record
	add := func(key, value []byte) {
		sent = append(sent, &kgo.Record{Topic: "keys", Partition: int32(len(sent) % 2), Key: key, Value: value})
	}
	for b := range 256 {
		add([]byte{byte(b)}, []byte{byte(b), 0})
		add([]byte{byte(b), byte(255 - b)}, []byte{0xff, byte(b)})
	}
	for _, key := range []string{"null", "NULL", "\x00", "\r\n", "~k", "\xef\xbb\xbfBOM", "\xc3\x28", "\xed\xa0\x80", "\xf8\x88\x80\x80\x80", "кл\u00fcч\u2028\u202e", "\\u0000", "a\x00b"} {
		add([]byte(key), []byte(key))
	}
	for range 1000 {
		add(noise(rng.IntN(300), rng.Uint64()), noise(rng.IntN(300), rng.Uint64()))
	}
	w.send(sent...)
	r := w.start("one", nil, "keys")
	sum := oracle.Sum(w.copied(r, "keys"))
	if sum.Records != len(sent) {
		t.Errorf("%d records of %d", sum.Records, len(sent))
	}
}

// Headers are a list: names double, empty, of any bytes, like those of the bridge and like S2's commands, values null beside
// empty. Nothing in them moves the stream's token or its beginning.
func TestT48HeadersAreAListOfBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.topic("headers", 3, nil)
	names := []string{"", "", "~", "~~", "~~~", "~0", "~00", "~0~", "~k", "~!", "~~k", "fence", "trim", "a", "A", "a ", "\x00", "\xff\xfe", "\xc3\x28", "~\x00", "кл\u00fcч"}
	values := [][]byte{nil, {}, []byte("fence"), []byte("trim"), []byte("open"), {0}, {0xff, 0xfe}, []byte("\x20\x00\x00\x00"), []byte(`{"v":1}`)}
	bodies := [][]byte{nil, {}, make([]byte, 8), []byte("kb1.AAAAAAAA.1.aaaaaaaaaa"), {0, 0, 0, 0, 0, 0, 0, 200}, []byte(`{"v":1,"from":0,"to":99,"reason":"operator","at":0}`)}
	rng := rand.New(rand.NewPCG(48, 0))
	var sent []*kgo.Record
	add := func(body []byte, headers ...kgo.RecordHeader) {
		var key []byte
		if len(sent)%3 > 0 {
			key = []byte("key")
		}
		sent = append(sent, &kgo.Record{Topic: "headers", Partition: int32(len(sent) % 3), Key: key, Value: body, Headers: headers})
	}
	for _, name := range names { // one header alone is what S2 takes for a command
		for _, value := range values {
			for _, body := range bodies {
				add(body, kgo.RecordHeader{Key: name, Value: value})
			}
		}
	}
	for range 2000 {
		headers := make([]kgo.RecordHeader, rng.IntN(12))
		for i := range headers {
			headers[i] = kgo.RecordHeader{Key: names[rng.IntN(len(names))], Value: values[rng.IntN(len(values))]}
			if rng.IntN(4) == 0 {
				headers[i] = kgo.RecordHeader{Key: string(noise(rng.IntN(40), rng.Uint64())), Value: noise(rng.IntN(40), rng.Uint64())}
			}
		}
		add(bodies[rng.IntN(len(bodies))], headers...)
	}
	w.send(sent...)
	r := w.start("one", nil, "headers")
	sum := oracle.Sum(w.copied(r, "headers"))
	if sum.Records != len(sent) || sum.Fences != 3 || sum.Markers != 3 {
		t.Errorf("%d records were sent: %s", len(sent), sum)
	}
	for p := range 3 {
		name := fmt.Sprintf("headers/%d", p)
		first := w.s2.Records(name)[0]
		if first.Seq != 0 || first.Command() != "fence" || w.s2.Token(name) != string(first.Body) {
			t.Errorf("%s begins at %d with %q, its token is %q", name, first.Seq, first.Body, w.s2.Token(name))
		}
	}
}

// Timestamps are what Kafka serves, whichever way they run: of producers and of brokers, mixed in one log, from before 1970, from
// a future that no clock has, and microseconds in the place of milliseconds. S2's own are an index, which never falls.
func TestT49TimestampsOfAllKinds(t *testing.T) {
	t.Parallel()
	var brokers forger // kfake itself stamps no records
	w := newWorld(t, brokers.wrap)
	w.topic("times", 4, nil)
	ms := now.UnixMilli()
	var odd []int64
	stamped := int64(0)
	for _, t := range []int64{-1, 0, 1, -2, ms, ms - 1, ms + 1, -ms, 9_223_372_036_000, -9_223_372_036_000, math.MinInt32, math.MaxUint32} {
		odd = append(odd, t, ms)
	}
	var recs []*kgo.Record
	for i, at := range odd {
		recs = append(recs, &kgo.Record{Topic: "times", Value: fmt.Append(nil, i), Timestamp: time.UnixMilli(at)})
	}
	w.send(recs...) // one batch
	for _, r := range recs {
		w.send(&kgo.Record{Topic: "times", Value: r.Value, Timestamp: r.Timestamp})
	}
	// The broker's own time, alone and between those of producers.
	byBroker := func(encoded []byte) []byte {
		encoded[atAttributes] |= 8
		stamped++
		binary.BigEndian.PutUint64(encoded[atHighest:], uint64(ms+stamped))
		return seal(encoded)
	}
	for i := range 20 {
		for p := 1; p < 3; p++ {
			raw := batch{Records: []rawRecord{{Timestamp: odd[i], Key: []byte{byte(p), byte(i)}}, {Timestamp: odd[i] + 5, Value: nil}}, Codec: int8(i % 5)}.encode(w)
			if p == 1 || i%2 == 0 {
				brokers.forge(raw, byBroker)
			}
			w.sendRaw("times", p, raw)
		}
	}
	// What kgo cannot keep in a time.Time, and so neither produce nor hand out: the truth is what was sent.
	id := oracle.Identity{Cluster: "cluster", Topic: "times", TopicID: w.kafka.TopicInfo("times").TopicID, Partition: 3}
	far := oracle.NewServed(id, 0, 0)
	for i, at := range []int64{ms * 1000, 9_223_372_036_855, -ms * 1000, 253_402_300_800_000, 1<<57 - 1, -1 << 57, ms} {
		raw := rawRecord{Timestamp: at, Key: fmt.Append(nil, i), Value: []byte("far")}
		w.sendRaw("times", 3, batch{Records: []rawRecord{raw, raw}, Codec: int8(i % 5)}.encode(w))
		for range 2 {
			if err := far.Add(oracle.Record{Offset: far.End, Timestamp: at, Key: raw.Key, Value: raw.Value}); err != nil {
				t.Fatal(err)
			}
			far.End++
		}
	}

	r := w.start("one", nil, "times")
	w.caughtUp(r, "times")
	truth := w.truth("times")
	truth.Partitions[3] = far
	w.judge(truth, "times")
	if brokers.forged() == 0 {
		t.Error("no batch was stamped")
	}
	kinds := map[uint8]int{}
	for s := range w.stream("times/2") {
		if it := oracle.Decode(s); it.Kind == oracle.Data {
			kinds[it.Record.Type]++
		}
	}
	if kinds[0] != 20 || kinds[1] != 20 {
		t.Errorf("timestamp types in the mixed log: %v", kinds)
	}
}

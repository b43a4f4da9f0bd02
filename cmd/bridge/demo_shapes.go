package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle/produce"
)

const (
	// maxDemoValue in bytes: some large ones among many small ones, since all
	// of it stays in memory twice. What has to be cut into chunks comes on top.
	maxDemoValue = 60_000
	// maxBatch in bytes is what the topic takes: a large record and its batch.
	maxBatch = 6 << 20
	// One in so many records may be large, and in every part two at most.
	largeEvery, largePerPart = 10_000, 2
)

// largeSizes of values, in bytes: two, three and five chunks.
var largeSizes = [...]int{largeValue + 1, 1_700_000, 2_300_000, 4_300_000}

// demoShapes are those of the records that stand between the edges.
func demoShapes(seed uint64, topic string, partitions int32) *produce.Shapes {
	return &produce.Shapes{Seed: seed, Topics: []produce.Topic{{Name: topic, Partitions: partitions}}, MaxValue: maxDemoValue}
}

// demoTopic is the topic's configuration.
func demoTopic() map[string]string {
	config := demoShapes(0, "", 0).TopicConfig()
	config["max.message.bytes"] = strconv.Itoa(maxBatch)
	return config
}

// edgeShapes make the records that are there in every run. They are few, so
// that ten of them have all edges, and they go around: record n has the shape n
// modulo their number. The first one is large.
var edgeShapes = [...]func(rng *rand.Rand, r *kgo.Record){
	func(rng *rand.Rand, r *kgo.Record) {
		r.Key, r.Value = []byte("large"), text(rng, largeSizes[rng.IntN(len(largeSizes))])
		r.Headers = headers("", "fence", "~", "after a large one")
	},
	func(_ *rand.Rand, r *kgo.Record) { r.Value = nil }, // a tombstone
	func(_ *rand.Rand, r *kgo.Record) { // S2's fence command, if it were taken over as it is
		r.Headers, r.Value = headers("", "fence"), []byte("kb1.hostile.token")
	},
	func(_ *rand.Rand, r *kgo.Record) { // S2's trim command: all that there is
		r.Key, r.Headers, r.Value = nil, headers("", "trim"), bytes.Repeat([]byte{0x7f}, 8)
	},
	func(_ *rand.Rand, r *kgo.Record) { // names of the bridge's own
		r.Headers = headers("~", "\x20\xff\xff\xff\x7f\x00\x00", "~k", "forged key", "~!", "open", "~~x", "y", "~0x", "", "~~", "~")
	},
	func(_ *rand.Rand, r *kgo.Record) { // null beside empty
		r.Key, r.Value = []byte{}, []byte{}
		r.Headers = []kgo.RecordHeader{{Key: "a"}, {Key: "a", Value: []byte{}}, {Key: ""}, {Key: "", Value: []byte{}}, {Key: "~"}, {Key: "a", Value: []byte("1")}}
	},
	func(_ *rand.Rand, r *kgo.Record) { r.Key, r.Value, r.Headers = nil, nil, headers("", "") },
	func(_ *rand.Rand, r *kgo.Record) { // every byte there is
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		r.Key, r.Value, r.Headers = all, all, []kgo.RecordHeader{{Key: string(all), Value: all}, {Key: string(all)}}
	},
	func(rng *rand.Rand, r *kgo.Record) { r.Timestamp = time.UnixMilli(rng.Int64N(1 << 40)) },    // before 2005
	func(rng *rand.Rand, r *kgo.Record) { r.Timestamp = time.UnixMilli(-1 - rng.Int64N(1<<40)) }, // and behind it one before 1970
}

// edgeRecord is the n-th of them. Without room for a large one it is small.
func edgeRecord(seed, n uint64, topic string, partitions int32, room bool) *kgo.Record {
	// Two in a row share a partition: the second of a pair is earlier than the first.
	partition := rand.New(rand.NewPCG(seed, 1<<62|n/2)).Int32N(partitions)
	rng := rand.New(rand.NewPCG(seed, 1<<63|n))
	r := &kgo.Record{
		Topic: topic, Partition: partition, Key: fmt.Appendf(nil, "edge-%d", n), Value: fmt.Appendf(nil, "edge %d of seed %d", n, seed),
		Timestamp: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Millisecond),
	}
	shape := int(n % uint64(len(edgeShapes)))
	if shape == 0 && !room {
		r.Headers = headers("~", "instead of a large one")
		return r
	}
	edgeShapes[shape](rng, r)
	return r
}

// isLarge says that the n-th edge record is large if there is room.
func isLarge(n uint64) bool { return n%uint64(len(edgeShapes)) == 0 }

// headers of names and values in turn.
func headers(pairs ...string) []kgo.RecordHeader {
	var out []kgo.RecordHeader
	for pair := range slices.Chunk(pairs, 2) {
		out = append(out, kgo.RecordHeader{Key: pair[0], Value: []byte(pair[1])})
	}
	return out
}

// text is n bytes that do not repeat: a chunk in the place of another one would
// be seen.
func text(rng *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = strconv.AppendUint(b, rng.Uint64(), 36)
	}
	return b[:n]
}

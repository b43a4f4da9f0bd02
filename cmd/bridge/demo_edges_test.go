package main

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
)

// edgesOf counts the edges of records that stand in the partitions in this order.
func edgesOf(records []*kgo.Record) (sum edgeCounts) {
	parts := map[int32]*edgeTally{}
	for i, r := range records {
		if parts[r.Partition] == nil {
			parts[r.Partition] = &edgeTally{}
		}
		rec := oracle.FromKafka(r)
		rec.Offset = int64(i)
		parts[r.Partition].add(&rec, len(rec.Value))
	}
	for _, p := range parts {
		sum.plus(p.counts)
	}
	return sum
}

// The fewest records that a demo may have are enough for every edge.
func TestTenRecordsHaveEveryEdge(t *testing.T) {
	for seed := range uint64(50) {
		for _, partitions := range []int32{1, 4, 256} {
			g := &generator{stage: &stage{topic: "orders", partitions: partitions}, seed: seed}
			var records []*kgo.Record
			for i := range onceParts {
				n := onceBurst(minDemoRecords, i)
				more, larges := g.edgeRecords(edgesIn(n))
				records = append(records, more...)
				g.visible += n
				g.large += larges
			}
			if len(records) != minDemoRecords {
				t.Fatalf("%d edge records among %d", len(records), minDemoRecords)
			}
			for e, n := range edgesOf(records) {
				if n == 0 {
					t.Errorf("seed %d, %d partitions: no record has: %s", seed, partitions, edgeNames[e])
				}
			}
		}
	}
}

func TestEdgeRecordsRepeat(t *testing.T) {
	for n := range uint64(40) {
		a, b := edgeRecord(7, n, "orders", 4, true), edgeRecord(7, n, "orders", 4, true)
		ra, rb := oracle.FromKafka(a), oracle.FromKafka(b)
		sa, sb := oracle.NewServed(oracle.Identity{}, 0, 1), oracle.NewServed(oracle.Identity{}, 0, 1)
		if sa.Add(ra) != nil || sb.Add(rb) != nil || a.Partition != b.Partition {
			t.Fatal(n)
		}
		if again, err := oracle.Encode(ra); err != nil || len(again) == 0 || len(ra.Value) != len(rb.Value) || !a.Timestamp.Equal(b.Timestamp) {
			t.Errorf("record %d differs from itself: %v", n, err)
		}
	}
}

// A demo of any size has a few large records, and no more.
func TestLargeRecordsAreFew(t *testing.T) {
	for _, c := range []struct{ part, parts, most int }{
		{1, 10, 1}, {100, 10, 1}, {5000, 10, 6}, {20_000, 10, 20}, {200_000, 10, 20}, {livePart, embeddedRound / livePart, 21},
	} {
		g := &generator{stage: &stage{topic: "orders", partitions: 4}}
		for range c.parts {
			_, larges := g.edgeRecords(edgesIn(c.part))
			g.visible += c.part
			g.large += larges
		}
		if g.large < 1 || g.large > c.most {
			t.Errorf("%d parts of %d records have %d large ones, want 1 to %d", c.parts, c.part, g.large, c.most)
		}
		if edgesIn(c.part) > c.part {
			t.Errorf("%d edges in a part of %d", edgesIn(c.part), c.part)
		}
	}
}

// What is counted in a stream is what was counted in Kafka, whole or in chunks,
// and whatever was torn or came twice.
func TestTalliesAgree(t *testing.T) {
	shapes := demoShapes(3, "orders", 1)
	var served edgeTally
	var seen streamTally
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range uint64(2000) {
		r := shapes.Record(n)
		if n%20 == 0 {
			r = edgeRecord(3, n/20, "orders", 1, n%400 == 0)
		}
		rec := oracle.FromKafka(r)
		rec.Offset = int64(2 * n)
		served.add(&rec, len(rec.Value))
		parts, err := oracle.Encode(rec)
		if err != nil {
			t.Fatal(err)
		}
		for range rng.IntN(3) { // begun and given up; a whole record comes twice
			for _, s := range parts[:rng.IntN(len(parts)+1)] {
				seen.stored(oracle.Decode(s))
			}
			seen.stored(oracle.Decode(oracle.EncodeFence("token")))
		}
		for _, s := range parts {
			seen.stored(oracle.Decode(s))
		}
	}
	if served.counts != seen.counts {
		t.Errorf("Kafka %v\nS2    %v", served.counts, seen.counts)
	}
	for e, n := range served.counts {
		if n == 0 {
			t.Errorf("no record has: %s", edgeNames[e])
		}
	}
}

// Half of a record does not count.
func TestTallyOfTornChunks(t *testing.T) {
	r := oracle.FromKafka(edgeRecord(1, 0, "orders", 1, true))
	parts, err := oracle.Encode(r)
	if err != nil || len(parts) < 2 {
		t.Fatal(len(parts), err)
	}
	for name, stored := range map[string][]oracle.Stored{
		"without the last":  parts[:len(parts)-1],
		"without the first": parts[1:],
		"last one only":     parts[len(parts)-1:],
		"first twice":       {parts[0], parts[0]},
	} {
		var seen streamTally
		for _, s := range stored {
			seen.stored(oracle.Decode(s))
		}
		if seen.counts != (edgeCounts{}) {
			t.Errorf("%s: %v", name, seen.counts)
		}
	}
}

func TestEdgeList(t *testing.T) {
	all := pairs(edgeCounts{largeRecord: 3, tombstone: 1200}, edgeCounts{largeRecord: 2, tombstone: 1200})
	all[abortedName] = edgePair{9, 0}
	list := edgeList(all)
	if len(list) != int(edgeCount)+1 || list[0] != "large 3/2" || list[1] != "tombstones 1,200/1,200" || list[2] != "null keys 0/0" || list[edgeCount] != "aborted 9/0" {
		t.Errorf("%q", list)
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		title string
		list  []string
		width int
		want  []string
	}{
		{"t:", nil, 5, []string{"t:"}},
		{"t:", []string{"a 1", "b 2"}, 11, []string{"t: a 1, b 2"}},
		{"t:", []string{"a 1", "b 2"}, 10, []string{"t: a 1,", "b 2"}},
		{"t:", []string{"long item", "b"}, 5, []string{"t:", "long item,", "b"}},
	} {
		if got := wrap(c.title, c.list, c.width); !slices.Equal(got, c.want) {
			t.Errorf("%q %q in %d: %q, want %q", c.title, c.list, c.width, got, c.want)
		}
	}
}

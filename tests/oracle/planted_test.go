package oracle_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"kafka-s2-bridge/tests/oracle"
)

// More violations, of chunk groups and of gap markers; see TestPlanted.
func TestPlantedInChunksAndGaps(t *testing.T) {
	gap := func(from, to int64, why string) oracle.Stored {
		return oracle.EncodeGap(oracle.GapMarker{From: from, To: to, Reason: why, At: 1})
	}
	// chunk replaces the n-th chunk of the large record, as a writer would that has another record in mind.
	chunk := func(s stream, at, n int, value []byte, change func(*oracle.Record)) {
		r := kafka()[6]
		if value != nil {
			r.Value = value
		}
		if change != nil {
			change(&r)
		}
		parts, err := oracle.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		parts[n].Timestamp = s[at].Timestamp
		s[at] = parts[n]
	}
	const torn, whole = 0, 2 // stored records of offset 8: two that were torn, then all three
	for _, c := range []struct {
		name  string
		plant func(t *testing.T, s stream) stream
		words string
	}{
		{"later chunk of a longer value", func(t *testing.T, s stream) stream {
			chunk(s, at(t, s, 8, whole+1), 1, append(slices.Clone(large), 'x'), nil)
			return s
		}, "has another position than its group"},
		{"later chunk of another epoch", func(t *testing.T, s stream) stream {
			chunk(s, at(t, s, 8, whole+2), 2, nil, func(r *oracle.Record) { r.Epoch++ })
			return s
		}, "has another position than its group"},
		{"later chunk of another time", func(t *testing.T, s stream) stream {
			chunk(s, at(t, s, 8, whole+2), 2, nil, func(r *oracle.Record) { r.Timestamp++ })
			return s
		}, "has another position than its group"},
		{"later chunk of another offset", func(t *testing.T, s stream) stream {
			chunk(s, at(t, s, 8, whole+1), 1, nil, func(r *oracle.Record) { r.Offset = 9 })
			return s
		}, "follows chunks of offset 8"},
		{"later chunk out of order", func(t *testing.T, s stream) stream {
			i := at(t, s, 8, whole+1)
			s[i], s[i+1] = s[i+1], s[i]
			return s
		}, "follows chunk 0"},
		{"later chunk of nothing", func(t *testing.T, s stream) stream { i := at(t, s, 8, whole); return slices.Delete(s, i, i+1) }, "follows nothing"},
		{"marker between chunks", func(t *testing.T, s stream) stream {
			i := at(t, s, 8, whole+1)
			return slices.Insert(s, i, gap(12, 13, "refused"))
		}, "broken off by a marker"},
		{"small record in chunks", func(t *testing.T, s stream) stream {
			i := at(t, s, 8, torn)
			first, second := s[at(t, s, 8, whole)], s[at(t, s, 8, whole+2)]
			short := func(o oracle.Stored, index byte) oracle.Stored {
				o.Headers = slices.Clone(o.Headers)
				// Offset 8, epoch 2, timestamp 1008, two chunks of two bytes, and some CRC.
				o.Headers[0].Value = []byte{0x22, 8, 4, 0xe0, 0x0f, index, 2, 2, 0x6c, 0x4e, 0x5b, 0x4f}
				o.Body = []byte("x")
				return o
			}
			return slices.Insert(s, i, short(first, 0), short(second, 1))
		}, "S2 would take it whole"},
		{"data inside of a gap", func(t *testing.T, s stream) stream {
			return slices.Insert(s, at(t, s, 10, 0), gap(10, 11, "refused"))
		}, "offset 10 at 19 lies in the gap from 10 to 11"},
		{"gap of no reason", func(_ *testing.T, s stream) stream { return append(s, gap(12, 13, "boredom")) }, `unknown reason "boredom"`},
		{"truncation that ends elsewhere", func(_ *testing.T, s stream) stream { return append(s, gap(9, 11, "truncation")) }, "ends at 11, but the stream stands at 11"},
		{"gap before an open marker", func(t *testing.T, s stream) stream {
			s = append(s, oracle.EncodeFence(oracle.Token(id, 9, "0123456789")))
			return append(s, gap(12, 13, "operator"))
		}, "before an open marker"},
		{"two open markers", func(t *testing.T, s stream) stream { return slices.Insert(s, 2, s[1]) }, "without a fence before it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := check(t, renumber(c.plant(t, copied(t))), oracle.Expect{Group: "g", AllowGaps: true})
			if r.Broken == 0 || !strings.Contains(strings.Join(r.Violations, "\n"), c.words) {
				t.Errorf("want the words %q, have %v", c.words, r)
			}
		})
	}
}

// The last commit of a bridge that has nothing left to do: it stands at the end, and counts exactly what the stream holds.
func TestPlantedCommits(t *testing.T) {
	s := copied(t)
	r, served := check(t, s, oracle.Expect{}), truth(t, kafka())
	other := id
	other.Partition = 4
	metadata := func(next uint64, last int64, parts int, of oracle.Identity) string {
		return fmt.Sprintf(`{"v":1,"next":%d,"last":%d,"parts":%d,"id":"%s"}`, next, last, parts, of.Hash())
	}
	right := oracle.Commit{Topic: "orders", Partition: 3, Offset: 12, Stable: 12, Metadata: metadata(r.Next, 11, 5, id)}
	for _, c := range []struct {
		name   string
		change func(*oracle.Commit)
		words  string // "" nothing is wrong
	}{
		{"right", func(*oracle.Commit) {}, ""},
		{"behind", func(c *oracle.Commit) { c.Offset = 11 }, "committed 11, last stable offset 12"},
		{"ahead", func(c *oracle.Commit) { c.Offset = 13 }, "committed 13"},
		{"nothing committed", func(c *oracle.Commit) { c.Offset = -1 }, "committed -1"},
		{"no metadata", func(c *oracle.Commit) { c.Metadata = "" }, "malformed"},
		{"another version", func(c *oracle.Commit) { c.Metadata = strings.Replace(c.Metadata, `"v":1`, `"v":2`, 1) }, "malformed"},
		{"a field more", func(c *oracle.Commit) { c.Metadata = strings.Replace(c.Metadata, `"v":1`, `"v":1,"w":1`, 1) }, "malformed"},
		{"counts more", func(c *oracle.Commit) { c.Metadata = metadata(r.Next+1, 11, 5, id) }, "the stream has next"},
		{"counts less", func(c *oracle.Commit) { c.Metadata = metadata(r.Next-1, 11, 5, id) }, "the stream has next"},
		{"another offset", func(c *oracle.Commit) { c.Metadata = metadata(r.Next, 10, 5, id) }, "last 11"},
		{"other partitions", func(c *oracle.Commit) { c.Metadata = metadata(r.Next, 11, 4, id) }, "parts 5"},
		{"another partition", func(c *oracle.Commit) { c.Metadata = metadata(r.Next, 11, 5, other) }, "id " + id.Hash()},
	} {
		t.Run(c.name, func(t *testing.T) {
			commit := right
			c.change(&commit)
			err := oracle.CheckCommit(commit, served, r, 5)
			if (err == nil) != (c.words == "") || err != nil && !strings.Contains(err.Error(), c.words) {
				t.Errorf("want %q, have %v", c.words, err)
			}
		})
	}
	// A partition that never had a record has no commit, and that is right.
	if err := oracle.CheckCommit(oracle.Commit{Offset: -1}, served, oracle.Report{}, 5); err != nil {
		t.Error(err)
	}
}

// What Kafka serves must rise, or the truth itself is none.
func TestKafkaOutOfOrder(t *testing.T) {
	s := oracle.NewServed(id, 0, 10)
	for _, offset := range []int64{3, 5} {
		if err := s.Add(oracle.Record{Offset: offset}); err != nil {
			t.Fatal(err)
		}
	}
	for _, offset := range []int64{5, 4, 0} {
		if err := s.Add(oracle.Record{Offset: offset}); err == nil {
			t.Errorf("offset %d is taken after 5", offset)
		}
	}
}

package main

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/tests/oracle"
)

// edge is a property of records that a copy easily gets wrong. A record may
// have several.
type edge int

const (
	largeRecord edge = iota
	tombstone
	nullKey
	emptyKey
	emptyValue
	nullHeader
	emptyHeader
	duplicateHeader
	unnamedHeader
	reservedHeader
	hostile
	negativeTimestamp
	backwardTimestamp
	binaryBytes
	edgeCount
)

// edgeNames are for the screen, the summary and --json. "aborted" comes on top:
// it is a property of where a record was written, not of the record.
var edgeNames = [edgeCount]string{
	"large", "tombstones", "null_keys", "empty_keys", "empty_values", "null_headers", "empty_headers", "duplicate_headers",
	"unnamed_headers", "reserved_headers", "hostile", "negative_timestamps", "backward_timestamps", "binary",
}

const abortedName = "aborted"

// largeValue in bytes: S2 takes no record with a value of this size whole.
const largeValue = 1 << 20

// edgeCounts is how many records have each edge.
type edgeCounts [edgeCount]int

func (c *edgeCounts) plus(other edgeCounts) {
	for e := range c {
		c[e] += other[e]
	}
}

// edgeTally counts the records of a partition that have an edge. The records
// come in the order of their offsets.
type edgeTally struct {
	counts edgeCounts
	next   int64 // offset behind the last record
	last   int64 // timestamp of the last record, if there was one
}

// add counts a record. size is the length of its value, of which r may have the
// beginning only. An offset that was there already does not count again.
func (t *edgeTally) add(r *oracle.Record, size int) {
	if r.Offset < t.next {
		return
	}
	backward := t.next > 0 && r.Timestamp < t.last
	t.next, t.last = r.Offset+1, r.Timestamp
	note := func(e edge, has bool) {
		if has {
			t.counts[e]++
		}
	}
	note(largeRecord, size > largeValue)
	note(tombstone, r.Value == nil)
	note(nullKey, r.Key == nil)
	note(emptyKey, r.Key != nil && len(r.Key) == 0)
	note(emptyValue, r.Value != nil && size == 0)
	note(negativeTimestamp, r.Timestamp < 0)
	note(backwardTimestamp, backward)
	binary := !utf8.Valid(r.Key) || !utf8.Valid(r.Value[:min(len(r.Value), 100)])
	has := [edgeCount]bool{}
	for i, h := range r.Headers {
		has[nullHeader] = has[nullHeader] || h.Value == nil
		has[emptyHeader] = has[emptyHeader] || h.Value != nil && len(h.Value) == 0
		has[unnamedHeader] = has[unnamedHeader] || h.Key == ""
		has[reservedHeader] = has[reservedHeader] || strings.HasPrefix(h.Key, "~")
		has[hostile] = has[hostile] || h.Key == "" && (string(h.Value) == "fence" || string(h.Value) == "trim")
		binary = binary || !utf8.ValidString(h.Key) || !utf8.Valid(h.Value)
		for _, before := range r.Headers[:i] {
			has[duplicateHeader] = has[duplicateHeader] || before.Key == h.Key
		}
	}
	has[binaryBytes] = binary
	for e, is := range has {
		note(edge(e), is)
	}
}

// streamTally counts the records of a stream, chunks put together.
type streamTally struct {
	edgeTally
	first  oracle.Item // the chunk that began the record that is open
	chunks uint64      // of it; 0: none is open
}

// stored counts what completes a record. Of a value in chunks it looks at the
// first one only.
func (t *streamTally) stored(it oracle.Item) {
	switch {
	case it.Kind != oracle.Data:
	case !it.Chunked:
		t.chunks = 0
		t.add(&it.Record, len(it.Record.Value))
	case it.Index == 0:
		t.first, t.chunks = it, 1
	case t.chunks != it.Index || t.first.Record.Offset != it.Record.Offset:
		t.chunks = 0
	default:
		if t.chunks++; t.chunks == it.Count {
			t.chunks = 0
			t.add(&t.first.Record, int(it.Total))
		}
	}
}

// over counts a stream while somebody else reads it.
func (t *streamTally) over(stored iter.Seq2[oracle.Stored, error]) iter.Seq2[oracle.Stored, error] {
	return func(yield func(oracle.Stored, error) bool) {
		for s, err := range stored {
			if err == nil {
				t.stored(oracle.Decode(s))
			}
			if !yield(s, err) {
				return
			}
		}
	}
}

// decode understands a stored record without the bridge's own reader.
func decode(s *mapping.Stored) oracle.Item {
	headers := make([]oracle.StoredHeader, len(s.Headers))
	for i, h := range s.Headers {
		headers[i] = oracle.StoredHeader(h)
	}
	return oracle.Decode(oracle.Stored{Seq: s.Seq, Timestamp: s.Timestamp, Headers: headers, Body: s.Body})
}

// servedTally counts what a consumer is given, as a hook of its client. Records
// of a partition come in order.
type servedTally struct {
	mu    sync.Mutex
	parts []edgeTally
}

var _ kgo.HookFetchRecordUnbuffered = (*servedTally)(nil)

// OnFetchRecordUnbuffered is called for every record that the consumer polls.
func (t *servedTally) OnFetchRecordUnbuffered(r *kgo.Record, polled bool) {
	if !polled || r.Attrs.IsControl() || int(r.Partition) >= len(t.parts) {
		return
	}
	rec := oracle.FromKafka(r)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.parts[r.Partition].add(&rec, len(rec.Value))
}

// counts of all partitions together.
func (t *servedTally) counts() (sum edgeCounts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.parts {
		sum.plus(t.parts[i].counts)
	}
	return sum
}

// edgePair says how many records of an edge Kafka serves, and how many of them
// are in S2. Of aborted ones: how many were written, and how many are in S2.
type edgePair struct {
	Made int `json:"made"`
	Seen int `json:"seen"`
}

// pairs puts the counts beside each other, by name.
func pairs(made, seen edgeCounts) map[string]edgePair {
	all := map[string]edgePair{}
	for e, name := range edgeNames {
		all[name] = edgePair{made[e], seen[e]}
	}
	return all
}

// edgeList tells pairs in words, in the order of the names.
func edgeList(all map[string]edgePair) (list []string) {
	for _, name := range append(slices.Clone(edgeNames[:]), abortedName) {
		if c, ok := all[name]; ok {
			list = append(list, fmt.Sprintf("%s %s/%s", strings.ReplaceAll(name, "_", " "), grouped(c.Made), grouped(c.Seen)))
		}
	}
	return list
}

package oracle

import (
	"fmt"
	"slices"
)

// Served is what Kafka serves of one partition to a read_committed consumer: the truth that a stream is held against.
type Served struct {
	Identity Identity
	Start    int64 // log start
	End      int64 // last stable offset up to which it was read; exclusive

	offsets []int64
	prints  []fingerprint
	print   *printer
}

// NewServed is empty: for truths that do not come from ReadKafka.
func NewServed(id Identity, start, end int64) *Served {
	return &Served{Identity: id, Start: start, End: end, print: newPrinter()}
}

// Add takes the next record. Kafka serves offsets in rising order; anything else is an error.
func (s *Served) Add(r Record) error {
	if n := len(s.offsets); n > 0 && s.offsets[n-1] >= r.Offset {
		return fmt.Errorf("%s: Kafka served offset %d after %d", s.Name(), r.Offset, s.offsets[n-1])
	}
	s.offsets = append(s.offsets, r.Offset)
	s.prints = append(s.prints, s.print.of(&r))
	return nil
}

// Len is the number of records.
func (s *Served) Len() int { return len(s.offsets) }

// Name is topic/partition.
func (s *Served) Name() string { return fmt.Sprintf("%s/%d", s.Identity.Topic, s.Identity.Partition) }

// find looks an offset up.
func (s *Served) find(offset int64) (int, bool) { return slices.BinarySearch(s.offsets, offset) }

// differences names the parts in which a stored record is not what Kafka serves.
func (f fingerprint) differences(kafka fingerprint) []string {
	var d []string
	if f.key != kafka.key {
		d = append(d, "key")
	}
	if f.value != kafka.value {
		d = append(d, "value")
	}
	if f.headers != kafka.headers {
		d = append(d, "headers")
	}
	if f.timestamp != kafka.timestamp {
		d = append(d, fmt.Sprintf("timestamp (%d, Kafka has %d)", f.timestamp, kafka.timestamp))
	}
	if f.kind != kafka.kind {
		d = append(d, fmt.Sprintf("timestamp type (%d, Kafka has %d)", f.kind, kafka.kind))
	}
	if f.epoch != kafka.epoch {
		d = append(d, fmt.Sprintf("leader epoch (%d, Kafka has %d)", f.epoch, kafka.epoch))
	}
	return d
}

// Offsets of the records, rising. The slice is not the caller's to change.
func (s *Served) Offsets() []int64 { return s.offsets }

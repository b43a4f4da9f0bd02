package handoff

import (
	"fmt"

	"kafka-s2-bridge/mapping"
)

// An operator may say that a stream of another identity, or without a token, is
// this partition's all the same: the cluster was restored under another id, or
// somebody cleared the token. That is believed only if the stream's last
// records are Kafka's, byte for byte:
//
//	ask -> read the last records -> read the same offsets at Kafka
//	    -> equal: fence on condition of the token just seen, and go on at 3
//	    -> not:   hold again, and say what differs
//
// Between that fence and the marker that hides the other identity's leader epochs
// the stream is half adopted: it has a token of ours, and whoever came next would
// ask Kafka about those epochs. So the fence's token says that it is one of an
// adoption, which lets in nobody but its owner; when the marker is acknowledged,
// he fences once more, plainly.
type comparison struct {
	size      uint64 // sequence numbers looked at, from the tail
	at        uint64 // the next one to read
	assembler mapping.Assembler
	records   []*mapping.Record // the last ones that are complete
	bytes     int
	gaps      []mapping.Gap
}

const (
	compareFirst   = 64
	compareMost    = 1000
	compareRecords = 8
	compareBytes   = 8 << 20 // of values, unless one alone is larger
)

// compare begins to read the stream's last records, size sequence numbers.
func (m *Machine) compare(size uint64) {
	m.comparing = &comparison{size: size, at: below(m.tail, size)}
	m.readContent()
}

func (m *Machine) readContent() {
	c := m.comparing
	m.do(Read{ID: m.nextRequest(), From: c.at, Count: int(min(m.tail-c.at, maxStretch))})
}

func (m *Machine) content(ev Page) {
	c := m.comparing
	if ev.Err != nil {
		m.retry(fmt.Errorf("read the stream's last records: %w", ev.Err), m.ask)
		return
	}
	before := c.at
	for _, s := range ev.Records {
		if s.Seq < m.tail {
			c.take(s)
		}
	}
	switch {
	case c.at > before && c.at < m.tail:
		m.readContent()
	case len(c.records) > 0:
		m.do(Recall{ID: m.nextRequest(), First: c.records[0].Offset, Last: c.records[len(c.records)-1].Offset})
	case c.size < compareMost && c.size < m.tail:
		m.compare(compareMost)
	default:
		m.stop(m.word.to.Reason, "not adopted: there is no complete Kafka record among the stream's last "+fmt.Sprint(min(c.size, m.tail)))
	}
}

// take keeps the last complete records.
func (c *comparison) take(s mapping.Stored) {
	c.at = s.Seq + 1
	r, e, _ := c.assembler.Feed(s) // what is broken or foreign is not a record
	if e.Kind == mapping.GapMark {
		c.gaps = append(c.gaps, *e.Gap)
	}
	if r == nil {
		return
	}
	c.records = append(c.records, r)
	c.bytes += len(r.Value)
	for len(c.records) > 1 && (len(c.records) > compareRecords || c.bytes > compareBytes) {
		c.bytes -= len(c.records[0].Value)
		c.records = c.records[1:]
	}
}

func (m *Machine) recalled(ev Recalled) {
	c := m.comparing
	if ev.Err != nil {
		m.retry(fmt.Errorf("read Kafka's records to compare with the stream's: %w", ev.Err), m.ask)
		return
	}
	if why := c.differ(ev.Records); why != "" {
		m.stop(m.word.to.Reason, "not adopted: "+why)
		return
	}
	m.comparing, m.compared, m.foreign = nil, true, true
	for i := range ev.Records { // the newest is among them: see differ
		if r := &ev.Records[i]; r.Offset == c.records[len(c.records)-1].Offset {
			m.twin = position{durable: r.Offset, epoch: r.LeaderEpoch}
		}
	}
	if m.suspect <= c.records[len(c.records)-1].Offset {
		m.suspect, m.witnessed = -1, false // the newest record is Kafka's: it was not cut off
	}
	m.fenceOn(m.seen)
}

// differ says what is not the same at Kafka. Records that Kafka has no more
// prove nothing; but the newest must be there. If it is not, Kafka's log may have
// been cut back below it, and what Kafka wrote there since would be skipped.
func (c *comparison) differ(kafka []mapping.Record) string {
	first, last := c.records[0].Offset, c.records[len(c.records)-1].Offset
	stream := map[int64]*mapping.Record{}
	for _, r := range c.records {
		stream[r.Offset] = r
	}
	equal, newest := 0, false
	for i := range kafka {
		k := &kafka[i]
		if k.Control || k.Offset < first || k.Offset > last {
			continue
		}
		s := stream[k.Offset]
		switch {
		case s == nil && !c.missing(k.Offset):
			return fmt.Sprintf("Kafka has a record at offset %d, the stream has none", k.Offset)
		case s == nil:
		default:
			if part := s.Differs(k); part != "" {
				return fmt.Sprintf("the record at offset %d is another one in the stream: its %s differs", k.Offset, part)
			}
			equal++
			newest = newest || k.Offset == last
		}
	}
	if equal > 0 && !newest {
		return fmt.Sprintf("Kafka has no record at offset %d, which is the stream's newest", last)
	}
	if equal == 0 {
		return fmt.Sprintf("Kafka has none of the stream's last records (offsets %d to %d) to compare with", first, last)
	}
	return ""
}

// missing: a gap marker accounts for the offset.
func (c *comparison) missing(offset int64) bool {
	for _, g := range c.gaps {
		if g.From <= offset && offset < g.To {
			return true
		}
	}
	return false
}

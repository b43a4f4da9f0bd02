package mapping

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Assembler completes Kafka records from the records of a stream, chunks
// included, and watches over the reading order:
//
//	fence open 7 8 9(0/3) 9(1/3) 9(2/3) 10(0/2) fence open 10(0/2) 10(1/2)
//	           | |                 |       torn: dropped              |
//	           7 8                 9                                 10
//
// The zero Assembler starts anywhere in a stream. Records must be fed in the
// order of their sequence numbers; where one is missing (a reader that was
// overtaken by a trim), the Assembler starts anew but for the offset.
type Assembler struct {
	seq   uint64 // the sequence number that continues the reading
	begun bool   // seq is known

	through int64 // the stream is complete up to this Kafka offset
	known   bool  // through is

	group *group // chunks of a record that is not complete yet
	join  bool   // nothing but a record's later chunks came since the start
	torn  bool   // a group was dropped, and no fence came since
	fence bool   // a fence came, and nothing of ours since
}

// group collects the chunks of one record.
type group struct {
	record Record // without its value
	last   Chunk  // the chunk that came last
	value  []byte
}

// Feed takes the next stored record. It returns the Kafka record that is
// complete with it, if there is one; that shares the bytes of s unless it was
// cut into chunks. The entry is what Classify says.
//
// An error means that the stream breaks the reading order of the format, or
// that chunks do not make up the value they promise. No record comes with it;
// the Assembler goes on with the next one.
func (a *Assembler) Feed(s Stored) (*Record, Entry, error) {
	if !a.begun || s.Seq != a.seq {
		a.group, a.join, a.torn, a.fence = nil, true, false, false
	}
	a.seq, a.begun = s.Seq+1, true

	e := Classify(s)
	var rec *Record
	var err error
	switch {
	case e.Kind == Data && e.Position.Chunk != nil && e.Position.Chunk.Index > 0:
		rec, err = a.continued(s, e.Position)
	case e.Kind == Data:
		rec, err = a.first(s, e.Position)
	case e.Kind == OpenMark || e.Kind == GapMark:
		err = a.marker(e)
	case e.Kind == Fence:
		a.group, a.join, a.torn, a.fence = nil, false, false, true
	default:
		a.tear()
		a.join = false
	}
	if err != nil {
		return nil, e, fmt.Errorf("sequence number %d: %w", s.Seq, err)
	}
	return rec, e, nil
}

// tear drops the chunks of a record that is not complete.
func (a *Assembler) tear() {
	a.torn = a.torn || a.group != nil
	a.group = nil
}

// onward is called when the writer goes on with a marker or a record. It may
// leave torn chunks behind only with a fence in between, and behind a fence an
// open marker comes first.
func (a *Assembler) onward(open bool) error {
	a.tear()
	torn, fence := a.torn, a.fence
	a.join, a.torn, a.fence = false, false, false
	switch {
	case torn:
		return errors.New("the chunks before it are not complete, and no fence is between")
	case fence && !open:
		return errors.New("a fence is not followed by an open marker")
	}
	return nil
}

// reach moves the position, which never falls.
func (a *Assembler) reach(offset int64) {
	if !a.known || offset > a.through {
		a.through, a.known = offset, true
	}
}

func (a *Assembler) marker(e Entry) error {
	err := a.onward(e.Kind == OpenMark)
	through, _ := e.Through()
	if err == nil && a.known && through < a.through {
		err = fmt.Errorf("%v marker goes back to offset %d from offset %d", e.Kind, through, a.through)
	}
	a.reach(through)
	return err
}

// first takes a whole record, or the first chunk of one.
func (a *Assembler) first(s Stored, p Position) (*Record, error) {
	err := a.onward(false)
	if err == nil && a.known && p.Offset <= a.through {
		err = fmt.Errorf("offset %d comes behind offset %d", p.Offset, a.through)
	}
	rec := restore(s, p)
	if p.Chunk == nil {
		a.reach(p.Offset)
		return rec, err
	}
	// The record outlives s.
	rec.Key, rec.Value = bytes.Clone(rec.Key), nil
	for i := range rec.Headers {
		rec.Headers[i].Value = bytes.Clone(rec.Headers[i].Value)
	}
	a.group = &group{record: *rec, last: *p.Chunk}
	a.group.add(s.Body)
	return nil, err
}

// continued takes a chunk behind the first one.
func (a *Assembler) continued(s Stored, p Position) (*Record, error) {
	if a.join {
		// Retention took the first chunks. The last one still tells how far
		// the stream is.
		if p.Chunk.last() {
			a.reach(p.Offset)
		}
		return nil, nil
	}
	g := a.group
	if g == nil || !g.continues(p) {
		a.group, a.torn = nil, false // reported here, once
		return nil, fmt.Errorf("chunk %d of offset %d does not continue what is before it", p.Chunk.Index, p.Offset)
	}
	g.last = *p.Chunk
	g.add(s.Body)
	if !p.Chunk.last() {
		return nil, nil
	}
	a.group = nil
	a.reach(p.Offset)
	return g.complete()
}

// add grows the value, at once to the length that the chunks promise if an
// eighth of it has come. Not earlier: a promise may be forged.
func (g *group) add(body []byte) {
	if n := len(g.value) + len(body); n > cap(g.value) {
		room := 4 * n
		if g.last.Total <= 8*uint64(n) {
			room = max(n, int(g.last.Total))
		}
		g.value = append(make([]byte, 0, room), g.value...)
	}
	g.value = append(g.value, body...)
}

// continues tells whether p is the position of the chunk that comes next.
func (g *group) continues(p Position) bool {
	want := g.last
	want.Index++
	return *p.Chunk == want && p.Offset == g.record.Offset && p.LeaderEpoch == g.record.LeaderEpoch &&
		p.Timestamp == g.record.Timestamp && p.TimestampType == g.record.TimestampType
}

// complete returns the record if its chunks make up the value they promise.
func (g *group) complete() (*Record, error) {
	switch {
	case uint64(len(g.value)) != g.last.Total:
		return nil, fmt.Errorf("chunks of offset %d have %d bytes, they promise %d", g.record.Offset, len(g.value), g.last.Total)
	case crc32.Checksum(g.value, castagnoli) != g.last.CRC:
		return nil, fmt.Errorf("chunks of offset %d do not have the CRC they promise", g.record.Offset)
	}
	rec := g.record
	rec.Value = g.value
	if measure(&rec).metered <= MaxMetered {
		return nil, fmt.Errorf("the record at offset %d was cut into chunks without need", rec.Offset)
	}
	return &rec, nil
}

// restore returns the Kafka record of a data record. It shares its bytes.
func restore(s Stored, p Position) *Record {
	rec := &Record{
		Offset:        p.Offset,
		LeaderEpoch:   p.LeaderEpoch,
		Timestamp:     p.Timestamp,
		TimestampType: p.TimestampType,
	}
	if !p.NullValue {
		rec.Value = present(s.Body)
	}
	n := kafkaHeaders(s)
	if n == 2 {
		rec.Key = present(s.Headers[1].Value)
	}
	for _, h := range s.Headers[n:] {
		rec.Headers = append(rec.Headers, unescape(h))
	}
	return rec
}

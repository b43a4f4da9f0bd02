package mapping

import "fmt"

// Packer says what to do with records that are large. The zero Packer cuts
// every record that does not fit one S2 record, however large it is.
type Packer struct {
	MaxRecord int  // key, value, header names and header values, bytes; 0: no limit
	NoChunks  bool // refuse what would have to be cut
}

// Pack is the zero Packer's.
func Pack(queue []*Batch, r *Record, hint int) ([]*Batch, error) {
	return Packer{}.Pack(queue, r, hint)
}

// Pack encodes r behind the records of the queue's last batch. It opens a new
// batch when the queue is empty, the last batch is sealed, or r does not fit
// any more: a batch holds 1,000 records, 1 MiB metered and what a frame of
// 2 MiB takes. A record that S2 would not take whole is cut into chunks, and
// the queue comes back longer by as many batches. The queue that it returns
// replaces the given one.
//
// Offsets must rise. Hint is the number of payload bytes that are still to
// come behind r, for the size of a new buffer. Once buffers have grown to the
// traffic, nothing is allocated for a record.
//
// The error is a *Refused, and then nothing was added.
func (p Packer) Pack(queue []*Batch, r *Record, hint int) ([]*Batch, error) {
	if refused := p.check(queue, r); refused != nil {
		return queue, refused
	}
	s := measure(r)
	switch {
	case s.metered > MaxMetered && p.NoChunks:
		return queue, &Refused{Offset: r.Offset, Size: s.metered, Limit: MaxMetered,
			Large: true, Why: "it is larger than one S2 record may be, and is not to be cut into chunks"}
	case s.metered > MaxMetered:
		return packChunks(queue, r, hint)
	case s.wire() > MaxEncoded:
		return queue, tooManyHeaders(r, s)
	}
	n := len(queue)
	if n == 0 || !queue[n-1].takes(s) {
		queue = append(queue, NewBatch(room(s, hint)))
		n++
	}
	queue[n-1].add(r, nil, r.Value, s)
	return queue, nil
}

// check looks at everything but how r would be encoded.
func (p Packer) check(queue []*Batch, r *Record) *Refused {
	switch {
	case r.Control:
		return &Refused{Offset: r.Offset, Why: "it is a control record"}
	case r.Offset < 0:
		return &Refused{Offset: r.Offset, Why: "its offset is negative"}
	case r.TimestampType > NoTimestampType:
		return &Refused{Offset: r.Offset, Why: fmt.Sprintf("its timestamp type %d is unknown", r.TimestampType)}
	}
	if n := len(queue); n > 0 {
		if last := queue[n-1].lastOffset(); r.Offset <= last {
			return &Refused{Offset: r.Offset, Why: fmt.Sprintf("it comes behind the record at offset %d", last)}
		}
	}
	if p.MaxRecord > 0 {
		if n := content(r); n > p.MaxRecord {
			return &Refused{Offset: r.Offset, Size: n, Limit: p.MaxRecord,
				Why: "it is larger than the limit that is set for records"}
		}
	}
	return nil
}

// content is the size of a Kafka record by itself, bytes.
func content(r *Record) int {
	n := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}

func tooManyHeaders(r *Record, s size) *Refused {
	return &Refused{Offset: r.Offset, Size: s.wire(), Limit: MaxEncoded,
		Why: "its many headers encode to more than one S2 frame holds"}
}

// room is the buffer for a record and what follows it. Headers and framing add
// some bytes to each record that is to come.
func room(s size, hint int) int {
	hint = min(max(hint, 0), bigBuffer)
	return s.wire() + hint + hint/8
}

// lastOffset is the offset of the last record packed, dropped ones included.
func (b *Batch) lastOffset() int64 {
	if n := len(b.store.entries); n > 0 {
		return b.store.entries[n-1].offset
	}
	return noOffset
}

package mapping

import "fmt"

// Pack encodes r behind the records of the queue's last batch. It opens a new
// batch when the queue is empty, the last batch is sealed, or r does not fit
// any more: a batch holds 1,000 records, 1 MiB metered and what a frame of
// 2 MiB takes. The queue that it returns replaces the given one.
//
// Offsets must rise. Hint is the number of payload bytes that are still to
// come behind r, for the size of a new buffer. Once buffers have grown to the
// traffic, nothing is allocated for a record.
//
// The error is a *Refused, and then nothing was added: the record does not fit
// one S2 record. (Cutting it into chunks would happen here: the queue may come
// back longer by any number of batches.)
func Pack(queue []*Batch, r *Record, hint int) ([]*Batch, error) {
	if r.Control {
		return queue, &Refused{Offset: r.Offset, Why: "it is a control record"}
	}
	if r.Offset < 0 {
		return queue, &Refused{Offset: r.Offset, Why: "its offset is negative"}
	}
	if r.TimestampType > NoTimestampType {
		return queue, &Refused{Offset: r.Offset, Why: fmt.Sprintf("its timestamp type %d is unknown", r.TimestampType)}
	}
	s := measure(r)
	if s.metered > MaxMetered {
		return queue, &Refused{Offset: r.Offset, Size: s.metered, Limit: MaxMetered,
			Why: "it is larger than one S2 record may be"}
	}
	if s.wire() > MaxEncoded {
		return queue, &Refused{Offset: r.Offset, Size: s.wire(), Limit: MaxEncoded,
			Why: "its many headers encode to more than one S2 frame holds"}
	}

	var b *Batch
	if n := len(queue); n > 0 {
		b = queue[n-1]
		if last := b.lastOffset(); r.Offset <= last {
			return queue, &Refused{Offset: r.Offset, Why: fmt.Sprintf("it comes behind the record at offset %d", last)}
		}
	}
	if b == nil || !b.takes(s) {
		// Headers and framing add some bytes to each record that is to come.
		hint = min(max(hint, 0), bigBuffer)
		b = NewBatch(s.wire() + hint + hint/8)
		queue = append(queue, b)
	}
	b.add(r, s)
	return queue, nil
}

// lastOffset is the offset of the last record packed, dropped ones included.
func (b *Batch) lastOffset() int64 {
	if n := len(b.store.entries); n > 0 {
		return b.store.entries[n-1].offset
	}
	return noOffset
}

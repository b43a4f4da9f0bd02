package mapping

import "sort"

// Batch holds encoded S2 records that travel in one append:
//
//	entries   [ offset 7 | offset 8 | offset 9 | ... ]
//	               |end       |end       |end
//	buf       [....|..........|..........|  room     ]
//	          ^ start: moves right when records are dropped
//
// A record that was cut goes through several batches. Each chunk but the last
// has a sealed one of its own, so that nothing can come between them:
//
//	[ 7 8 ]  [ 9 chunk 0/3 ]  [ 9 chunk 1/3 ]  [ 9 chunk 2/3 | 10 | 11 ... ]
//
// A batch is not safe for use by several goroutines, except that its Bytes
// may be read while nobody packs into it.
type Batch struct {
	store *store // nil once released: any use is a nil dereference
	first int    // index of the first kept entry
	start int    // where it begins in the buffer

	records, metered, payload int // of what is kept

	sealed bool
	gap    *Gap // the batch is this marker
}

// entry is one S2 record of a batch.
type entry struct {
	offset  int64 // Kafka's; of a gap marker the last one that it names; noOffset for an open marker
	end     int32 // in the buffer
	metered int32
	payload int32 // key and value, bytes; of a chunk, what it carries
	epoch   int32
	last    bool // completes its Kafka record
}

const (
	noOffset = -1
	noEpoch  = -1
)

// NewBatch returns an empty batch with room for about sizeHint encoded bytes.
func NewBatch(sizeHint int) *Batch {
	return &Batch{store: take(min(sizeHint, bigBuffer))}
}

// add appends one S2 record of size s: r, or the chunk c of it, with body.
func (b *Batch) add(r *Record, c *Chunk, body []byte, s size) {
	b.store = b.store.grow(s.wire())
	b.store.buf = appendPart(b.store.buf, r, c, body, s)
	e := entry{
		offset:  r.Offset,
		end:     int32(len(b.store.buf)),
		metered: int32(s.metered),
		payload: int32(len(body)),
		epoch:   r.LeaderEpoch,
		last:    c.last(),
	}
	if c.first() {
		e.payload += int32(len(r.Key))
	}
	if e.last {
		b.records++
	}
	b.store.entries = append(b.store.entries, e)
	b.metered += s.metered
	b.payload += int(e.payload)
}

// takes tells whether a record of that size still fits.
func (b *Batch) takes(s size) bool {
	return !b.sealed && b.Count() < MaxRecords &&
		b.metered+s.metered <= MaxMetered && len(b.Bytes())+s.wire() <= MaxEncoded
}

func (b *Batch) kept() []entry { return b.store.entries[b.first:] }

// Seal closes the batch: Pack adds nothing to it any more. Whatever was sent
// is sealed, since its records have their sequence numbers.
func (b *Batch) Seal() { b.sealed = true }

// Full tells whether the batch is at a limit, or so near that another record
// of the average size would pass it.
func (b *Batch) Full() bool {
	n := b.Count()
	if b.sealed || n >= MaxRecords {
		return true
	}
	if n == 0 {
		return false
	}
	encoded := len(b.Bytes())
	return b.metered+b.metered/n > MaxMetered || encoded+encoded/n > MaxEncoded
}

// Records is the number of Kafka records whose last S2 record is here.
func (b *Batch) Records() int { return b.records }

// Count is the number of S2 records: the sequence numbers that it takes.
func (b *Batch) Count() int { return len(b.kept()) }

// Bytes returns the records as they stand in an AppendInput: the repeated
// field 1, ready for a frame. They are valid until Release, or until the next
// record is packed.
func (b *Batch) Bytes() []byte { return b.store.buf[b.start:] }

// Metered is the size in bytes as S2 counts it.
func (b *Batch) Metered() int { return b.metered }

// Mem is the memory that the batch pins, bytes.
func (b *Batch) Mem() int { return b.store.mem() }

// Payload is the length of all keys and values, bytes. Each chunk counts for
// what it carries.
func (b *Batch) Payload() int { return b.payload }

// Span returns the Kafka offsets of the first and the last record that is
// completed here, or those that a gap marker names. It says false if there is
// none: an empty batch, an open marker, or a chunk that is not the last.
func (b *Batch) Span() (first, last int64, ok bool) {
	if b.gap != nil && b.Count() > 0 {
		return b.gap.From, b.gap.To - 1, true
	}
	if b.records == 0 {
		return 0, 0, false
	}
	kept := b.kept()
	i, j := 0, len(kept)-1
	for !kept[i].last {
		i++
	}
	for !kept[j].last {
		j--
	}
	return kept[i].offset, kept[j].offset, true
}

// Gap returns the gap marker that the batch is, or nil.
func (b *Batch) Gap() *Gap { return b.gap }

// Unfinished returns the Kafka offset of the record that is begun or continued
// here and not completed. Then nothing else is in the batch, and the record's
// next chunk is in the one that Pack returned behind it. It says false for
// every other batch.
//
// Such a batch must be kept when it is acknowledged, until the record's last
// chunk is: after an interruption a record starts anew with its first chunk.
func (b *Batch) Unfinished() (offset int64, ok bool) {
	kept := b.kept()
	n := len(kept)
	if n == 0 || kept[n-1].last || kept[n-1].offset == noOffset {
		return 0, false
	}
	return kept[n-1].offset, true
}

// Epoch is the leader epoch of the last record, -1 if unknown or if there is
// no record.
func (b *Batch) Epoch() int32 {
	if kept := b.kept(); len(kept) > 0 {
		return kept[len(kept)-1].epoch
	}
	return noEpoch
}

// FirstEpoch is the leader epoch of the first record, -1 if unknown or if
// there is no record.
func (b *Batch) FirstEpoch() int32 {
	if kept := b.kept(); len(kept) > 0 {
		return kept[0].epoch
	}
	return noEpoch
}

// EpochThrough is the highest leader epoch among the records at or below the
// offset, -1 if there is none.
func (b *Batch) EpochThrough(offset int64) int32 {
	epoch := int32(noEpoch)
	for _, e := range b.kept() {
		if e.offset > offset {
			break
		}
		epoch = max(epoch, e.epoch)
	}
	return epoch
}

// DropThrough forgets the records at or below the offset, their chunks
// included: what is left of a record's batches may be empty (Count is 0). A gap
// marker goes with its last offset, an open marker stays. The bytes of the others
// do not move.
func (b *Batch) DropThrough(offset int64) {
	kept := b.kept()
	n := sort.Search(len(kept), func(i int) bool {
		return kept[i].offset == noOffset || kept[i].offset > offset
	})
	if n == 0 {
		return
	}
	for _, e := range kept[:n] {
		if e.last && b.gap == nil {
			b.records--
		}
		b.metered -= int(e.metered)
		b.payload -= int(e.payload)
	}
	b.first += n
	b.start = int(kept[n-1].end)
}

// Release gives the memory back. Every use afterwards panics, a second
// Release too: two owners of one buffer would corrupt a stream.
func (b *Batch) Release() {
	b.store.give()
	b.store = nil
}

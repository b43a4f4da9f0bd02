package mapping

import "hash/crc32"

// A record that S2 would not take whole is cut. Every chunk but the last is as
// large as S2 allows, so there are as few as can be:
//
//	record     [ key, headers | value                                  ]
//	chunk 0    [ ~ | key, headers | value: first ]
//	chunk 1                       [ ~ | value: each ]
//	  ...                                [ ~ | value: each ]
//	chunk n-1                                  [ ~ | value: the rest ]
//
// Readers must not lean on where the cuts are.
type cuts struct {
	first, each int // bytes of the value in the first chunk, and in every other but the last
	count       uint64
}

// bodyOverhead is what a body adds to the encoded record at most, besides
// itself: its tag, its length, and longer lengths of the record.
const bodyOverhead = 6

// divide says how to cut r, which is too large for one S2 record. It refuses
// what cannot be cut: all that counts beside the value must fit one chunk.
func divide(r *Record) (cuts, *Refused) {
	c := Chunk{Total: uint64(len(r.Value))}
	// How much of the value a chunk takes depends on the length of its
	// position, and that on the number of chunks: try with varints of 7 bits, 14
	// bits ... until the number fits.
	for bits := 7; ; bits += 7 {
		most := uint64(1)<<bits - 1
		c.Index, c.Count = 0, most
		head := measurePart(r, &c, 0)
		switch {
		case head.metered > MaxMetered:
			return cuts{}, &Refused{Offset: r.Offset, Size: head.metered, Limit: MaxMetered,
				Why: "its key and headers do not fit one chunk"}
		case head.wire() > MaxEncoded:
			return cuts{}, tooManyHeaders(r, head)
		}
		c.Index = most - 1
		d := cuts{
			first: min(MaxMetered-head.metered, max(0, MaxEncoded-head.wire()-bodyOverhead)),
			each:  MaxMetered - measurePart(r, &c, 0).metered,
		}
		rest := len(r.Value) - d.first // above 0, or r would fit one S2 record
		d.count = 1 + uint64((rest+d.each-1)/d.each)
		if d.count <= most {
			return d, nil
		}
	}
}

// packChunks is Pack for a record that is to be cut. The value is read twice:
// for the checksum, and when it is copied to where it is sent from.
func packChunks(queue []*Batch, r *Record, hint int) ([]*Batch, error) {
	d, refused := divide(r)
	if refused != nil {
		return queue, refused
	}
	c := Chunk{Count: d.count, Total: uint64(len(r.Value)), CRC: crc32.Checksum(r.Value, castagnoli)}
	rest := r.Value
	for n := d.first; ; n = d.each {
		n = min(n, len(rest))
		s := measurePart(r, &c, n)
		if c.last() {
			b := NewBatch(room(s, hint))
			b.add(r, &c, rest, s)
			return append(queue, b), nil
		}
		b := NewBatch(s.wire())
		b.add(r, &c, rest[:n], s)
		b.Seal()
		queue = append(queue, b)
		rest = rest[n:]
		c.Index++
	}
}

package mapping

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// Limits of S2 for one append.
const (
	MaxRecords = 1000    // S2 records
	MaxMetered = 1 << 20 // bytes as S2 counts them

	// MaxEncoded is the room for records in a frame of 2 MiB: match_seq_num
	// (11 bytes), a fencing token (38) and the frame's flag (1) follow them.
	MaxEncoded = 2<<20 - 64
)

// Protocol buffer tags (field number << 3 | wire type) of what an append is
// made of. All field numbers are below 16, so a tag is one byte.
//
//	AppendInput  { repeated AppendRecord records = 1; ... }
//	AppendRecord { optional uint64 timestamp = 1; repeated Header headers = 2; bytes body = 3; }
//	Header       { bytes name = 1; bytes value = 2; }
const (
	tagRecord    = 1<<3 | byte(protowire.BytesType)
	tagTimestamp = 1<<3 | byte(protowire.VarintType)
	tagHeader    = 2<<3 | byte(protowire.BytesType)
	tagBody      = 3<<3 | byte(protowire.BytesType)
	tagName      = 1<<3 | byte(protowire.BytesType)
	tagValue     = 2<<3 | byte(protowire.BytesType)
)

// size is what one S2 record takes.
type size struct {
	message int // bytes of the AppendRecord message
	metered int // bytes as S2 counts them: 8 + 2 a header + names + values + body
}

// field returns the bytes of a length-delimited field with n bytes inside.
func field(n int) int { return 1 + protowire.SizeBytes(n) }

// optional is field for bytes that are left out when there are none.
func optional(n int) int {
	if n == 0 {
		return 0
	}
	return field(n)
}

// wire is the length of the record with its tag and length in front.
func (s size) wire() int { return field(s.message) }

func (s *size) header(name, value int) {
	s.message += field(field(name) + optional(value))
	s.metered += 2 + name + value
}

func (s *size) body(n int) {
	s.message += optional(n)
	s.metered += n
}

// measure returns the size of r as one S2 record.
func measure(r *Record) size { return measurePart(r, nil, len(r.Value)) }

// measurePart returns the size of an S2 record with that many bytes of r's
// value: of all of r (c is nil), or of a chunk.
func measurePart(r *Record, c *Chunk, body int) size {
	s := size{message: 1 + protowire.SizeVarint(stamp(r)), metered: 8}
	s.header(len(namePosition), positionSize(r, c))
	if c.first() {
		if r.Key != nil {
			s.header(len(nameKey), len(r.Key))
		}
		for i := range r.Headers {
			h := &r.Headers[i]
			s.header(len(escape(h))+len(h.Key), len(h.Value))
		}
	}
	s.body(body)
	return s
}

// appendPart writes what measurePart measured, as the next record of an append.
func appendPart(b []byte, r *Record, c *Chunk, body []byte, s size) []byte {
	b = append(b, tagRecord)
	b = protowire.AppendVarint(b, uint64(s.message))
	b = append(b, tagTimestamp)
	b = protowire.AppendVarint(b, stamp(r))

	n := positionSize(r, c)
	b = appendName(b, namePosition, "", n)
	b = append(b, tagValue)
	b = protowire.AppendVarint(b, uint64(n))
	b = appendPosition(b, r, c)

	if c.first() {
		if r.Key != nil {
			b = appendName(b, nameKey, "", len(r.Key))
			b = appendBytes(b, tagValue, r.Key)
		}
		for i := range r.Headers {
			h := &r.Headers[i]
			b = appendName(b, escape(h), h.Key, len(h.Value))
			b = appendBytes(b, tagValue, h.Value)
		}
	}
	return appendBytes(b, tagBody, body)
}

// appendName opens a header: the name is prefix and name, and a value of the
// given length follows.
func appendName(b []byte, prefix, name string, value int) []byte {
	n := len(prefix) + len(name)
	b = append(b, tagHeader)
	b = protowire.AppendVarint(b, uint64(field(n)+optional(value)))
	b = append(b, tagName)
	b = protowire.AppendVarint(b, uint64(n))
	b = append(b, prefix...)
	return append(b, name...)
}

func appendBytes(b []byte, tag byte, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	b = append(b, tag)
	b = protowire.AppendVarint(b, uint64(len(v)))
	return append(b, v...)
}

// stamp is the timestamp that S2 is given. It is an index only: S2 raises and
// caps timestamps, and knows none below 0. The exact one is in the position.
// 0 is written, not left out: S2 would take its own clock.
func stamp(r *Record) uint64 { return uint64(max(0, r.Timestamp)) }

// measureMarker and appendMarker do the same for a record with one header.
func measureMarker(kind string, body []byte) size {
	s := size{message: 2, metered: 8}
	s.header(len(nameMarker), len(kind))
	s.body(len(body))
	return s
}

func appendMarker(b []byte, kind string, body []byte, s size) []byte {
	b = append(b, tagRecord)
	b = protowire.AppendVarint(b, uint64(s.message))
	b = append(b, tagTimestamp, 0)
	b = appendName(b, nameMarker, "", len(kind))
	b = append(b, tagValue)
	b = protowire.AppendVarint(b, uint64(len(kind)))
	b = append(b, kind...)
	return appendBytes(b, tagBody, body)
}

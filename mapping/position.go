package mapping

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The position is the value of the header "~", the first one of every data
// record:
//
//	+---+-+---+-+-+--------+-------+-----------+---------------------------+
//	|ver|0|typ|c|n| offset | epoch | timestamp | if c: index count len CRC |
//	+---+-+---+-+-+--------+-------+-----------+---------------------------+
//	 7-5 4 3-2 1 0 uvarint  varint   varint     3 x uvarint, 4 bytes
const (
	version = 1

	versionShift = 5
	spareBit     = 1 << 4
	typeShift    = 2
	chunkBit     = 1 << 1
	nullBit      = 1 << 0

	crcLen = 4
)

// Position says which Kafka record an S2 record is, or is a part of.
type Position struct {
	Offset        int64
	LeaderEpoch   int32 // -1: unknown
	Timestamp     int64 // milliseconds; -1: none
	TimestampType TimestampType
	NullValue     bool
	Chunk         *Chunk // nil: the whole record
}

// Chunk says which part of a value an S2 record carries, when the Kafka record
// was too large for one.
type Chunk struct {
	Index, Count uint64 // 0 <= Index < Count, Count >= 2
	Total        uint64 // length of the whole value, bytes
	CRC          uint32 // CRC-32C of the whole value
}

// first and last also hold for nil, a whole record.
func (c *Chunk) first() bool { return c == nil || c.Index == 0 }
func (c *Chunk) last() bool  { return c == nil || c.Index == c.Count-1 }

// positionSize returns the encoded length in bytes, at most 54.
func positionSize(r *Record, c *Chunk) int {
	n := 1 + protowire.SizeVarint(uint64(r.Offset)) +
		protowire.SizeVarint(protowire.EncodeZigZag(int64(r.LeaderEpoch))) +
		protowire.SizeVarint(protowire.EncodeZigZag(r.Timestamp))
	if c != nil {
		n += protowire.SizeVarint(c.Index) + protowire.SizeVarint(c.Count) + protowire.SizeVarint(c.Total) + crcLen
	}
	return n
}

func appendPosition(b []byte, r *Record, c *Chunk) []byte {
	first := byte(version<<versionShift) | byte(r.TimestampType)<<typeShift
	if c != nil {
		first |= chunkBit
	}
	if r.Value == nil {
		first |= nullBit
	}
	b = append(b, first)
	b = protowire.AppendVarint(b, uint64(r.Offset))
	b = protowire.AppendVarint(b, protowire.EncodeZigZag(int64(r.LeaderEpoch)))
	b = protowire.AppendVarint(b, protowire.EncodeZigZag(r.Timestamp))
	if c != nil {
		b = protowire.AppendVarint(b, c.Index)
		b = protowire.AppendVarint(b, c.Count)
		b = protowire.AppendVarint(b, c.Total)
		b = binary.BigEndian.AppendUint32(b, c.CRC)
	}
	return b
}

// parsePosition is strict: it accepts exactly what appendPosition can write.
// The Kind is Data, or Unsupported for another version, or Foreign with the
// reason.
func parsePosition(v []byte) (Position, Kind, string) {
	if len(v) == 0 {
		return Position{}, Foreign, "position header is empty"
	}
	first := v[0]
	if got := first >> versionShift; got != version {
		return Position{}, Unsupported, fmt.Sprintf("position has format version %d, this program reads version %d", got, version)
	}
	p := Position{
		TimestampType: TimestampType(first >> typeShift & 3),
		NullValue:     first&nullBit != 0,
	}
	switch {
	case first&spareBit != 0:
		return Position{}, Foreign, "position has bit 4 set"
	case p.TimestampType > NoTimestampType:
		return Position{}, Foreign, "position has timestamp type 3"
	}

	in := varints{rest: v[1:]}
	offset := in.next()
	epoch := protowire.DecodeZigZag(in.next())
	p.Timestamp = protowire.DecodeZigZag(in.next())
	if first&chunkBit != 0 {
		p.Chunk = &Chunk{Index: in.next(), Count: in.next(), Total: in.next()}
		if len(in.rest) >= crcLen {
			p.Chunk.CRC = binary.BigEndian.Uint32(in.rest)
			in.rest = in.rest[crcLen:]
		} else {
			in.bad = true
		}
	}
	switch {
	case in.bad:
		return Position{}, Foreign, "position is cut short or has a varint that is not in its shortest form"
	case len(in.rest) > 0:
		return Position{}, Foreign, fmt.Sprintf("position has %d bytes too many", len(in.rest))
	case offset > math.MaxInt64:
		return Position{}, Foreign, "position has an offset beyond 63 bits"
	case epoch < math.MinInt32 || epoch > math.MaxInt32:
		return Position{}, Foreign, "position has a leader epoch beyond 32 bits"
	}
	p.Offset, p.LeaderEpoch = int64(offset), int32(epoch)

	if c := p.Chunk; c != nil {
		switch {
		case p.NullValue:
			return Position{}, Foreign, "position says both chunk and null value"
		case c.Count < 2:
			return Position{}, Foreign, fmt.Sprintf("chunk count is %d", c.Count)
		case c.Index >= c.Count:
			return Position{}, Foreign, fmt.Sprintf("chunk index %d of %d", c.Index, c.Count)
		case c.Total < c.Count-1: // only the first chunk may be empty
			return Position{}, Foreign, fmt.Sprintf("%d bytes do not fill %d chunks", c.Total, c.Count)
		}
	}
	return p, Data, ""
}

// varints reads varints in shortest form and remembers the first that is not.
type varints struct {
	rest []byte
	bad  bool
}

func (in *varints) next() uint64 {
	v, n := protowire.ConsumeVarint(in.rest)
	if n < 0 || n != protowire.SizeVarint(v) {
		in.bad, in.rest = true, nil
		return 0
	}
	in.rest = in.rest[n:]
	return v
}

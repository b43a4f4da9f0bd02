package s2s

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a message: number and value, unread by type.
type field struct {
	num    protowire.Number
	typ    protowire.Type
	varint uint64
	bytes  []byte
}

// eachField walks the fields of a message in order. Fields of other types than
// the two that S2 uses are skipped, as protobuf wants of unknown ones.
func eachField(b []byte, visit func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return malformed(n)
		}
		b = b[n:]
		f := field{num: num, typ: typ}
		switch typ {
		case protowire.VarintType:
			f.varint, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return malformed(n)
		}
		b = b[n:]
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}

func malformed(n int) error {
	return fmt.Errorf("%w: %w", ErrMessage, protowire.ParseError(n))
}

// A known field of the wrong type is an error, not an unknown field: reading
// on with a zero in its place would turn a broken answer into a position.
func (f field) mustBe(typ protowire.Type) error {
	if f.typ != typ {
		return fmt.Errorf("field %d has wire type %d: %w", f.num, f.typ, ErrMessage)
	}
	return nil
}

func (f field) position() (Position, error) {
	var p Position
	if err := f.mustBe(protowire.BytesType); err != nil {
		return p, err
	}
	err := eachField(f.bytes, func(g field) error {
		switch g.num {
		case positionSeqNum:
			p.SeqNum = g.varint
			return g.mustBe(protowire.VarintType)
		case positionTimestamp:
			p.Timestamp = g.varint
			return g.mustBe(protowire.VarintType)
		}
		return nil
	})
	return p, err
}

func (f field) record() (Record, error) {
	var r Record
	if err := f.mustBe(protowire.BytesType); err != nil {
		return r, err
	}
	err := eachField(f.bytes, func(g field) error {
		switch g.num {
		case sequencedSeqNum:
			r.SeqNum = g.varint
			return g.mustBe(protowire.VarintType)
		case sequencedTimestamp:
			r.Timestamp = g.varint
			return g.mustBe(protowire.VarintType)
		case sequencedHeaders:
			h, err := g.header()
			r.Headers = append(r.Headers, h)
			return err
		case sequencedBody:
			r.Body = g.bytes
			return g.mustBe(protowire.BytesType)
		}
		return nil
	})
	return r, err
}

func (f field) header() (Header, error) {
	var h Header
	if err := f.mustBe(protowire.BytesType); err != nil {
		return h, err
	}
	err := eachField(f.bytes, func(g field) error {
		switch g.num {
		case headerName:
			h.Name = g.bytes
			return g.mustBe(protowire.BytesType)
		case headerValue:
			h.Value = g.bytes
			return g.mustBe(protowire.BytesType)
		}
		return nil
	})
	return h, err
}

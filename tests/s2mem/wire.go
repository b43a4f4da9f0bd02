package s2mem

import (
	"errors"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The protobuf messages of S2, by protowire:
//
//	AppendInput     records=1 match_seq_num=2? fencing_token=3?
//	AppendRecord    timestamp=1? headers=2 body=3
//	Header          name=1 value=2
//	AppendAck       start=1 end=2 tail=3
//	StreamPosition  seq_num=1 timestamp=2
//	ReadBatch       records=1 tail=2?
//	SequencedRecord seq_num=1 timestamp=2 headers=3 body=4

var (
	errWireType = errors.New("failed to decode Protobuf message: invalid wire type")
	errKey      = errors.New("failed to decode Protobuf message: invalid key value")
	errUTF8     = errors.New("failed to decode Protobuf message: invalid string value: data is not UTF-8 encoded")
)

// field is one field of a message.
type field struct {
	num   protowire.Number
	typ   protowire.Type
	n     uint64 // value of a varint
	bytes []byte // value of a length-delimited field; aliases the message
}

// cutField takes the first field off a message.
func cutField(b []byte) (f field, rest []byte, err error) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return f, nil, decodeError(n)
	}
	if num > protowire.MaxValidNumber {
		return f, nil, errKey
	}
	f.num, f.typ = num, typ
	b = b[n:]
	switch typ {
	case protowire.VarintType:
		f.n, n = protowire.ConsumeVarint(b)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(b)
	default:
		n = protowire.ConsumeFieldValue(num, typ, b)
	}
	if n < 0 {
		return f, nil, decodeError(n)
	}
	return f, b[n:], nil
}

// short takes a length-delimited field of less than 128 bytes, whose tag is one
// byte, off a message: nearly all of them, and cheap. rest is nil if the field
// is another kind.
func short(b []byte) (v, rest []byte) {
	if len(b) > 1 && b[1] < 0x80 {
		if n := 2 + int(b[1]); n <= len(b) {
			return b[2:n:n], b[n:]
		}
	}
	return nil, nil
}

// Tags of one byte, of length-delimited fields.
const (
	tag1 = 1<<3 | byte(protowire.BytesType)
	tag2 = 2<<3 | byte(protowire.BytesType)
)

func decodeError(n int) error {
	return errors.New("failed to decode Protobuf message: " + protowire.ParseError(n).Error())
}

// decode reads an AppendInput. Its records alias b. Errors are of the
// encoding; a refusal is S2's check of the content.
func (in *input) decode(b []byte) (first *refusal, err error) {
	for len(b) > 0 {
		var f field
		if f, b, err = cutField(b); err != nil {
			return nil, err
		}
		switch f.num {
		case 1:
			if f.typ != protowire.BytesType {
				return nil, errWireType
			}
			if err := in.decodeRecord(f.bytes); err != nil {
				return nil, err
			}
			r := &in.records[len(in.records)-1]
			in.metered += metered(r.headers, r.body)
			if first == nil {
				first = checkRecord(r.headers, r.body)
			}
		case 2:
			if f.typ != protowire.VarintType {
				return nil, errWireType
			}
			in.match, in.hasMatch = f.n, true
		case 3:
			if f.typ != protowire.BytesType {
				return nil, errWireType
			}
			if !utf8.Valid(f.bytes) {
				return nil, errUTF8
			}
			if in.token = in.last; in.token != string(f.bytes) {
				in.token = string(f.bytes)
			}
			in.hasToken = true
		}
	}
	if first != nil {
		return first, nil
	}
	return in.check(), nil
}

func (in *input) decodeRecord(b []byte) (err error) {
	var r inputRecord
	start := len(in.headers)
	for len(b) > 0 {
		if v, rest := short(b); rest != nil && b[0] == tag2 {
			h, err := decodeHeader(v)
			if err != nil {
				return err
			}
			in.headers = append(in.headers, h)
			b = rest
			continue
		}
		var f field
		if f, b, err = cutField(b); err != nil {
			return err
		}
		switch f.num {
		case 1:
			if f.typ != protowire.VarintType {
				return errWireType
			}
			r.timestamp, r.hasTimestamp = f.n, true
		case 2:
			if f.typ != protowire.BytesType {
				return errWireType
			}
			h, err := decodeHeader(f.bytes)
			if err != nil {
				return err
			}
			in.headers = append(in.headers, h)
		case 3:
			if f.typ != protowire.BytesType {
				return errWireType
			}
			r.body = f.bytes
		}
	}
	if end := len(in.headers); end > start {
		r.headers = in.headers[start:end:end]
	}
	in.records = append(in.records, r)
	return nil
}

func decodeHeader(b []byte) (h Header, err error) {
	for len(b) > 0 {
		if v, rest := short(b); rest != nil && b[0] == tag1 {
			h.Name, b = v, rest
			continue
		} else if rest != nil && b[0] == tag2 {
			h.Value, b = v, rest
			continue
		}
		var f field
		if f, b, err = cutField(b); err != nil {
			return h, err
		}
		if f.num != 1 && f.num != 2 {
			continue
		}
		if f.typ != protowire.BytesType {
			return h, errWireType
		}
		if f.num == 1 {
			h.Name = f.bytes
		} else {
			h.Value = f.bytes
		}
	}
	return h, nil
}

func appendPosition(b []byte, num protowire.Number, p Position) []byte {
	n := 0
	if p.Seq != 0 {
		n += 1 + protowire.SizeVarint(p.Seq)
	}
	if p.Timestamp != 0 {
		n += 1 + protowire.SizeVarint(p.Timestamp)
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(n))
	if p.Seq != 0 {
		b = protowire.AppendTag(b, 1, protowire.VarintType)
		b = protowire.AppendVarint(b, p.Seq)
	}
	if p.Timestamp != 0 {
		b = protowire.AppendTag(b, 2, protowire.VarintType)
		b = protowire.AppendVarint(b, p.Timestamp)
	}
	return b
}

// ack is the answer to an append.
type ack struct {
	Start Position `json:"start"`
	End   Position `json:"end"`
	Tail  Position `json:"tail"`
}

func (a ack) proto(b []byte) []byte {
	b = appendPosition(b, 1, a.Start)
	b = appendPosition(b, 2, a.End)
	return appendPosition(b, 3, a.Tail)
}

// protoBatch encodes a ReadBatch; tail is left out when nil.
func protoBatch(b []byte, records []Record, tail *Position) []byte {
	var msg []byte
	for i := range records {
		msg = records[i].proto(msg[:0])
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendBytes(b, msg)
	}
	if tail != nil {
		b = appendPosition(b, 2, *tail)
	}
	return b
}

func (r *Record) proto(b []byte) []byte {
	if r.Seq != 0 {
		b = protowire.AppendTag(b, 1, protowire.VarintType)
		b = protowire.AppendVarint(b, r.Seq)
	}
	if r.Timestamp != 0 {
		b = protowire.AppendTag(b, 2, protowire.VarintType)
		b = protowire.AppendVarint(b, r.Timestamp)
	}
	for _, h := range r.Headers {
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		n := 0
		if len(h.Name) > 0 {
			n += 1 + protowire.SizeBytes(len(h.Name))
		}
		if len(h.Value) > 0 {
			n += 1 + protowire.SizeBytes(len(h.Value))
		}
		b = protowire.AppendVarint(b, uint64(n))
		if len(h.Name) > 0 {
			b = protowire.AppendTag(b, 1, protowire.BytesType)
			b = protowire.AppendBytes(b, h.Name)
		}
		if len(h.Value) > 0 {
			b = protowire.AppendTag(b, 2, protowire.BytesType)
			b = protowire.AppendBytes(b, h.Value)
		}
	}
	if len(r.Body) > 0 {
		b = protowire.AppendTag(b, 4, protowire.BytesType)
		b = protowire.AppendBytes(b, r.Body)
	}
	return b
}

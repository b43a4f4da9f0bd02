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
	errUTF8     = errors.New("failed to decode Protobuf message: invalid string value: data is not UTF-8 encoded")
)

// eachField walks a message. visit consumes the value of a field it knows and
// returns its length; 0 means unknown, the value is skipped.
func eachField(b []byte, visit func(num protowire.Number, typ protowire.Type, value []byte) (int, error)) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return decodeError(n)
		}
		b = b[n:]
		n, err := visit(num, typ, b)
		if err != nil {
			return err
		}
		if n == 0 {
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return decodeError(n)
		}
		b = b[n:]
	}
	return nil
}

func decodeError(n int) error {
	return errors.New("failed to decode Protobuf message: " + protowire.ParseError(n).Error())
}

// decode reads an AppendInput. Its records alias b. Errors are of the
// encoding; a refusal is S2's check of the content.
func (in *input) decode(b []byte) (*refusal, error) {
	var first *refusal
	err := eachField(b, func(num protowire.Number, typ protowire.Type, v []byte) (int, error) {
		switch num {
		case 1:
			if typ != protowire.BytesType {
				return 0, errWireType
			}
			msg, n := protowire.ConsumeBytes(v)
			if n < 0 {
				return n, nil
			}
			if err := in.decodeRecord(msg); err != nil {
				return 0, err
			}
			r := &in.records[len(in.records)-1]
			in.metered += metered(r.headers, r.body)
			if first == nil {
				first = checkRecord(r.headers, r.body)
			}
			return n, nil
		case 2:
			if typ != protowire.VarintType {
				return 0, errWireType
			}
			var n int
			in.match, n = protowire.ConsumeVarint(v)
			in.hasMatch = true
			return n, nil
		case 3:
			if typ != protowire.BytesType {
				return 0, errWireType
			}
			s, n := protowire.ConsumeBytes(v)
			if n >= 0 && !utf8.Valid(s) {
				return 0, errUTF8
			}
			if in.token = in.last; in.token != string(s) {
				in.token = string(s)
			}
			in.hasToken = true
			return n, nil
		}
		return 0, nil
	})
	if err != nil {
		return nil, err
	}
	if first != nil {
		return first, nil
	}
	return in.check(), nil
}

func (in *input) decodeRecord(b []byte) error {
	var r inputRecord
	start := len(in.headers)
	err := eachField(b, func(num protowire.Number, typ protowire.Type, v []byte) (int, error) {
		switch num {
		case 1:
			if typ != protowire.VarintType {
				return 0, errWireType
			}
			var n int
			r.timestamp, n = protowire.ConsumeVarint(v)
			r.hasTimestamp = true
			return n, nil
		case 2:
			if typ != protowire.BytesType {
				return 0, errWireType
			}
			msg, n := protowire.ConsumeBytes(v)
			if n < 0 {
				return n, nil
			}
			h, err := decodeHeader(msg)
			in.headers = append(in.headers, h)
			return n, err
		case 3:
			if typ != protowire.BytesType {
				return 0, errWireType
			}
			var n int
			r.body, n = protowire.ConsumeBytes(v)
			return n, nil
		}
		return 0, nil
	})
	if err != nil {
		return err
	}
	if end := len(in.headers); end > start {
		r.headers = in.headers[start:end:end]
	}
	in.records = append(in.records, r)
	return nil
}

func decodeHeader(b []byte) (h Header, err error) {
	err = eachField(b, func(num protowire.Number, typ protowire.Type, v []byte) (int, error) {
		if num != 1 && num != 2 {
			return 0, nil
		}
		if typ != protowire.BytesType {
			return 0, errWireType
		}
		s, n := protowire.ConsumeBytes(v)
		if num == 1 {
			h.Name = s
		} else {
			h.Value = s
		}
		return n, nil
	})
	return h, err
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

package oracle

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"strings"
)

// Decode reads one stored record by format version 1. It is strict: what an encoder would not have written is Foreign.
func Decode(s Stored) Item {
	foreign := func(why string) Item { return Item{Kind: Foreign, Why: why} }
	if len(s.Headers) == 0 {
		return foreign("no headers")
	}
	first := s.Headers[0]
	switch name := string(first.Name); {
	case name == "" && len(s.Headers) == 1 && string(first.Value) == "fence":
		return Item{Kind: Fence, Token: string(s.Body)}
	case name == "" && len(s.Headers) == 1 && string(first.Value) == "trim":
		return Item{Kind: Trim}
	case name == "~!" && len(s.Headers) == 1:
		return marker(string(first.Value), s.Body)
	case name != "~":
		return foreign("first header is not the position")
	}
	it := Item{Kind: Data}
	nullValue, ok := it.position(first.Value)
	if !ok {
		return foreign("position is malformed")
	}
	rest := s.Headers[1:]
	if len(rest) > 0 && string(rest[0].Name) == "~k" {
		it.Record.Key = present(rest[0].Value)
		rest = rest[1:]
	}
	for _, h := range rest {
		name := string(h.Name)
		switch {
		case name == "":
			return foreign("empty header name")
		case name[0] != '~':
			it.Record.Headers = append(it.Record.Headers, Header{Key: name, Value: present(h.Value)})
		case strings.HasPrefix(name, "~0") && len(h.Value) == 0:
			it.Record.Headers = append(it.Record.Headers, Header{Key: name[2:]})
		case name == "~~" || strings.HasPrefix(name, "~~~"):
			it.Record.Headers = append(it.Record.Headers, Header{Key: name[2:], Value: present(h.Value)})
		default:
			return foreign("reserved header name " + name)
		}
	}
	if !nullValue {
		it.Record.Value = present(s.Body)
	} else if len(s.Body) > 0 || it.Chunked {
		return foreign("null value with a body")
	}
	if it.Chunked && it.Index > 0 && (len(s.Headers) > 1 || len(s.Body) == 0) {
		return foreign("later chunk with headers or without a body")
	}
	return it
}

// position reads the value of the header "~".
func (it *Item) position(b []byte) (nullValue, ok bool) {
	if len(b) == 0 {
		return false, false
	}
	flags := b[0]
	b = b[1:]
	bad := flags>>5 != 1 || flags&0x10 != 0
	uvarint := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 || n > 1 && b[n-1] == 0 { // a last byte of zero: not the shortest form
			bad, b = true, nil
			return 0
		}
		b = b[n:]
		return v
	}
	varint := func() int64 { u := uvarint(); return int64(u>>1) ^ -int64(u&1) }
	offset, epoch, timestamp := uvarint(), varint(), varint()
	r := &it.Record
	r.Offset, r.Epoch, r.Timestamp, r.Type = int64(offset), int32(epoch), timestamp, flags>>2&3
	bad = bad || offset > math.MaxInt64 || epoch < -1 || epoch > math.MaxInt32 || r.Type == 3
	if it.Chunked = flags&2 != 0; it.Chunked {
		it.Index, it.Count, it.Total = uvarint(), uvarint(), uvarint()
		if bad || len(b) != 4 || it.Count < 2 || it.Index >= it.Count {
			return false, false
		}
		it.CRC = binary.BigEndian.Uint32(b)
		b = nil
	}
	return flags&1 != 0, !bad && len(b) == 0
}

// present makes the empty value of a reader that knows no null a present one.
func present(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// marker reads a record whose only header is "~!".
func marker(kind string, body []byte) Item {
	it := Item{Kind: OtherMarker, Marker: kind}
	switch {
	case kind == "open" && strict(body, &it.Open, 9) && it.Open.V == 1:
		it.Kind = Open
	case kind == "gap" && strict(body, &it.Gap, 5) && it.Gap.V == 1 && it.Gap.From >= 0 && it.Gap.From <= it.Gap.To:
		it.Kind = Gap
	case kind == "open" || kind == "gap" || !json.Valid(body):
		return Item{Kind: Foreign, Why: "malformed marker " + kind}
	}
	return it
}

// strict decodes an object that has exactly the given number of fields, all of them known.
func strict(body []byte, into any, fields int) bool {
	var all map[string]json.RawMessage
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if json.Unmarshal(body, &all) != nil || len(all) != fields || d.Decode(into) != nil {
		return false
	}
	again, err := json.Marshal(into) // Go matches names in any case; the document has them in lower case
	return err == nil && json.Unmarshal(again, &all) == nil && len(all) == fields
}

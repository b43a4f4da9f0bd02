package oracle

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// The encoder serves the tests of the oracle and of the harness: a naive copier writes with it. It knows the same
// document as the decoder and nothing else; the bridge has its own.

// limit is the metered size of the largest S2 record.
const limit = 1 << 20

// Encode writes a record as one stored record, or as chunks when it is larger than S2 takes. An error means that it
// cannot be bridged. Seq and Timestamp are left zero; what to give S2 as a timestamp is Index.
func Encode(r Record) ([]Stored, error) {
	whole := Stored{Headers: headers(r, position(r, nil)), Body: r.Value}
	if metered(whole) <= limit {
		return []Stored{whole}, nil
	}
	crc := crc32.Checksum(r.Value, crc32.MakeTable(crc32.Castagnoli))
	// The chunk fields differ in length with the index; their largest form is reckoned with for all.
	most := position(r, &Item{Index: 1 << 14, Count: 1 << 14, Total: uint64(len(r.Value)), CRC: crc})
	first := limit - metered(Stored{Headers: headers(r, most)})
	later := limit - 8 - 2 - 1 - len(most)
	if first < 0 {
		return nil, fmt.Errorf("record at offset %d: key and headers do not fit one S2 record", r.Offset)
	}
	count := uint64(1 + (len(r.Value)-first+later-1)/later)
	var out []Stored
	for body := r.Value; len(out) == 0 || len(body) > 0; {
		pos := position(r, &Item{Index: uint64(len(out)), Count: count, Total: uint64(len(r.Value)), CRC: crc})
		chunk, n := Stored{Headers: headers(r, pos)}, min(first, len(body))
		if len(out) > 0 {
			chunk, n = Stored{Headers: headers(Record{}, pos)}, min(later, len(body))
		}
		chunk.Body, body = body[:n], body[n:]
		out = append(out, chunk)
	}
	return out, nil
}

// Index is the S2 timestamp to give with a record.
func Index(r Record) uint64 { return uint64(max(0, r.Timestamp)) }

// metered is what S2 counts for a record.
func metered(s Stored) int {
	n := 8 + len(s.Body)
	for _, h := range s.Headers {
		n += 2 + len(h.Name) + len(h.Value)
	}
	return n
}

// position writes the value of the header "~"; chunk nil: a whole record.
func position(r Record, chunk *Item) []byte {
	b := []byte{1<<5 | r.Type<<2}
	if r.Value == nil {
		b[0] |= 1
	}
	b = binary.AppendUvarint(b, uint64(r.Offset))
	b = binary.AppendVarint(b, int64(r.Epoch))
	b = binary.AppendVarint(b, r.Timestamp)
	if chunk != nil {
		b[0] |= 2
		b = binary.AppendUvarint(b, chunk.Index)
		b = binary.AppendUvarint(b, chunk.Count)
		b = binary.AppendUvarint(b, chunk.Total)
		b = binary.BigEndian.AppendUint32(b, chunk.CRC)
	}
	return b
}

// headers are those of a data record.
func headers(r Record, pos []byte) []StoredHeader {
	out := []StoredHeader{{Name: []byte("~"), Value: pos}}
	if r.Key != nil {
		out = append(out, StoredHeader{Name: []byte("~k"), Value: r.Key})
	}
	for _, h := range r.Headers {
		switch {
		case h.Value == nil:
			out = append(out, StoredHeader{Name: []byte("~0" + h.Key)})
		case h.Key == "" || strings.HasPrefix(h.Key, "~"):
			out = append(out, StoredHeader{Name: []byte("~~" + h.Key), Value: h.Value})
		default:
			out = append(out, StoredHeader{Name: []byte(h.Key), Value: h.Value})
		}
	}
	return out
}

// EncodeOpen writes an open marker; its version and identity are filled in.
func EncodeOpen(id Identity, m OpenMarker) Stored {
	m.V, m.Cluster, m.Topic, m.TopicID, m.Partition = 1, id.Cluster, id.Topic, id.UUID(), id.Partition
	return encodeMarker("open", m)
}

// EncodeGap writes a gap marker; its version is filled in.
func EncodeGap(m GapMarker) Stored {
	m.V = 1
	return encodeMarker("gap", m)
}

func encodeMarker(kind string, m any) Stored {
	body, _ := json.Marshal(m) // plain structs of strings and numbers
	return Stored{Headers: []StoredHeader{{Name: []byte("~!"), Value: []byte(kind)}}, Body: body}
}

// EncodeFence writes a fence command.
func EncodeFence(token string) Stored {
	return Stored{Headers: []StoredHeader{{Value: []byte("fence")}}, Body: []byte(token)}
}

// Token makes a fencing token; random has at least 10 characters of 0-9a-z.
func Token(id Identity, generation int64, random string) string {
	return "kb1." + id.Hash() + "." + strconv.FormatInt(generation, 36) + "." + random
}

package handoff

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"reflect"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"kafka-s2-bridge/mapping"
)

var me = mapping.Identity{Cluster: "lkc-1", Topic: "orders", TopicID: [16]byte{1, 2, 3}, Partition: 7}

// stream is S2's side of one stream, as far as the protocol leans on it: a
// sequence of records, a fencing token that outlives its record, conditions
// that are checked before anything is appended.
type stream struct {
	exists  bool
	records []mapping.Stored // those that survive, contiguous
	tail    uint64
	token   string
	page    int              // records of a page at most; 0: all
	hide    int              // this many of the newest records are not seen by readings
	ever    map[int64]bool   // Kafka offsets that were ever complete here
	last    int64            // the highest of them
	group   []mapping.Stored // chunks of a record that is not complete, and may go on
	broken  string           // a promise of the format that was broken
}

func newStream() *stream { return &stream{exists: true, ever: map[int64]bool{}, last: -1} }

// s2Error has the methods that the machine looks for.
type s2Error struct {
	text   string
	token  *string
	denied bool
}

func (e *s2Error) Error() string { return e.text }
func (e *s2Error) Denied() bool  { return e.denied }
func (e *s2Error) Fenced() (string, bool) {
	if e.token == nil {
		return "", false
	}
	return *e.token, true
}

// append takes records on condition of a token and a sequence number (nil: no
// condition), all or nothing.
func (s *stream) append(records []mapping.Stored, token *string, seq *uint64) (uint64, error) {
	switch {
	case !s.exists:
		return 0, errors.New("404 stream_not_found")
	case token != nil && *token != s.token:
		actual := s.token
		return 0, &s2Error{text: "412 fencing_token_mismatch", token: &actual}
	case seq != nil && *seq != s.tail:
		return 0, fmt.Errorf("412 seq_num_mismatch %d", s.tail)
	}
	start := s.tail
	for _, r := range records {
		r.Seq = s.tail
		s.tail++
		s.records = append(s.records, r)
		e := mapping.Classify(r)
		s.grouped(r, e)
		switch e.Kind {
		case mapping.Fence:
			s.token = string(r.Body)
		case mapping.GapMark:
			for o := e.Gap.From; o < e.Gap.To; o++ {
				s.ever[o] = true // accounted for
			}
			s.last = max(s.last, e.Gap.To-1)
		case mapping.Data:
			if c := e.Position.Chunk; c != nil && c.Index < c.Count-1 {
				continue
			}
			if e.Position.Offset <= s.last {
				s.broken = fmt.Sprintf("offset %d stands behind %d", e.Position.Offset, s.last)
			}
			s.last = e.Position.Offset
			s.ever[s.last] = true
		}
	}
	return start, nil
}

// grouped holds a record against the rules for chunks: a record's chunks stand
// in a row and make up the value that they promise; what breaks off is followed
// by a fence.
func (s *stream) grouped(r mapping.Stored, e mapping.Entry) {
	c, n := e.Position.Chunk, uint64(len(s.group))
	switch {
	case c != nil && c.Index != n:
		s.broken = fmt.Sprintf("chunk %d of offset %d behind %d chunks", c.Index, e.Position.Offset, n)
	case c != nil && n > 0:
		before := mapping.Classify(s.group[n-1]).Position
		before.Chunk.Index++
		if !reflect.DeepEqual(before, e.Position) {
			s.broken = fmt.Sprintf("chunk %d of offset %d behind one of another record", n, e.Position.Offset)
		}
	case c == nil && n > 0 && e.Kind != mapping.Fence:
		s.broken = fmt.Sprintf("%s behind chunks that are not complete", e.Kind)
	}
	if c == nil {
		s.group = nil
		return
	}
	s.group = append(s.group, r)
	if c.Index < c.Count-1 {
		return
	}
	var value []byte
	for _, part := range s.group {
		value = append(value, part.Body...)
	}
	if uint64(len(value)) != c.Total || crc32.Checksum(value, crc32.MakeTable(crc32.Castagnoli)) != c.CRC {
		s.broken = fmt.Sprintf("chunks of offset %d are not the value that they promise", e.Position.Offset)
	}
	s.group = nil
}

func (s *stream) read(from uint64, count int) (page []mapping.Stored) {
	for _, r := range s.records[:max(0, len(s.records)-s.hide)] {
		if r.Seq >= from && len(page) < count && (s.page == 0 || len(page) < s.page) {
			page = append(page, r)
		}
	}
	return page
}

// trim removes what is below seq, as a trim command or retention does.
func (s *stream) trim(seq uint64) {
	for len(s.records) > 0 && s.records[0].Seq < seq {
		s.records = s.records[1:]
	}
}

func (s *stream) String() string {
	var lines []string
	for _, r := range s.records {
		lines = append(lines, fmt.Sprintf("%d %s", r.Seq, describeStored(r)))
	}
	return strings.Join(lines, "\n")
}

// Records as S2 stores them.

func stored(name, value string, body []byte) mapping.Stored {
	return mapping.Stored{Headers: []mapping.StoredHeader{{Name: []byte(name), Value: []byte(value)}}, Body: body}
}

func fenceRecord(token string) mapping.Stored { return stored("", "fence", []byte(token)) }

func trimRecord(seq uint64) mapping.Stored {
	return stored("", "trim", binary.BigEndian.AppendUint64(nil, seq))
}

func dataRecords(offset int64, epoch int32) []mapping.Stored {
	r := record(offset, epoch)
	queue, err := mapping.Pack(nil, &r, 0)
	if err != nil {
		panic(err)
	}
	return decode(queue[0].Bytes())
}

func chunkRecord(offset int64, epoch int32, index, count uint64) mapping.Stored {
	value := make([]byte, count) // a byte for each chunk
	v := []byte{1<<5 | 2}
	v = protowire.AppendVarint(v, uint64(offset))
	v = protowire.AppendVarint(v, protowire.EncodeZigZag(int64(epoch)))
	v = protowire.AppendVarint(v, protowire.EncodeZigZag(1000))
	v = protowire.AppendVarint(v, index)
	v = protowire.AppendVarint(v, count)
	v = protowire.AppendVarint(v, count)
	v = binary.BigEndian.AppendUint32(v, crc32.Checksum(value, crc32.MakeTable(crc32.Castagnoli)))
	return stored("~", string(v), value[:1])
}

func openRecord(id mapping.Identity, group string, resume int64, epoch int32) mapping.Stored {
	b := mapping.OpenMarker(mapping.Open{
		Cluster: id.Cluster, Topic: id.Topic, TopicID: id.TopicUUID(), Partition: id.Partition,
		Group: group, Bridge: "0.1", Resume: resume, Epoch: epoch,
	})
	return decode(b.Bytes())[0]
}

func gapRecord(from, to int64, reason string) mapping.Stored {
	return decode(mapping.GapMarker(mapping.Gap{From: from, To: to, Reason: reason}).Bytes())[0]
}

// record is a Kafka record of the tests.
func record(offset int64, epoch int32) mapping.Record {
	return mapping.Record{Offset: offset, LeaderEpoch: epoch, Timestamp: 1000 + offset, Value: []byte{byte(offset)}}
}

// decode reads the encoded records of an append back; it copies.
func decode(b []byte) (records []mapping.Stored) {
	for _, message := range fields(b) {
		r := mapping.Stored{Body: []byte{}}
		for _, f := range fields(message.value) {
			switch f.number {
			case 1:
				r.Timestamp = f.varint
			case 2:
				h := mapping.StoredHeader{Name: []byte{}, Value: []byte{}}
				for _, part := range fields(f.value) {
					if part.number == 1 {
						h.Name = append(h.Name, part.value...)
					} else {
						h.Value = append(h.Value, part.value...)
					}
				}
				r.Headers = append(r.Headers, h)
			case 3:
				r.Body = append(r.Body, f.value...)
			}
		}
		records = append(records, r)
	}
	return records
}

type protoField struct {
	number protowire.Number
	varint uint64
	value  []byte
}

func fields(b []byte) (all []protoField) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		f := protoField{number: number}
		var m int
		if b = b[n:]; kind == protowire.VarintType {
			f.varint, m = protowire.ConsumeVarint(b)
		} else {
			f.value, m = protowire.ConsumeBytes(b)
		}
		if n < 0 || m < 0 {
			panic("encoded records are not a protocol buffer message")
		}
		b, all = b[m:], append(all, f)
	}
	return all
}

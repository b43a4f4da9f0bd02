package oracle

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Header of a Kafka record; a nil value is null.
type Header = kgo.RecordHeader

// Record is what a Kafka consumer sees of a record; nil key and value are null.
type Record struct {
	Offset    int64
	Epoch     int32 // of the batch's leader; -1 unknown
	Timestamp int64 // ms
	Type      uint8 // of the timestamp: 0 CreateTime, 1 LogAppendTime, 2 none
	Key       []byte
	Value     []byte
	Headers   []Header
}

// FromKafka takes a fetched record over; bytes are shared.
func FromKafka(r *kgo.Record) Record {
	out := Record{Offset: r.Offset, Epoch: r.LeaderEpoch, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value, Headers: r.Headers}
	switch r.Attrs.TimestampType() {
	case 0:
	case 1:
		out.Type = 1
	default:
		out.Type = 2
	}
	return out
}

// Identity is one Kafka partition. The zero topic id stands for a broker that has none.
type Identity struct {
	Cluster   string
	Topic     string
	TopicID   [16]byte
	Partition int32
}

// Hash is the part of a fencing token that says for whom it was written.
func (id Identity) Hash() string {
	h := sha256.New()
	h.Write([]byte(id.Cluster))
	h.Write([]byte{0})
	h.Write([]byte(id.Topic))
	h.Write([]byte{0})
	h.Write(id.TopicID[:])
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(id.Partition)))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:6])
}

// UUID is the topic id as Kafka prints it.
func (id Identity) UUID() string { return base64.RawURLEncoding.EncodeToString(id.TopicID[:]) }

// fingerprint stands for a record's content: one number a part, so that a difference can be named.
type fingerprint struct {
	key, value, headers uint64
	timestamp           int64
	epoch               int32
	kind                uint8 // timestamp type
}

// printer makes fingerprints; not for concurrent use.
type printer struct {
	h   hash.Hash
	sum []byte
	len [binary.MaxVarintLen64]byte
}

func newPrinter() *printer { return &printer{h: sha256.New()} }

func (p *printer) of(r *Record) fingerprint {
	f := fingerprint{timestamp: r.Timestamp, epoch: r.Epoch, kind: r.Type}
	f.key = p.bytes(r.Key)
	f.value = p.bytes(r.Value)
	p.h.Reset()
	for _, h := range r.Headers {
		p.part([]byte(h.Key))
		p.part(h.Value)
	}
	f.headers = p.digest()
	return f
}

// bytes of a key or value; null has a number of its own.
func (p *printer) bytes(b []byte) uint64 {
	p.h.Reset()
	p.part(b)
	return p.digest()
}

// part adds length and bytes; the length of null is one that bytes cannot have.
func (p *printer) part(b []byte) {
	n := int64(len(b))
	if b == nil {
		n = -1
	}
	p.h.Write(p.len[:binary.PutVarint(p.len[:], n)])
	p.h.Write(b)
}

func (p *printer) digest() uint64 {
	p.sum = p.h.Sum(p.sum[:0])
	return binary.BigEndian.Uint64(p.sum)
}

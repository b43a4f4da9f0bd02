package mapping

import (
	"bytes"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Header is a header of a Kafka record. A nil Value is null, which Kafka
// keeps apart from an empty one.
type Header = kgo.RecordHeader

// TimestampType says who set the timestamp of a Kafka record. The numbers are
// those of the record format.
type TimestampType uint8

// Timestamp types, as the position's bits hold them.
const (
	CreateTime      TimestampType = 0 // set by the producer
	LogAppendTime   TimestampType = 1 // set by the broker
	NoTimestampType TimestampType = 2 // message format 0, which has no timestamps
)

// noTimestamp is what Kafka's own clients report for a record without one.
const noTimestamp = -1

// Record is a Kafka record as the broker served it.
type Record struct {
	Offset        int64
	LeaderEpoch   int32 // of the record's batch; -1: unknown
	Timestamp     int64 // milliseconds since 1970, any value; -1: none
	TimestampType TimestampType

	// Control is set on a transaction marker. Such a record moves a
	// position and is never encoded.
	Control bool

	Key, Value []byte // nil: null
	Headers    []Header
}

// FromKafka takes over a record that kgo fetched. It shares the record's
// bytes and allocates nothing.
func FromKafka(r *kgo.Record) Record {
	rec := Record{
		Offset:      r.Offset,
		LeaderEpoch: r.LeaderEpoch,
		Control:     r.Attrs.IsControl(),
		Key:         r.Key,
		Value:       r.Value,
		Headers:     r.Headers,
	}
	switch r.Attrs.TimestampType() {
	case 0:
		rec.TimestampType = CreateTime
		rec.Timestamp = millis(r)
	case 1:
		rec.TimestampType = LogAppendTime
		rec.Timestamp = millis(r)
	default:
		// kgo leaves the zero time.Time here, which is the year 1.
		rec.TimestampType = NoTimestampType
		rec.Timestamp = noTimestamp
	}
	return rec
}

// inverse15625 times 15625 is 1 modulo 2^58 (and modulo 2^64).
const inverse15625 = 0x790fb65668c26139

// millis returns the timestamp that Kafka served, in milliseconds.
//
// kgo stores time.Unix(0, ms*1e6). The product wraps around for anything
// beyond the year 2262, and a producer that puts microseconds where
// milliseconds belong is there at once. Since 1e6 = 2^6 * 15625 and 15625 is
// odd, a wrapped product still determines ms modulo 2^58: divide by 2^6,
// multiply by the inverse of 15625. That brings back every |ms| < 2^57. What
// lies beyond (nanoseconds, say) is lost inside kgo and comes out as another
// number.
//
// A nanosecond count that is not a multiple of 2^6 never was such a product: the
// record was built by hand, from a time with a finer resolution. (Records for
// tests should be built from time.UnixMilli.)
func millis(r *kgo.Record) int64 {
	ns := r.Timestamp.UnixNano()
	if ns%64 != 0 {
		return r.Timestamp.UnixMilli()
	}
	// The shift to the left drops the bits above 2^58, the one to the
	// right brings the sign down.
	return int64((uint64(ns)>>6)*inverse15625<<6) >> 6
}

// Differs names the first part in which two records at the same offset are not
// the same; "": none. Leader epochs are not looked at: another cluster counts
// its own.
func (r *Record) Differs(other *Record) string {
	switch {
	case r.Offset != other.Offset:
		return "offset"
	case !same(r.Key, other.Key):
		return "key"
	case !same(r.Value, other.Value):
		return "value"
	case r.Timestamp != other.Timestamp || r.TimestampType != other.TimestampType:
		return "timestamp"
	case len(r.Headers) != len(other.Headers):
		return "number of headers"
	}
	for i, h := range r.Headers {
		if h.Key != other.Headers[i].Key || !same(h.Value, other.Headers[i].Value) {
			return "headers"
		}
	}
	return ""
}

// same keeps null apart from empty.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

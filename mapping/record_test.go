package mapping

import (
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestFromKafka(t *testing.T) {
	kr := &kgo.Record{
		Key: []byte("k"), Value: []byte{}, Headers: []kgo.RecordHeader{{Key: "h"}},
		Timestamp: time.UnixMilli(-5), Offset: 7, LeaderEpoch: 2,
	}
	r := FromKafka(kr)
	if r.Offset != 7 || r.LeaderEpoch != 2 || r.Timestamp != -5 || r.TimestampType != CreateTime || r.Control {
		t.Errorf("got %+v", r)
	}
	if &r.Key[0] != &kr.Key[0] || r.Value == nil || &r.Headers[0] != &kr.Headers[0] {
		t.Error("bytes are not shared, or an empty value became null")
	}
	if n := testing.AllocsPerRun(100, func() { r = FromKafka(kr) }); n != 0 {
		t.Errorf("%v allocations", n)
	}

	kr.Attrs = kgo.NewRecordAttrs(kgo.RecordAttrsOpts{TimestampType: 1, Control: true})
	if r := FromKafka(kr); r.TimestampType != LogAppendTime || !r.Control {
		t.Errorf("got %+v", r)
	}
	none := &kgo.Record{Attrs: kgo.NewRecordAttrs(kgo.RecordAttrsOpts{TimestampType: -1})}
	if r := FromKafka(none); r.TimestampType != NoTimestampType || r.Timestamp != -1 {
		t.Errorf("a record without a timestamp has %d of type %d", r.Timestamp, r.TimestampType)
	}
}

// A producer that writes microseconds where milliseconds belong gets through
// kgo with a product that wrapped around. It must come back.
func TestTimestampsThatWrapInKgo(t *testing.T) {
	for _, ms := range []int64{
		0, 1, -1, -5, 999, 1764000000000, 9223372036854, // the last one that fits
		9223372036855, -9223372036855, 1764000000000000, -1764000000000000,
		18446744073709, 18446744073710, 1 << 56, 1<<57 - 1, -1 << 57,
	} {
		product := ms * 1e6 // as kgo does, wrapping
		if got := FromKafka(&kgo.Record{Timestamp: time.Unix(0, product)}).Timestamp; got != ms {
			t.Errorf("%d came back as %d", ms, got)
		}
	}
	// Not from kgo: the resolution is finer than Kafka's.
	for _, ns := range []int64{1764000000000_000001, 1764000000000_999999, math.MaxInt64} {
		if got := FromKafka(&kgo.Record{Timestamp: time.Unix(0, ns)}).Timestamp; got != ns/1e6 {
			t.Errorf("%d ns gave %d ms", ns, got)
		}
	}
}

// Every part of a record counts, null apart from empty; the epoch does not.
func TestDiffers(t *testing.T) {
	base := func() Record {
		return Record{Offset: 7, LeaderEpoch: 3, Timestamp: 5, Key: []byte("k"), Value: []byte{}, Headers: []Header{{Key: "a", Value: []byte("1")}, {Key: "", Value: nil}}}
	}
	for want, change := range map[string]func(*Record){
		"":                  func(r *Record) { r.LeaderEpoch = 9 },
		"offset":            func(r *Record) { r.Offset++ },
		"key":               func(r *Record) { r.Key = nil },
		"value":             func(r *Record) { r.Value = nil },
		"timestamp":         func(r *Record) { r.TimestampType = LogAppendTime },
		"number of headers": func(r *Record) { r.Headers = r.Headers[:1] },
		"headers":           func(r *Record) { r.Headers[1].Value = []byte{} },
	} {
		a, b := base(), base()
		change(&b)
		if got := a.Differs(&b); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if got := b.Differs(&a); got != want {
			t.Errorf("the other way round: %q, want %q", got, want)
		}
	}
}

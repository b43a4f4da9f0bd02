package produce

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Topic is where records go.
type Topic struct {
	Name       string
	Partitions int32
}

// Shapes makes records. Fields must not change once it is used.
type Shapes struct {
	Seed     uint64
	Topics   []Topic // records are spread evenly over all partitions
	MaxValue int     // bytes of the largest value; default 200,000
	Base     int64   // ms; timestamps lie around it; default: the start of 2026
}

// TopicConfig is what a topic needs to take every record of these shapes and to keep it.
func (s *Shapes) TopicConfig() map[string]string {
	return map[string]string{
		"retention.ms":                   "-1",
		"message.timestamp.after.max.ms": "9223372036854775807",
		"max.message.bytes":              strconv.Itoa(s.batchBytes()),
	}
}

func (s *Shapes) maxValue() int {
	if s.MaxValue == 0 {
		return 200_000
	}
	return s.MaxValue
}

// batchBytes is the size of batch that takes the largest record.
func (s *Shapes) batchBytes() int { return max(1<<20, s.maxValue()+100_000) }

// hostile header lists: names that a careless mapping would take for S2 commands, for the bridge's own, or for nothing.
var hostile = [][]kgo.RecordHeader{
	{{Key: "", Value: []byte("trim")}},
	{{Key: "", Value: []byte("fence")}},
	{{Key: "", Value: nil}},
	{{Key: "", Value: []byte{}}, {Key: "", Value: []byte("fence")}},
	{{Key: "~", Value: []byte("\x20\xff\xff\xff\x7f\x00\x00")}},
	{{Key: "~", Value: nil}, {Key: "~k", Value: []byte("forged key")}},
	{{Key: "~!", Value: []byte("open")}},
	{{Key: "~0x", Value: []byte{}}, {Key: "~0", Value: nil}, {Key: "~~", Value: []byte("~")}, {Key: "~~~", Value: nil}},
	{{Key: "a", Value: []byte("1")}, {Key: "a", Value: nil}, {Key: "a", Value: []byte{}}, {Key: "b", Value: nil}, {Key: "a", Value: []byte("1")}},
	{{Key: "\xff\xfe", Value: []byte{0, 1, 2}}, {Key: "\x00", Value: nil}},
}

// Record is the n-th record: topic, partition, key, value, headers, timestamp.
func (s *Shapes) Record(n uint64) *kgo.Record {
	rng := rand.New(rand.NewPCG(s.Seed, n))
	topic := s.place(rng)
	r := &kgo.Record{Topic: topic.Name, Partition: rng.Int32N(topic.Partitions)}
	r.Key = key(rng)
	r.Value = s.value(rng, n, r.Partition)
	r.Headers = headers(rng)
	r.Timestamp = time.UnixMilli(s.timestamp(rng, n))
	return r
}

// place picks a topic by its number of partitions.
func (s *Shapes) place(rng *rand.Rand) Topic {
	all := int32(0)
	for _, t := range s.Topics {
		all += t.Partitions
	}
	p := rng.Int32N(all)
	for _, t := range s.Topics {
		if p -= t.Partitions; p < 0 {
			return t
		}
	}
	return s.Topics[0]
}

func key(rng *rand.Rand) []byte {
	switch p := rng.IntN(100); {
	case p < 20:
		return nil
	case p < 24:
		return []byte{}
	case p < 34:
		return binary.LittleEndian.AppendUint64(nil, rng.Uint64())[:1+rng.IntN(8)]
	case p < 35:
		return noise(rng, rng.IntN(2000))
	default:
		return fmt.Appendf(nil, "key-%d", rng.IntN(1000))
	}
}

// value begins, where there is room, with what it is: number, partition, seed, and a sum of what follows.
func (s *Shapes) value(rng *rand.Rand, n uint64, partition int32) []byte {
	var size int
	switch p := rng.IntN(1000); {
	case p < 30:
		return nil
	case p < 50:
		return []byte{}
	case p < 100:
		size = 1 + rng.IntN(40)
	case p < 700:
		size = 100 + rng.IntN(200)
	case p < 975:
		size = 300 + rng.IntN(700)
	case p < 999:
		size = 1000 + rng.IntN(9000)
	default:
		largest := s.maxValue()
		if rng.IntN(20) > 0 { // what has to be cut is rare
			largest = min(largest, 200_000)
		}
		size = 10_000 + rng.IntN(max(1, largest-10_000+1))
	}
	size = min(size, s.maxValue())
	b := noise(rng, size)
	if mark := fmt.Sprintf("n=%d p=%d seed=%d crc=", n, partition, s.Seed); size >= len(mark)+9 {
		copy(b, mark)
		rest := b[len(mark)+9:]
		copy(b[len(mark):], fmt.Sprintf("%08x ", crc32.ChecksumIEEE(rest)))
	}
	return b
}

// noise is half text, which compresses, and half random bytes.
func noise(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	if rng.IntN(2) == 0 {
		const text = `{"id":1234567,"name":"the quick brown fox","ok":true,"list":[1,2,3]} `
		from := rng.IntN(len(text))
		for i := 0; i < n; {
			i += copy(b[i:], text[from:])
			from = 0
		}
		return b
	}
	for i := 0; i < n; i += 8 {
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], rng.Uint64())
		copy(b[i:], w[:])
	}
	return b
}

func headers(rng *rand.Rand) []kgo.RecordHeader {
	switch p := rng.IntN(100); {
	case p < 60:
		return nil
	case p < 85:
		out := make([]kgo.RecordHeader, 1+rng.IntN(3))
		for i := range out {
			out[i] = kgo.RecordHeader{Key: "h" + strconv.Itoa(rng.IntN(4)), Value: noise(rng, rng.IntN(30))}
		}
		return out
	default:
		return hostile[rng.IntN(len(hostile))]
	}
}

// odd timestamps: none, before the epoch, the epoch, seconds taken for ms, far ahead. kgo reckons in nanoseconds, on
// both ways: beyond the year 2262 (9,223,372,036,854 ms) it hands out other timestamps than Kafka has.
var odd = []int64{-1, -5, 0, 1, 1_700_000_000, -9_000_000_000_000, farAhead}

const farAhead = 9_223_372_036_000

func (s *Shapes) timestamp(rng *rand.Rand, n uint64) int64 {
	base := s.Base
	if base == 0 {
		base = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	}
	base += int64(n) / 10
	switch p := rng.IntN(1000); {
	case p < 940:
		return base
	case p < 990:
		return base - rng.Int64N(10*24*3600*1000)
	default:
		return odd[rng.IntN(len(odd))]
	}
}

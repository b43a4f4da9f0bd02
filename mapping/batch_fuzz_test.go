package mapping

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/s2-streamstore/s2-sdk-go/s2"

	"kafka-s2-bridge/tests/s2mem"
)

// script hands out a fuzzer's bytes one by one; behind their end come zeros.
type script []byte

func (s *script) next() int {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return int(b)
}

// FuzzBatcher is the life of a partition's queue as the owner leads it: records
// are packed, batches are sent (sealed) and acknowledged, a recovery takes
// everything back and drops what the stream holds already. Each byte of the
// script is one of these, its arguments follow.
//
// Through all of it a batch keeps to S2's limits, the records stay whole and in
// order, and the sequence numbers that the batches take follow each other
// without a hole: what is read at them is exactly what was packed.
func FuzzBatcher(f *testing.F) {
	f.Add([]byte{0, 1, 10, 4, 6, 5, 0, 2, 255, 7, 1, 3, 200})
	f.Add([]byte{4, 255, 4, 255, 4, 255, 4, 255, 4, 255, 6, 7, 3})      // above 1,000 records
	f.Add([]byte{2, 255, 2, 255, 5, 2, 255, 6, 6, 7, 0})                // above 1 MiB
	f.Add([]byte{3, 255, 3, 255, 3, 255, 7, 200, 6, 3, 1, 6})           // headers that encode to twice their size
	f.Add([]byte{1, 9, 8, 3, 1, 1, 6, 7, 1, 1, 1, 8, 1, 6, 6, 6, 6, 6}) // cut into chunks
	f.Add([]byte{1, 1, 8, 0, 7, 255, 8, 1, 6, 6, 6})                    // dropped half-way through the chunks
	f.Fuzz(func(t *testing.T, code []byte) {
		q := &queueModel{t: t}
		defer q.release()
		s := script(code)
		for steps := 0; len(s) > 0 && steps < 100 && q.bytes < 3<<20; steps++ {
			switch op := s.next() % 9; op {
			case 0:
				q.pack(filled(s.next()), nil)
			case 1:
				q.pack(filled(s.next()*100), filled(s.next()))
			case 2:
				q.pack(make([]byte, s.next()*4000), nil)
			case 3:
				q.flooded(s.next() * 300)
			case 4:
				for range s.next() {
					q.pack(nil, nil)
				}
			case 5:
				if n := len(q.queue); n > 0 {
					q.queue[n-1].Seal()
				}
			case 6:
				q.acknowledge()
			case 7:
				q.drop(s.next())
			case 8:
				q.pack(make([]byte, 1<<20+s.next()*4000), nil)
			}
			q.check()
		}
		for len(q.queue) > 0 {
			q.acknowledge()
		}
		if len(q.want) > 0 {
			t.Fatalf("%d records never left the queue", len(q.want))
		}
	})
}

// queueModel is a queue, and a list of what must be in it.
type queueModel struct {
	t      *testing.T
	queue  []*Batch
	want   []Record // packed, and neither acknowledged nor dropped
	offset int64
	seq    uint64 // of the queue's first record
	bytes  int
	reader Assembler // of the stream, up to seq
}

func (q *queueModel) pack(value, key []byte) {
	q.add(Record{Offset: q.offset, LeaderEpoch: int32(q.offset / 7), Timestamp: q.offset * 1000, Key: key, Value: value})
}

func (q *queueModel) flooded(headers int) {
	q.add(flood(Record{Offset: q.offset, LeaderEpoch: 1}, headers))
}

func (q *queueModel) add(r Record) {
	q.t.Helper()
	before := len(q.queue)
	queue, err := Pack(q.queue, &r, 0)
	if err != nil {
		q.t.Fatalf("refused: %v", err)
	}
	if len(queue) < before || !slices.Equal(queue[:before], q.queue) {
		q.t.Fatal("the queue that was is not the beginning of the one that is")
	}
	q.queue = queue
	q.want = append(q.want, r)
	q.bytes += measure(&r).metered
	q.offset += 1 + q.offset%3 // with gaps, as Kafka has them
}

// check looks at what every batch says of itself; acknowledge holds that to the
// bytes.
func (q *queueModel) check() {
	q.t.Helper()
	records := 0
	for i, b := range q.queue {
		if b.Count() > MaxRecords || b.Metered() > MaxMetered || len(b.Bytes()) > MaxEncoded {
			q.t.Fatalf("batch %d: %d records, metered %d, %d bytes", i, b.Count(), b.Metered(), len(b.Bytes()))
		}
		records += b.Records()
	}
	if records != len(q.want) {
		q.t.Fatalf("%d records are in the queue, %d should be", records, len(q.want))
	}
}

// acknowledge takes the first batch away: S2 has it at the next numbers.
func (q *queueModel) acknowledge() {
	q.t.Helper()
	if len(q.queue) == 0 {
		return
	}
	b := q.queue[0]
	b.Seal()
	stored := readBatches(q.t, q.queue[:1], q.seq) // which looks at its sizes
	q.seq += uint64(b.Count())
	got := yields(q.t, &q.reader, stored)
	if len(got) != b.Records() {
		q.t.Fatalf("a batch of %d records gave %d", b.Records(), len(got))
	}
	for i := range got {
		if !sameRecord(&got[i], &q.want[i]) {
			q.t.Fatalf("offset %d came where %d should", got[i].Offset, q.want[i].Offset)
		}
	}
	if first, last, ok := b.Span(); ok && (first != got[0].Offset || last != got[len(got)-1].Offset) {
		q.t.Fatalf("span %d to %d of %d to %d", first, last, got[0].Offset, got[len(got)-1].Offset)
	}
	q.want = q.want[len(got):]
	b.Release()
	q.queue = q.queue[1:]
}

// drop is a recovery that finds some of the records in the stream. Between the
// chunks of a record there is none: it comes back whole, or goes whole.
func (q *queueModel) drop(some int) {
	q.t.Helper()
	if len(q.want) == 0 || q.reader.group != nil {
		return
	}
	through := q.want[some*len(q.want)/256].Offset
	highest := int32(-1)
	for _, r := range q.want {
		if r.Offset <= through {
			highest = max(highest, r.LeaderEpoch)
		}
	}
	said := int32(-1)
	for _, b := range q.queue {
		said = max(said, b.EpochThrough(through))
		b.DropThrough(through)
	}
	if said != highest {
		q.t.Fatalf("highest epoch through %d is %d, said to be %d", through, highest, said)
	}
	q.want = q.want[slices.IndexFunc(append(q.want, Record{Offset: through + 1}), func(r Record) bool { return r.Offset > through }):]
	q.queue = slices.DeleteFunc(q.queue, func(b *Batch) bool {
		if b.Count() > 0 {
			return false
		}
		b.Release()
		return true
	})
}

func (q *queueModel) release() {
	for _, b := range q.queue {
		b.Release()
	}
}

// FuzzMetered compares what a batch says of its size with S2's own reckoning,
// twice: by S2's Go SDK, and by a server that counts for itself. A record of
// exactly 1 MiB goes, as one; another byte, and the server would refuse it.
func FuzzMetered(f *testing.F) {
	f.Add(int64(0), int32(0), int64(0), byte(0), []byte("k"), []byte("v"), []byte{}, "", false)
	f.Add(int64(1)<<40, int32(-1), int64(-1), byte(4), []byte{}, []byte{}, []byte{0xa0, 0x11, 0x00}, "fence~~0", true)
	f.Add(int64(7), int32(300), int64(1)<<50, byte(8), []byte("key"), []byte{}, []byte{0x21, 0x21, 0x21}, "abcdef", true)
	srv := s2mem.New(s2mem.Options{CreateStreamOnAppend: true, Discard: true})
	f.Cleanup(srv.Close)
	f.Fuzz(func(t *testing.T, offset int64, epoch int32, timestamp int64, flags byte, key, value, shape []byte, text string, fill bool) {
		r := fuzzRecord(offset, epoch, timestamp, flags, key, value, shape, text)
		r.Offset &^= -1 << 63
		r.TimestampType %= NoTimestampType + 1
		if measure(&r).metered > MaxMetered-64 {
			return
		}
		if fill {
			r.Value = make([]byte, len(r.Value)+MaxMetered-measure(&r).metered)
		}
		queue, err := Pack(nil, &r, 0)
		if err != nil || len(queue) != 1 {
			t.Fatalf("%d batches, %v", len(queue), err)
		}
		b := queue[0]
		defer b.Release()
		if sdk := sdkMetered(one(t, b)); b.Metered() != sdk || fill && sdk != MaxMetered {
			t.Fatalf("the batch says %d, S2's SDK %d", b.Metered(), sdk)
		}
		if code := appended(srv, b.Bytes()); code != http.StatusOK {
			t.Fatalf("the server answers %d to a batch of %d", code, b.Metered())
		}
		if !fill {
			return
		}
		r.Value = append(r.Value, 0)
		s := measure(&r)
		if code := appended(srv, appendPart(nil, &r, nil, r.Value, s)); code != http.StatusUnprocessableEntity {
			t.Fatalf("the server answers %d to a record of %d", code, s.metered)
		}
		if queue, err = Pack(nil, &r, 0); err == nil && len(queue) < 2 {
			t.Fatalf("a record of %d was not cut", s.metered)
		}
		for _, b := range queue {
			b.Release()
		}
	})
}

func sdkMetered(s Stored) int {
	r := s2.AppendRecord{Body: s.Body}
	for _, h := range s.Headers {
		r.Headers = append(r.Headers, s2.Header{Name: h.Name, Value: h.Value})
	}
	return int(s2.MeteredPayloadBytes(r))
}

// appended sends an AppendInput and gives the answer's status.
func appended(srv *s2mem.Server, input []byte) int {
	req := httptest.NewRequest(http.MethodPost, "/v1/streams/x/records", bytes.NewReader(input))
	req.Header.Set("s2-basin", s2mem.DefaultBasin)
	req.Header.Set("Content-Type", "application/protobuf")
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, req)
	return w.Code
}

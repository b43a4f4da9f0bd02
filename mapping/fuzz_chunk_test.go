package mapping

import (
	"errors"
	"testing"
)

// FuzzChunks packs a record of any size under any limit. Sizes are given, not
// bytes: value and key up to 4 MiB and 1 MiB, tiny headers up to 270,000.
//
// Whatever comes out keeps to S2's limits, reads back as one record and not
// before its last chunk, and survives being torn and begun anew; what is refused
// had to be.
func FuzzChunks(f *testing.F) {
	f.Add(int64(5), int32(1), int64(1000), uint32(MaxMetered-24), uint32(3), uint32(1), uint32(0), byte(0), uint16(1))
	f.Add(int64(0), int32(-1), int64(-1), uint32(MaxMetered-15), uint32(0), uint32(0), uint32(0), byte(0), uint16(0))
	f.Add(int64(1)<<62, int32(1<<30), int64(1)<<62, uint32(3<<20), uint32(1<<20-64), uint32(0), uint32(0), byte(0), uint16(2))
	f.Add(int64(7), int32(0), int64(0), uint32(1<<21), uint32(10), uint32(0), uint32(1<<21), byte(0), uint16(1))
	f.Add(int64(7), int32(0), int64(0), uint32(1<<21), uint32(10), uint32(0), uint32(0), byte(1), uint16(1))
	f.Add(int64(7), int32(0), int64(0), uint32(1000), uint32(0), uint32(262_130), uint32(0), byte(2), uint16(1))
	f.Fuzz(func(t *testing.T, offset int64, epoch int32, timestamp int64, value, key, headers, limit uint32, flags byte, torn uint16) {
		r := Record{Offset: offset, LeaderEpoch: epoch, Timestamp: timestamp, Value: filled(int(value % (4<<20 + 1)))}
		if n := key % (1<<20 + 65); n > 0 || flags&4 != 0 {
			r.Key = make([]byte, n)
		}
		if flags&2 != 0 {
			r = flood(r, int(headers%270_000))
		}
		if flags&8 != 0 {
			r.Value = nil
		}
		p := Packer{MaxRecord: int(limit % (6 << 20)), NoChunks: flags&1 != 0}
		queue, err := p.Pack(nil, &r, 0)
		whole := measure(&r)
		if err != nil {
			var refused *Refused
			if !errors.As(err, &refused) || len(queue) != 0 || refused.Size < refused.Limit {
				t.Fatalf("%v", err)
			}
			c := Chunk{Count: 2, Total: uint64(len(r.Value))}
			head := measurePart(&r, &c, 0) // at least
			switch {
			case r.Offset < 0:
			case p.MaxRecord > 0 && content(&r) > p.MaxRecord:
			case whole.metered > MaxMetered && p.NoChunks:
			case whole.metered > MaxMetered && (head.metered > MaxMetered-4 || head.wire() > MaxEncoded-4):
			case whole.metered <= MaxMetered && whole.wire() > MaxEncoded:
			default:
				t.Fatalf("refused without need: %v", err)
			}
			return
		}
		if p.MaxRecord > 0 && content(&r) > p.MaxRecord || p.NoChunks && len(queue) > 1 {
			t.Fatalf("%d bytes packed in %d batches with %+v", content(&r), len(queue), p)
		}
		if cut := len(queue) > 1; cut != (whole.metered > MaxMetered) {
			t.Fatalf("metered %d: %d batches", whole.metered, len(queue))
		}
		if len(queue) == 1 {
			var a Assembler
			if got := yields(t, &a, readBatches(t, queue, 0)); len(got) != 1 || !sameRecord(&got[0], &r) {
				t.Fatal("the record did not come back")
			}
		} else {
			checkTorn(t, &r, checkChunks(t, &r, queue), int(torn)%len(queue))
		}
		for _, b := range queue {
			b.Release()
		}
	})
}

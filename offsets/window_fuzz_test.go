package offsets

import "testing"

// FuzzProgress drives window and passes as an owner does, over a log of data
// and control records: batches are sent, acknowledged in order or claimed to be
// otherwise, taken back by a recovery and sent anew at other sequence numbers.
//
//	script   bit 0..2 what happens, the rest how much
//	log      a bit for each offset: data, or control
//
// Whatever happens, only the oldest batch's exact acknowledgement moves
// anything, the sequence numbers in flight have no hole, and a commit never
// names an offset with a data record below it that was not acknowledged.
func FuzzProgress(f *testing.F) {
	f.Add([]byte{0, 1, 2, 1, 3, 4, 0, 2}, []byte{0xff, 0x0f})
	f.Add([]byte{0x70, 0x71, 0x78, 3, 0x78, 2, 2, 2, 4}, []byte{0x55, 0x00, 0xff})
	f.Add([]byte{0xf8, 0xf8, 0xf8, 5, 2, 6, 2, 7, 2}, []byte{0x01})
	f.Add([]byte{1, 9, 17, 25, 33, 2, 2, 2, 2, 2}, []byte{0x00, 0x80})
	f.Fuzz(func(t *testing.T, script, log []byte) {
		data := func(offset int64) bool {
			return len(log) > 0 && log[offset/8%int64(len(log))]>>(offset%8)&1 == 1
		}
		type sent struct {
			start     uint64
			last      int64 // offset of its last data record
			n, weight int
		}
		var w Window[sent]
		var list []sent // what must be in it
		var p Passes
		var read, lastData, durable, position int64 = 0, -1, -1, 0
		next := uint64(0) // sequence number behind what is in flight
		acked := map[int64]bool{}
		pending := []int64{} // data offsets that were read and are not in flight
		for _, op := range script[:min(len(script), 100)] {
			size := int(op >> 3)
			switch op & 7 {
			case 0, 1: // Kafka serves some offsets
				for range size + 1 {
					if data(read) {
						lastData = read
						pending = append(pending, read)
					} else {
						p.Add(lastData, read+1)
					}
					read++
				}
			case 2: // the oldest batch is acknowledged
				if len(list) == 0 {
					break
				}
				oldest := list[0]
				got, err := w.Ack(oldest.start, oldest.start+uint64(oldest.n))
				if err != nil || got != oldest {
					t.Fatalf("ack of %+v: %+v, %v", oldest, got, err)
				}
				list = list[1:]
				durable = oldest.last
			case 3, 4: // an acknowledgement of something else
				start, end := next+uint64(size), next+uint64(size)+1
				if len(list) > 0 && size%2 == 0 {
					start, end = list[0].start, list[0].start+uint64(list[0].n)+1+uint64(size)
				}
				if got, err := w.Ack(start, end); err == nil {
					t.Fatalf("[%d, %d) was taken for an ack of %+v", start, end, got)
				}
			case 5: // a recovery: all comes back, to be sent behind a fence and an open marker
				for i, s := range w.Drain() {
					if s != list[i] {
						t.Fatalf("%+v came back for %+v", s, list[i])
					}
				}
				for i := len(list) - 1; i >= 0; i-- {
					var back []int64
					for o := durable + 1; o <= list[i].last; o++ {
						if data(o) && (i == 0 || o > list[i-1].last) {
							back = append(back, o)
						}
					}
					pending = append(back, pending...)
				}
				list, next = nil, next+2
			default: // send some
				n := min(size+1, len(pending))
				if n == 0 {
					break
				}
				s := sent{next, pending[n-1], n, size}
				pending = pending[n:]
				w.Push(s.start, s.n, s.weight, s)
				list, next = append(list, s), next+uint64(n)
			}
			bytes := 0
			for _, s := range list {
				bytes += s.weight
			}
			if w.Len() != len(list) || w.Bytes() != bytes {
				t.Fatalf("%d in flight of %d bytes, want %d of %d", w.Len(), w.Bytes(), len(list), bytes)
			}
			for o := int64(0); o <= durable; o++ {
				acked[o] = true
			}
			position = max(position, p.Through(durable))
			for o := range position {
				if data(o) && !acked[o] {
					t.Fatalf("a commit of %d counts offset %d, which is not there", position, o)
				}
			}
			if position < durable+1 || position > read {
				t.Fatalf("position %d with durable %d, read up to %d", position, durable, read)
			}
		}
	})
}

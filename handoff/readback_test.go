package handoff

import (
	"math/rand/v2"
	"testing"

	"kafka-s2-bridge/mapping"
)

// naive reads a whole stream forwards: what readback must find backwards.
//
//	records  fence open 0 1 2 fence [torn] mark T1
//	                      ^durable          ^next
func naive(records []mapping.Stored) (p position, fresh bool) {
	p, fresh = position{durable: -1, epoch: -1}, true
	newest := mapping.Position{Offset: -1, LeaderEpoch: -1} // data record that Kafka can be asked about
	var stop *mapping.Gap                                   // nothing below it can
	gapped := false                                         // a gap marker stands above newest
	told := uint64(0)                                       // behind stop
	for _, r := range records {
		e := mapping.Classify(r)
		if e.Kind == mapping.UnknownMark && !fresh {
			p.next = r.Seq + 1
		}
		offset, ok := e.Through()
		if !ok {
			continue
		}
		fresh, p.next, p.durable = false, r.Seq+1, offset
		switch {
		case e.Kind == mapping.Data:
			newest, stop, gapped = e.Position, nil, false
		case e.Kind == mapping.GapMark && (e.Gap.Reason == mapping.ReasonTruncation || e.Gap.To == e.Gap.From):
			newest, stop, gapped = mapping.Position{Offset: -1, LeaderEpoch: -1}, e.Gap, false
			told = r.Seq + 1
		case e.Kind == mapping.GapMark:
			gapped = true
		}
	}
	if newest.Offset >= 0 && (gapped || newest.Offset == p.durable) {
		p.epoch, p.base = newest.LeaderEpoch, newest.Offset
	}
	if stop != nil && stop.Reason == mapping.ReasonTruncation && stop.To-1 == p.durable {
		p.covered, p.since, p.told = true, stop.From, told
	}
	return p, fresh
}

// TestReadbackAgreesWithReadingForwards: whatever a stream of ours holds, and
// however S2 cuts its pages, the position is the same. One record more or less
// is a record lost or doubled.
func TestReadbackAgreesWithReadingForwards(t *testing.T) {
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		s := newStream()
		s.page = rnd.IntN(4)
		put := func(r ...mapping.Stored) {
			if _, err := s.append(r, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		offset, epoch := int64(rnd.IntN(3)), int32(1)
		put(fenceRecord("other"))
		opened := false
		for range rnd.IntN(60) {
			switch k := rnd.IntN(9); {
			case k == 0:
				put(fenceRecord("other"))
			case k == 1:
				put(openRecord(me, "g", offset, -1))
				opened = true
			case !opened:
			case k == 2:
				put(stored("~!", "colour", []byte("1")))
			case k == 3:
				put(chunkRecord(offset, epoch, 0, 3), chunkRecord(offset, epoch, 1, 3), fenceRecord("other"))
			case k == 4:
				put(chunkRecord(offset, epoch, 0, 2), chunkRecord(offset, epoch, 1, 2))
				offset++
			case k == 5 && rnd.IntN(3) == 0: // Kafka dropped what the stream holds
				put(gapRecord(max(offset-3, 0), offset, mapping.ReasonTruncation))
			case k == 5 && rnd.IntN(3) == 0: // adopted
				put(gapRecord(offset, offset, mapping.ReasonOperator))
			case k == 5:
				put(gapRecord(offset, offset+4, mapping.ReasonRetention))
				offset += 4
			case k == 6:
				put(trimRecord(0))
			default:
				epoch += int32(rnd.IntN(2))
				put(dataRecords(offset, epoch)...)
				offset += 1 + int64(rnd.IntN(2))
			}
		}
		put(fenceRecord("mine"))
		r := newReadback(lookForPosition, me, s.tail, "mine")
		f := readMore
		for steps := 0; f == readMore; steps++ {
			if steps > 500 {
				t.Fatalf("seed %d: no end", seed)
			}
			f, _, _ = r.feed(s.read(r.want()))
		}
		want, fresh := naive(s.records)
		switch {
		case fresh && f != foundFresh, !fresh && f != foundHere:
			t.Fatalf("seed %d: finding %d, fresh %t\n%s", seed, f, fresh, s)
		case !fresh && r.pos != want:
			t.Fatalf("seed %d: position %+v, want %+v\n%s", seed, r.pos, want, s)
		}
	}
}

// A hole in what was read (a trim between two pages) proves nothing of what is
// below it.
func TestReadbackStopsAtAHole(t *testing.T) {
	r := newReadback(lookForStart, me, 4, "")
	fence := fenceRecord("other")
	fence.Seq = 3
	data := dataRecords(9, 1)[0]
	data.Seq = 1
	if f, _, _ := r.feed([]mapping.Stored{data, fence}); f != foundGone {
		t.Errorf("finding %d", f)
	}
}

// A server that gives more than was asked for.
func TestReadbackPassesOverRecordsBelow(t *testing.T) {
	r := newReadback(lookForPosition, me, 10, "mine")
	var page []mapping.Stored
	for seq := range uint64(10) {
		rec := dataRecords(int64(seq), 1)[0]
		if seq == 9 {
			rec = fenceRecord("mine")
		}
		rec.Seq = seq
		page = append(page, rec)
	}
	if f, _, _ := r.feed(page); f != foundHere || r.pos.durable != 8 {
		t.Errorf("finding %d, position %+v", f, r.pos)
	}
}

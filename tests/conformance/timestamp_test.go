package conformance

import (
	"testing"
	"time"
)

// stamps appends one record for each timestamp (nil: none) and returns what was
// stored.
func (p *peer) stamps(t *testing.T, given ...*uint64) (stored []uint64) {
	t.Helper()
	for _, ts := range given {
		r := p.proto(t, batch{records: []rec{{timestamp: ts}}})
		want(t, r, 200, nil)
		a := decodeAck(t, []byte(r.body))
		if a.Start.Timestamp != a.End.Timestamp {
			t.Fatalf("timestamps of %+v", a)
		}
		stored = append(stored, a.Start.Timestamp)
	}
	return stored
}

func at(ts uint64) *uint64 { return &ts }

func now() uint64 { return uint64(time.Now().UnixMilli()) }

// near tells whether ts was given on arrival, since the time before.
func near(ts, before uint64) bool { return ts >= before && ts <= now() }

const hour = 3_600_000

var timestampCases = []testCase{
	{name: "timestamps are kept, capped and never fall", run: func(t *testing.T, p *peer) {
		before := now()
		got := p.stamps(t, at(5), at(before-hour), at(7), at(0), nil, at(before+hour), at(1<<63), at(5))
		if got[0] != 5 || got[1] != before-hour || got[2] != before-hour || got[3] != before-hour {
			t.Fatalf("stored %v", got)
		}
		for i := 4; i < 8; i++ {
			if !near(got[i], before) || got[i] < got[i-1] {
				t.Fatalf("record %d: stored %v", i, got)
			}
		}
	}},
	{name: "timestamps within a batch", run: func(t *testing.T, p *peer) {
		r := p.proto(t, batch{records: []rec{{timestamp: at(10)}, {timestamp: at(3)}, {timestamp: at(20)}, {timestamp: at(0)}}})
		want(t, r, 200, nil)
		if a := decodeAck(t, []byte(r.body)); a.Start.Timestamp != 10 || a.End.Timestamp != 20 || a.Tail.Timestamp != 20 {
			t.Fatalf("ack %+v", a)
		}
		got, _ := decodeBatch(t, []byte(p.read(t, "seq_num=0", "Accept", "application/protobuf").body))
		for i, ts := range []uint64{10, 10, 20, 20} {
			if got[i].Timestamp != ts {
				t.Fatalf("record %d has timestamp %d, want %d", i, got[i].Timestamp, ts)
			}
		}
	}},
	{name: "timestamping client-require", missing: true, run: func(t *testing.T, p *peer) {
		p.create(t, p.name, `{"timestamping":{"mode":"client-require"}}`)
		const missing = "record timestamp was required but was missing"
		wantCode(t, p.append(t, `{"records":[{"timestamp":1},{}]}`), 422, "invalid", missing)
		p.wantTail(t, 0)
		s := p.open(t)
		s.send(batch{records: []rec{{timestamp: at(4)}}}, one("a"), batch{records: []rec{{timestamp: at(5)}}})
		s.wantAck(t, 0, 1)
		s.wantEnd(t, 422, `{"code":"invalid","message":"`+missing+`"}`)
		p.wantTail(t, 1)
	}},
	{name: "timestamping arrival", missing: true, run: func(t *testing.T, p *peer) {
		p.create(t, p.name, `{"timestamping":{"mode":"arrival"}}`)
		before := now()
		for i, ts := range p.stamps(t, at(5), nil, at(before+hour)) {
			if !near(ts, before) {
				t.Fatalf("record %d has timestamp %d", i, ts)
			}
		}
	}},
	{name: "timestamps uncapped pin what follows", missing: true, run: func(t *testing.T, p *peer) {
		p.create(t, p.name, `{"timestamping":{"uncapped":true}}`)
		later := now() + hour
		got := p.stamps(t, at(5), at(later), nil, at(7), at(1<<63), nil)
		for i, ts := range []uint64{5, later, later, later, 1 << 63, 1 << 63} {
			if got[i] != ts {
				t.Fatalf("stored %v, want %d at %d", got, ts, i)
			}
		}
	}},
}

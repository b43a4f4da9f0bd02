//go:build synctests

package bubble

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"kafka-s2-bridge/tests/network/bed"
	"kafka-s2-bridge/tests/oracle/produce"
)

// plan is all that a seed decides.
type plan struct {
	seed    uint64
	brokers int
	bridges int
	static  bool // members have instance ids
	topics  []produce.Topic
	records int
	over    time.Duration // of the load, and of the faults
	tx      float64       // share of transactions
	large   map[int]int   // record number -> bytes of its value
	slow    time.Duration // longest delay of a link
	flush   time.Duration // of s2mem
	create  bool          // s2mem creates streams that are appended to
	setup   bed.Setup     // the settings in it
	faults  []strike
}

// strike is one fault of a plan.
type strike struct {
	number int
	at     time.Duration
	kind   *kind
}

const maxRecord = 4 << 20

func newPlan(seed uint64) *plan {
	rng := rand.New(rand.NewPCG(seed, 0))
	p := &plan{
		seed:    seed,
		brokers: 1 + rng.IntN(3),
		bridges: pick(rng, 1, 2, 2, 3),
		static:  rng.IntN(6) == 0,
		records: 100 + min(rng.IntN(400), rng.IntN(400)),
		over:    time.Duration(2000+rng.IntN(4000)) * time.Millisecond,
		tx:      pick(rng, 0, 0.3, 0.6),
		large:   map[int]int{},
		slow:    pick(rng, 0, 0, 3*time.Millisecond, 40*time.Millisecond),
		flush:   pick(rng, 0, 0, 5*time.Millisecond, 50*time.Millisecond),
		create:  rng.IntN(4) == 0,
		setup: bed.Setup{
			Group: "bridge", Session: pick(rng, 6*time.Second, 6*time.Second, 10*time.Second), MetadataAge: 10 * time.Second,
			Drain:      pick(rng, time.Second, 8*time.Second),
			AckTimeout: pick(rng, time.Second, 3*time.Second, 10*time.Second), RequestTimeout: pick(rng, time.Second, 3*time.Second, 10*time.Second),
			Linger: pick(rng, 0, 5*time.Millisecond), IdleClose: pick(rng, 200*time.Millisecond, 30*time.Second),
			BackoffMax: pick(rng, time.Second, 5*time.Second), Connections: 1 + rng.IntN(3), BatchesPerSecond: pick(rng, 0.0, 0, 0, 200, 50),
			MaxInflightBytes: pick(rng, 2000, 100_000, 5<<20), MaxInflightBatches: pick(rng, 1, 2, 8, 64),
			MaxRecordBytes: maxRecord, Budget: pick(rng, 50_000, 64<<20),
		},
	}
	parts := int32(2 + min(rng.IntN(15), rng.IntN(15)))
	if first := 1 + rng.Int32N(parts); first < parts && rng.IntN(3) == 0 {
		p.topics = []produce.Topic{{Name: "orders", Partitions: first}, {Name: "audit", Partitions: parts - first}}
	} else {
		p.topics = []produce.Topic{{Name: "orders", Partitions: parts}}
	}
	if rng.IntN(15) == 0 {
		p.large[rng.IntN(p.records)] = 1_000_000 + rng.IntN(1_600_000)
	}
	long := rng.IntN(5) == 0
	if long { // time for sessions to expire
		p.over += time.Duration(6000+rng.IntN(6000)) * time.Millisecond
		early := time.Duration(rng.Int64N(int64(p.over / 4)))
		p.faults = append(p.faults, strike{number: 100, at: early, kind: pick(rng, zombieKinds()...)})
	}
	for i := range 5 + min(rng.IntN(26), rng.IntN(26)) {
		k := kinds[rng.IntN(len(kinds))]
		if i == 0 && rng.IntN(3) > 0 { // most runs see partitions change hands
			k = pick(rng, bridgeKinds()...)
		}
		p.faults = append(p.faults, strike{number: i, at: time.Duration(rng.Int64N(int64(p.over))), kind: k})
	}
	slices.SortStableFunc(p.faults, func(a, b strike) int { return int(a.at - b.at) })
	return p
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

func (p *plan) String() string {
	s := p.setup
	return fmt.Sprintf("%d brokers, %d bridges (static %v), %v, %d records in %v, %.0f%% in transactions, large %v; links up to %v, flush %v, create on append %v; session %v, drain %v, ack %v, request %v, idle %v, back-off %v, %d connections, %v batches/s, window %d bytes %d batches, budget %d",
		p.brokers, p.bridges, p.static, p.topics, p.records, p.over, 100*p.tx, p.large, p.slow, p.flush, p.create,
		s.Session, s.Drain, s.AckTimeout, s.RequestTimeout, s.IdleClose, s.BackoffMax, s.Connections, s.BatchesPerSecond, s.MaxInflightBytes, s.MaxInflightBatches, s.Budget)
}

package produce

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
)

// Options of a run.
type Options struct {
	Kafka      []kgo.Opt // how to reach it: seed brokers, dialer, security
	Shapes     *Shapes
	Ledger     *oracle.Ledger
	Records    int     // how many are to be visible to a read_committed consumer in the end; aborted ones come on top
	Rate       float64 // records a second; 0: as fast as it goes
	TxShare    float64 // share of the bursts that go through a transaction, 0 to 1
	AbortShare float64 // share of the transactions that are aborted, 0 to 1
	ID         string  // transactional id; default "produce"
	First      uint64  // number of the first record, to continue an earlier run
}

// Summary of a run.
type Summary struct {
	Visible      int // acknowledged, not aborted
	Aborted      int
	Transactions int
	Bytes        int64  // of all keys and values
	Next         uint64 // number behind the last record
	Elapsed      time.Duration
}

var codecs = []kgo.CompressionCodec{
	kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
}

// Run produces bursts of 1 to 800 records until enough are visible, and returns when all are acknowledged and every
// transaction has ended. When ctx ends it stops early, with its cause as the error; transactions are ended also then.
func Run(ctx context.Context, o Options) (Summary, error) {
	p := &run{Options: o, next: o.First, rng: rand.New(rand.NewPCG(o.Shapes.Seed, 1<<63)), began: time.Now()}
	defer p.close()
	if p.ID == "" {
		p.ID = "produce"
	}
	for _, codec := range codecs {
		cl, err := p.client(codec)
		if err != nil {
			return p.Summary, err
		}
		p.plain = append(p.plain, cl)
	}
	var err error
	if p.transactional, err = p.client(kgo.Lz4Compression(), kgo.TransactionalID(p.ID)); err != nil {
		return p.Summary, err
	}
	for p.Visible < o.Records && err == nil {
		n := min(1+p.rng.IntN(800), o.Records-p.Visible)
		if p.rng.Float64() < o.TxShare {
			err = p.transaction(ctx, n)
		} else {
			p.burst(ctx, n)
		}
		if err == nil {
			err = p.pace(ctx)
		}
	}
	for _, cl := range p.plain {
		err = errors.Join(err, cl.Flush(ctx))
	}
	p.Next, p.Elapsed = p.next, time.Since(p.began)
	if first := p.fails.get(); err == nil && first != nil {
		err = fmt.Errorf("produce: %w", first)
	}
	return p.Summary, err
}

// run is the state of one Run.
type run struct {
	Options
	Summary
	plain         []*kgo.Client // by codec
	transactional *kgo.Client
	rng           *rand.Rand
	next          uint64
	began         time.Time
	fails         failure
}

func (p *run) client(codec kgo.CompressionCodec, more ...kgo.Opt) (*kgo.Client, error) {
	opts := append([]kgo.Opt{}, p.Kafka...)
	opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec),
		kgo.ProducerBatchMaxBytes(int32(p.Shapes.batchBytes()-1000)))
	cl, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("producer: %w", err)
	}
	return cl, nil
}

func (p *run) close() {
	for _, cl := range p.plain {
		cl.Close()
	}
	if p.transactional != nil {
		p.transactional.Close()
	}
}

// send produces the next record; the ledger learns what became of it.
func (p *run) send(ctx context.Context, cl *kgo.Client, tx int32) {
	r := p.Shapes.Record(p.next)
	p.next++
	p.Bytes += int64(len(r.Key) + len(r.Value))
	cl.Produce(ctx, r, func(r *kgo.Record, err error) {
		p.Ledger.Produced(r, tx, err)
		if err != nil {
			p.fails.note(err)
		}
	})
}

func (p *run) burst(ctx context.Context, n int) {
	cl := p.plain[p.rng.IntN(len(p.plain))]
	for range n {
		p.send(ctx, cl, 0)
	}
	p.Visible += n
}

// transaction produces n records in one transaction; half of the time others write between its two halves.
func (p *run) transaction(ctx context.Context, n int) error {
	tx := p.Ledger.Begin()
	if err := p.transactional.BeginTransaction(); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	p.Transactions++
	for range n / 2 {
		p.send(ctx, p.transactional, tx)
	}
	if p.rng.IntN(2) == 0 {
		p.burst(ctx, min(1+p.rng.IntN(200), max(0, p.Records-p.Visible-n)))
	}
	for range n - n/2 {
		p.send(ctx, p.transactional, tx)
	}
	commit, outcome := kgo.TryCommit, oracle.Committed
	if p.rng.Float64() < p.AbortShare {
		commit, outcome = kgo.TryAbort, oracle.Aborted
	}
	if err := p.transactional.Flush(ctx); err != nil {
		commit, outcome = kgo.TryAbort, oracle.Aborted
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := p.transactional.EndTransaction(end, commit); err != nil {
		p.Ledger.End(tx, oracle.Unknown)
		return fmt.Errorf("end transaction: %w", err)
	}
	p.Ledger.End(tx, outcome)
	if outcome == oracle.Committed {
		p.Visible += n
	} else {
		p.Aborted += n
	}
	return nil
}

// pace waits until the rate allows more.
func (p *run) pace(ctx context.Context) error {
	wait := time.Duration(0)
	if p.Rate > 0 {
		wait = time.Until(p.began.Add(time.Duration(float64(p.next-p.First) / p.Rate * float64(time.Second))))
	}
	timer := time.NewTimer(max(0, wait))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

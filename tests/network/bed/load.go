package bed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/produce"
)

// Load produces records of all shapes in small bursts, spread over a time.
type Load struct {
	Kafka      []kgo.Opt // how to reach it, undisturbed
	Shapes     *produce.Shapes
	Ledger     *oracle.Ledger
	Rand       *rand.Rand
	Records    int           // aborted ones included
	Over       time.Duration // how long it takes
	TxShare    float64       // of the bursts
	AbortShare float64       // of the transactions
	Large      map[int]int   // record number -> bytes of its value
	MaxBatch   int           // bytes of the largest batch

	plain, tx *kgo.Client
}

// Open connects. Close must follow.
func (l *Load) Open() (err error) {
	opts := append([]kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(int32(l.MaxBatch)), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()), kgo.MetadataMinAge(100 * time.Millisecond),
	}, l.Kafka...)
	if l.plain, err = kgo.NewClient(opts...); err != nil {
		return fmt.Errorf("producer: %w", err)
	}
	if l.tx, err = kgo.NewClient(append(opts, kgo.TransactionalID("load"), kgo.TransactionTimeout(5*time.Second))...); err != nil {
		l.plain.Close()
		return fmt.Errorf("transactional producer: %w", err)
	}
	return nil
}

// Close ends the clients.
func (l *Load) Close() {
	l.plain.Close()
	l.tx.Close()
}

// Run returns when everything is handed over and no transaction is open. Flush
// must follow.
func (l *Load) Run(ctx context.Context) error {
	began := time.Now()
	for n := 0; n < l.Records; {
		burst := min(1+l.Rand.IntN(max(2, l.Records/6)), l.Records-n)
		if l.Rand.Float64() < l.TxShare {
			if err := l.transaction(ctx, n, burst); err != nil {
				return err
			}
		} else {
			l.send(ctx, l.plain, 0, n, burst)
		}
		n += burst
		due := began.Add(time.Duration(float64(l.Over) * float64(n) / float64(l.Records)))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Produce adds a record of the caller's. It does not wait.
func (l *Load) Produce(r *kgo.Record) {
	l.plain.Produce(context.Background(), r, func(r *kgo.Record, err error) { l.Ledger.Produced(r, 0, err) })
}

// Flush waits until Kafka has acknowledged everything.
func (l *Load) Flush(ctx context.Context) error {
	if err := l.plain.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

func (l *Load) send(ctx context.Context, cl *kgo.Client, tx int32, first, count int) {
	for n := first; n < first+count; n++ {
		r := l.Shapes.Record(uint64(n))
		if size, ok := l.Large[n]; ok {
			r.Value = make([]byte, size)
			for i := range r.Value {
				r.Value[i] = byte(i * (n + i>>8))
			}
		}
		cl.Produce(ctx, r, func(r *kgo.Record, err error) { l.Ledger.Produced(r, tx, err) })
	}
}

func (l *Load) transaction(ctx context.Context, first, count int) error {
	if err := l.tx.BeginTransaction(); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	number := l.Ledger.Begin()
	l.send(ctx, l.tx, number, first, count)
	commit, outcome := kgo.TryCommit, oracle.Committed
	if l.Rand.Float64() < l.AbortShare {
		commit, outcome = kgo.TryAbort, oracle.Aborted
	}
	if err := l.tx.Flush(ctx); err != nil {
		return fmt.Errorf("flush transaction: %w", err)
	}
	if err := l.tx.EndTransaction(ctx, commit); err != nil {
		l.Ledger.End(number, oracle.Unknown)
		return fmt.Errorf("end transaction: %w", err)
	}
	l.Ledger.End(number, outcome)
	return nil
}

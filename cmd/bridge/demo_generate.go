package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/produce"
)

// Shares of bursts that are transactions, and of these that are aborted.
const demoTxShare, demoAbortShare = 0.4, 0.25

// generator writes records of all shapes into the stage's topic, in parts: each
// part is complete, acknowledged and without an open transaction, when produce
// returns. For one goroutine.
//
//	a part:  edges   [ plain | begin ... abort | begin plain commit ]
//	         others  [ bursts, transactions, aborted ones, all codecs ]
type generator struct {
	stage  *stage
	seed   uint64
	ledger *oracle.Ledger

	parts        uint64
	next         uint64 // number of the next record between the edges
	edge         uint64 // number of the next edge record
	large        int    // visible ones
	visible      int
	aborted      atomic.Int64 // the screen looks at it meanwhile
	transactions int

	plain, transactional *kgo.Client // of the edges; nil until the first part
}

func newGenerator(s *stage, seed uint64) *generator {
	return &generator{stage: s, seed: seed, ledger: oracle.NewLedger()}
}

// close must come when nothing is produced any more.
func (g *generator) close() {
	for _, client := range []*kgo.Client{g.plain, g.transactional} {
		if client != nil {
			client.Close()
		}
	}
}

// shapes of a part. Every part has a seed of its own: with the same one each
// would draw the same bursts and transactions.
func (g *generator) shapes() *produce.Shapes {
	return demoShapes(g.seed+g.parts*1_000_003, g.stage.topic, g.stage.partitions)
}

// edgesIn says how many of a part's records are edges: all shapes twice, but no
// more than a tenth, unless the part has fewer than ten.
func edgesIn(records int) int {
	return min(max(records/10, min(records, 1)), 2*len(edgeShapes))
}

// produce writes until so many more records are visible to a consumer. rate is
// in records a second, 0: as fast as it goes.
func (g *generator) produce(ctx context.Context, records int, rate float64) error {
	err := g.produceEdges(ctx, edgesIn(records))
	if rest := records - edgesIn(records); err == nil && rest > 0 {
		var sum produce.Summary
		sum, err = produce.Run(ctx, produce.Options{
			Kafka: g.stage.kafkaOptions(), Shapes: g.shapes(), Ledger: g.ledger, ID: g.stage.group,
			Records: rest, Rate: rate, TxShare: demoTxShare, AbortShare: demoAbortShare, First: g.next,
		})
		g.next = sum.Next
		g.visible += sum.Visible
		g.aborted.Add(int64(sum.Aborted))
		g.transactions += sum.Transactions
	}
	g.parts++
	if err != nil {
		return fmt.Errorf("records cannot be written to %s: %w", g.stage.broker, err)
	}
	return nil
}

// produceEdges writes n edge records that are visible, the same ones in a
// transaction that is aborted, and half of the visible ones around and behind that.
func (g *generator) produceEdges(ctx context.Context, n int) error {
	if err := g.open(); err != nil {
		return err
	}
	records, larges := g.edgeRecords(n)
	w := &writer{ctx: ctx, ledger: g.ledger}
	before, behind := records[:(n+1)/2], records[(n+1)/2:]
	w.send(g.plain, 0, before...)
	w.flush(g.plain)

	copies := twins(records, g.parts == 0)
	w.transaction(g.transactional, kgo.TryAbort, func(tx int32) { w.send(g.transactional, tx, copies...) })
	if w.err == nil {
		g.aborted.Add(int64(len(copies)))
	}
	w.transaction(g.transactional, kgo.TryCommit, func(tx int32) {
		w.send(g.transactional, tx, behind[:(len(behind)+1)/2]...)
		w.send(g.plain, 0, behind[(len(behind)+1)/2:]...)
		w.flush(g.plain)
	})
	g.transactions += w.transactions
	if w.err == nil {
		g.visible += n
		g.large += larges
	}
	return w.err
}

// edgeRecords are the next n.
func (g *generator) edgeRecords(n int) (records []*kgo.Record, larges int) {
	for range n {
		room := isLarge(g.edge) && larges < largePerPart && (g.large+larges)*largeEvery <= g.visible
		records = append(records, edgeRecord(g.seed, g.edge, g.stage.topic, g.stage.partitions, room))
		if room {
			larges++
		}
		g.edge++
	}
	return records, larges
}

// twins are copies that must not be found in S2. Large ones are left out, but
// for those of the first part.
func twins(records []*kgo.Record, large bool) (out []*kgo.Record) {
	for _, r := range records {
		if large || len(r.Value) <= largeValue {
			out = append(out, &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp})
		}
	}
	return out
}

// open makes the two producers.
func (g *generator) open() (err error) {
	if g.plain != nil {
		return nil
	}
	client := func(more ...kgo.Opt) (*kgo.Client, error) {
		return kgo.NewClient(append(append(g.stage.kafkaOptions(), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.ProducerBatchMaxBytes(maxBatch-1000)), more...)...)
	}
	if g.plain, err = client(kgo.ProducerBatchCompression(kgo.NoCompression())); err != nil {
		return err
	}
	g.transactional, err = client(kgo.TransactionalID(g.stage.group+"-edges"), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	return err
}

// writer sends records and tells the ledger. After its first error it does
// nothing but abort the transaction that is open.
type writer struct {
	ctx    context.Context
	ledger *oracle.Ledger

	transactions int

	mu  sync.Mutex // guards err while records are under way
	err error
}

func (w *writer) failed(err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	return w.err != nil
}

func (w *writer) send(client *kgo.Client, tx int32, records ...*kgo.Record) {
	if w.failed(nil) {
		return
	}
	for _, r := range records {
		client.Produce(w.ctx, r, func(r *kgo.Record, err error) {
			w.ledger.Produced(r, tx, err)
			w.failed(err)
		})
	}
}

// flush waits for what was sent. It fails with the context only.
func (w *writer) flush(client *kgo.Client) { w.failed(client.Flush(w.ctx)) }

// transaction runs work in one, and ends it as it is told, also when the context has ended.
func (w *writer) transaction(client *kgo.Client, end kgo.TransactionEndTry, work func(tx int32)) {
	if w.failed(nil) || w.failed(client.BeginTransaction()) {
		return
	}
	w.transactions++
	tx, outcome := w.ledger.Begin(), oracle.Committed
	work(tx)
	w.flush(client)
	if end == kgo.TryAbort || w.failed(nil) {
		end, outcome = kgo.TryAbort, oracle.Aborted
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), time.Minute)
	defer cancel()
	if err := client.EndTransaction(ctx, end); err != nil {
		outcome = oracle.Unknown
		w.failed(err)
	}
	w.ledger.End(tx, outcome)
}

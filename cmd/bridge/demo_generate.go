package main

import (
	"context"
	"fmt"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/produce"
)

const (
	// Shares of bursts that are transactions, and of these that are aborted.
	demoTxShare, demoAbortShare = 0.4, 0.25
	// maxDemoValue in bytes: some large ones among many small ones, since all
	// of it stays in memory twice.
	maxDemoValue = 60_000
)

// generator writes records of all shapes into the stage's topic, in parts: each
// part is complete, acknowledged and without an open transaction, when produce
// returns. For one goroutine.
type generator struct {
	stage  *stage
	seed   uint64
	ledger *oracle.Ledger

	parts        uint64
	next         uint64 // number of the next record
	visible      int
	aborted      int
	transactions int
}

func newGenerator(s *stage, seed uint64) *generator {
	return &generator{stage: s, seed: seed, ledger: oracle.NewLedger()}
}

// shapes of a part. Every part has a seed of its own: with the same one each
// would draw the same bursts and transactions.
func (g *generator) shapes() *produce.Shapes {
	return demoShapes(g.seed+g.parts*1_000_003, g.stage.topic, g.stage.partitions)
}

func demoShapes(seed uint64, topic string, partitions int32) *produce.Shapes {
	return &produce.Shapes{Seed: seed, Topics: []produce.Topic{{Name: topic, Partitions: partitions}}, MaxValue: maxDemoValue}
}

// produce writes until so many more records are visible to a consumer. rate is
// in records a second, 0: as fast as it goes.
func (g *generator) produce(ctx context.Context, records int, rate float64) error {
	sum, err := produce.Run(ctx, produce.Options{
		Kafka: g.stage.kafkaOptions(), Shapes: g.shapes(), Ledger: g.ledger, ID: g.stage.group,
		Records: records, Rate: rate, TxShare: demoTxShare, AbortShare: demoAbortShare, First: g.next,
	})
	g.parts++
	g.next = sum.Next
	g.visible += sum.Visible
	g.aborted += sum.Aborted
	g.transactions += sum.Transactions
	if err != nil {
		return fmt.Errorf("records cannot be written to %s: %w", g.stage.broker, err)
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"kafka-s2-bridge/handoff"
)

// operatedBridge is a bridge as its operators see it, without Kafka and S2.
type operatedBridge struct {
	mu    sync.Mutex
	list  []partition
	took  []string               // answers that were taken
	fails map[string]error       // what Resume says, by partition
	meant func(id string, b any) // called by Resume first; may be nil
}

func (b *operatedBridge) Ready() (bool, []string) { return true, nil }

func (b *operatedBridge) Partitions() []partition {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.list)
}

func (b *operatedBridge) Resume(ctx context.Context, topic string, number int32, a handoff.Answer) error {
	id := fmt.Sprintf("%s/%d", topic, number)
	if b.meant != nil {
		b.meant(id, b)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.fails[id]; err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	b.took = append(b.took, id+" "+string(a))
	return nil
}

func (b *operatedBridge) answers() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.took)
}

// heldPartition is one that stands still.
func heldPartition(topic string, number int32, h handoff.Hold) partition {
	p := partition{
		Topic: topic, Partition: number, Stream: fmt.Sprintf("%s/%d", topic, number), State: "held",
		Durable: 9, Position: 10, Sequence: 12, LastStable: 30, HighWatermark: 30, Lag: 20,
	}
	p.holdOf(h, false)
	return p
}

// threePartitions: one flows, one lost records, one has a rival.
func threePartitions() *operatedBridge {
	flowing := partition{
		Topic: "orders", Partition: 0, Stream: "orders/0", State: "flowing", Durable: 1233, Position: 1234, Sequence: 1300,
		LastStable: 1234, HighWatermark: 1240, Lag: 0, Blocked: "a transaction is open since 12:00", Held: 77,
	}
	flowing.holdOf(handoff.Hold{}, false)
	return &operatedBridge{
		list: []partition{
			flowing,
			heldPartition("orders", 1, handoff.Hold{Reason: handoff.RetentionLost, Detail: "Kafka's log begins at offset 20; " + planted, From: 10, To: 20}),
			heldPartition("pay.ments_v-2", 7, handoff.Hold{Reason: handoff.Rival, Detail: "somebody took it over 3 times"}),
		},
		fails: map[string]error{},
	}
}

var errStuck = errors.New(`"gap" does not fit: the partition is held (truncated)`)

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/source"
)

var _ Operated = (*process)(nil)

// Ready says whether everything that should flow does.
func (b *process) Ready() (ok bool, reasons []string) {
	src := b.source.Load()
	if src == nil {
		reasons = append(reasons, "the consumer group is about to be joined")
	} else {
		_, reasons = src.Ready()
		reasons = append(reasons, holdsAmong(b.Partitions())...)
	}
	if trouble := b.s2.Trouble(); trouble != "" {
		reasons = append(reasons, trouble)
	}
	return len(reasons) == 0, reasons
}

// holdsAmong tells of the partitions that are held, what can be done about it, and
// what to type.
func holdsAmong(list []partition) (reasons []string) {
	for _, p := range list {
		if p.Reason != "" {
			reasons = append(reasons, fmt.Sprintf("%s is held (%s): %s. %s To answer: %s",
				p.id(), p.Reason, strings.TrimSuffix(p.Detail, "."), p.Next, howToResume(p.id(), p.Accepts)))
		}
	}
	return reasons
}

// Partitions lists what the group gives to this process.
func (b *process) Partitions() []partition {
	src := b.source.Load()
	if src == nil {
		return nil
	}
	status := src.Status()
	list := make([]partition, len(status))
	for i, s := range status {
		list[i] = b.view(s)
	}
	return list
}

func (b *process) view(s source.PartitionStatus) partition {
	p := partition{
		Topic: s.Topic, Partition: s.Partition, Stream: b.streamOf(s.Topic, s.Partition),
		State: s.Phase, Trouble: s.Trouble,
		Durable: s.Durable, Position: s.Position, Sequence: s.Next,
		LastStable: s.LastStable, HighWatermark: s.HighWatermark, Lag: s.Lag,
		Blocked: s.Blocked, Held: s.HeldBytes,
	}
	p.holdOf(s.Hold, perTopicID(b.cfg.Stream.Name))
	return p
}

// Resume gives an operator's answer to the hold of a partition.
func (b *process) Resume(ctx context.Context, topic string, number int32, a handoff.Answer) error {
	src := b.source.Load()
	if src == nil {
		return errNotAssigned
	}
	err := src.Resume(ctx, topic, number, a)
	if errors.Is(err, source.ErrNotAssigned) {
		return errNotAssigned
	}
	return err
}

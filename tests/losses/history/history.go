// Package history remembers what Kafka served, for the time when Kafka has it no more.
//
//	Kafka --Keep, Keep, ...--> History: of two records with one offset the first counts
//	                              |  Served: what a stream must hold of one partition, until an offset
//	                              v
//	stream --Section, Gaps--> the oracle
//
// It knows no code of the bridge.
package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
)

// History is all that was kept of a cluster. It is for one goroutine at a time.
type History struct {
	kafka   []kgo.Opt
	records map[oracle.Identity][]oracle.Record
}

// New is empty. The options say how to reach Kafka.
func New(kafka ...kgo.Opt) *History {
	return &History{kafka: kafka, records: map[oracle.Identity][]oracle.Record{}}
}

// Keep adds what a read_committed consumer gets of the topics now.
func (h *History) Keep(ctx context.Context, topics ...string) error {
	client, err := kgo.NewClient(h.kafka...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	meta, err := admin.Metadata(ctx, topics...)
	if err != nil {
		return fmt.Errorf("kafka metadata: %w", err)
	}
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err = errors.Join(err, starts.Error()); err != nil {
		return fmt.Errorf("kafka log starts: %w", err)
	}
	ends, err := admin.ListCommittedOffsets(ctx, topics...)
	if err = errors.Join(err, ends.Error()); err != nil {
		return fmt.Errorf("kafka last stable offsets: %w", err)
	}
	from, left := map[string]map[int32]kgo.Offset{}, map[oracle.Identity]int64{}
	starts.Each(func(o kadm.ListedOffset) {
		if end, ok := ends.Lookup(o.Topic, o.Partition); ok && end.Offset > o.Offset {
			if from[o.Topic] == nil {
				from[o.Topic] = map[int32]kgo.Offset{}
			}
			from[o.Topic][o.Partition] = kgo.NewOffset().At(o.Offset)
			left[identity(meta, o.Topic, o.Partition)] = end.Offset
		}
	})
	if len(left) == 0 {
		return nil
	}
	reader, err := kgo.NewClient(append(slices.Clip(h.kafka), kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset().AtStart()))...)
	if err != nil {
		return fmt.Errorf("kafka reader: %w", err)
	}
	defer reader.Close()
	for len(left) > 0 {
		fetches := reader.PollFetches(ctx)
		if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
			return fmt.Errorf("read kafka: %w", err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			id := identity(meta, r.Topic, r.Partition)
			end, ok := left[id]
			if ok && r.Offset < end && !r.Attrs.IsControl() {
				h.note(id, oracle.FromKafka(r))
			}
			if ok && r.Offset >= end-1 {
				delete(left, id)
			}
		})
	}
	return nil
}

func identity(meta kadm.Metadata, topic string, partition int32) oracle.Identity {
	return oracle.Identity{Cluster: meta.Cluster, Topic: topic, TopicID: meta.Topics[topic].ID, Partition: partition}
}

func (h *History) note(id oracle.Identity, r oracle.Record) {
	i, known := slices.BinarySearchFunc(h.records[id], r.Offset, func(have oracle.Record, offset int64) int { return int(have.Offset - offset) })
	if !known {
		h.records[id] = slices.Insert(h.records[id], i, r)
	}
}

// Len is how many records of a partition were kept.
func (h *History) Len(id oracle.Identity) int { return len(h.records[id]) }

// Served is what a stream must hold of a partition below an offset; 0: of all that was kept.
func (h *History) Served(id oracle.Identity, before int64) (*oracle.Served, error) {
	kept := h.records[id]
	if n := len(kept); before == 0 && n > 0 {
		before = kept[n-1].Offset + 1
	}
	served := oracle.NewServed(id, 0, before)
	for _, r := range kept {
		if r.Offset < before {
			if err := served.Add(r); err != nil {
				return nil, err
			}
		}
	}
	return served, nil
}

// Section is a part of a stream, counted from 0: the records from sequence number `from` on, and below `to` (0: all).
func Section(stream []oracle.Stored, from, to uint64) (part []oracle.Stored) {
	for _, s := range stream {
		if s.Seq >= from && (to == 0 || s.Seq < to) {
			part = append(part, s)
		}
	}
	for i := len(part) - 1; i >= 0; i-- {
		part[i].Seq -= part[0].Seq
	}
	return part
}

// All is how the oracle takes a stream.
func All(stream []oracle.Stored) iter.Seq2[oracle.Stored, error] {
	return func(yield func(oracle.Stored, error) bool) {
		for _, s := range stream {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// Gap is a gap marker, or a line of `bridge gaps`: the offsets [From, To).
type Gap struct {
	From   int64  `json:"from"`
	To     int64  `json:"to"`
	Reason string `json:"reason"`
}

// Gaps lists the gap markers of a stream, those too that name nothing: they are none to the oracle.
func Gaps(stream []oracle.Stored) (list []Gap) {
	for _, s := range stream {
		if g, ok := AsGap(s); ok {
			list = append(list, g)
		}
	}
	return list
}

// AsGap reads a stored record as a gap marker.
func AsGap(s oracle.Stored) (g Gap, ok bool) {
	if len(s.Headers) != 1 || string(s.Headers[0].Name) != "~!" || string(s.Headers[0].Value) != "gap" {
		return g, false
	}
	return g, json.Unmarshal(s.Body, &g) == nil
}

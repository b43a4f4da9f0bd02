package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/sink"
)

// stream is the sink's stream as the owner wants it. It is created with the
// topic's own retention, which is only looked up when it must be.
type stream struct {
	*sink.Stream
	b *process
	partitionKey
	name   string
	looked atomic.Bool // its retention need not be compared any more
}

var _ handoff.Stream = (*stream)(nil)

func (b *process) newStream(name, topic string, number int32) *stream {
	s := &stream{Stream: b.sink.Stream(name, sink.StreamSettings{}), b: b, partitionKey: partitionKey{topic, number}, name: name}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.streams[s.partitionKey] = name
	return s
}

// streamOf is the name of the stream of a partition that was assigned once.
func (b *process) streamOf(topic string, number int32) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.streams[partitionKey{topic, number}]
}

func (s *stream) Create(ctx context.Context) error {
	settings := sink.StreamSettings{StorageClass: s.b.cfg.Stream.StorageClass, Retention: s.b.cfg.Stream.Retention.Age}
	if s.b.cfg.Stream.Retention.FromTopic {
		src := s.b.source.Load()
		if src == nil { // its first partition came before it did
			return errors.New("look up the topic's retention: the group is being joined")
		}
		age, err := src.TopicRetention(ctx, s.topic)
		if err != nil {
			return fmt.Errorf("look up the topic's retention: %w", err)
		}
		settings.Retention = age
	}
	s.b.log.Info("creating stream", "topic", s.topic, "stream", s.name, "retention", describeRetention(settings.Retention), "storage_class", settings.StorageClass)
	return s.b.sink.Stream(s.name, settings).Create(ctx)
}

// Fence also has the stream's retention compared with the topic's, once, when the
// stream is ours. (Also where we created it: another may have been faster.)
func (s *stream) Fence(ctx context.Context, token, seen string, tail uint64) (seq uint64, err error) {
	seq, err = s.Stream.Fence(ctx, token, seen, tail)
	if err == nil && !s.looked.Swap(true) {
		s.b.retention.Look(comparison{partitionKey: s.partitionKey, name: s.name, stream: s.Stream})
	}
	return seq, err
}

// Open also counts acknowledgements, which tell that S2 is there.
func (s *stream) Open(ctx context.Context, on handoff.SessionEvents) handoff.Session {
	acked := on.Acked
	on.Acked = func(start, end uint64) {
		s.b.s2.acks.Add(1)
		acked(start, end)
	}
	return s.Stream.Open(ctx, sink.Events(on))
}

func describeRetention(age time.Duration) string {
	if age == 0 {
		return "infinite"
	}
	return age.String()
}

// topicRetention asks Kafka; partitions may come before the source does.
func (b *process) topicRetention(ctx context.Context, topic string) (time.Duration, error) {
	select {
	case <-b.joined:
		return b.source.Load().TopicRetention(ctx, topic)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// shortStreams lists the partitions of this process whose streams are too short.
func (b *process) shortStreams() []partitionKey {
	short := b.retention.Short()
	if len(short) == 0 {
		return nil
	}
	ours := b.ours()
	return slices.DeleteFunc(short, func(k partitionKey) bool { return !ours[k] })
}

// ours are the partitions that are assigned to this process.
func (b *process) ours() map[partitionKey]bool {
	ours := map[partitionKey]bool{}
	for _, p := range b.Partitions() {
		ours[partitionKey{p.Topic, p.Partition}] = true
	}
	return ours
}

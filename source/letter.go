package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
)

// letterTimeout is how long Kafka may take to confirm a dead letter.
const letterTimeout = 30 * time.Second

// letters writes to dead letter topics. Most bridges never do: so the client is
// made at the first letter.
type letters struct {
	mu     sync.Mutex
	client *kgo.Client
	seen   map[string]bool // topics that exist, as far as we know
	closed bool
}

// DeadLetter puts a record into the dead letter topic of its topic: as it is,
// with headers behind its own that say where it comes from and why. It returns
// when all in-sync replicas have it. After a failure it may be there all the
// same, and come again.
func (p *partition) DeadLetter(ctx context.Context, letter handoff.Letter) error {
	topic := ""
	if p.s.cfg.DeadLetter != nil {
		topic = p.s.cfg.DeadLetter(p.key.topic)
	}
	switch topic {
	case "":
		return fmt.Errorf("there is no dead letter topic for topic %s: set policy.dead_letter_topic", p.key.topic)
	case p.key.topic:
		return fmt.Errorf("topic %s cannot be its own dead letter topic: set policy.dead_letter_topic to another one", topic)
	}
	client, err := p.s.letterClient(ctx, topic)
	if err != nil {
		return err
	}
	r := letter.Record
	sent := &kgo.Record{
		Topic: topic, Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.Timestamp),
		Headers: append(slices.Clip(r.Headers), origin(p.id, letter)...),
	}
	// The client's own limit of time would not do: it counts from the record's
	// timestamp. And a record that was sent once is waited for whatever ctx says.
	limited, cancel := context.WithTimeout(ctx, letterTimeout)
	defer cancel()
	done := make(chan error, 1)
	client.Produce(limited, sent, func(_ *kgo.Record, err error) { done <- err })
	select {
	case err = <-done:
	case <-limited.Done():
		err = limited.Err()
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) {
		p.s.letters.forget(topic)
	}
	return explainLetter(topic, len(r.Key)+len(r.Value), err)
}

// origin are the headers of a dead letter. All values are text.
func origin(id mapping.Identity, letter handoff.Letter) []kgo.RecordHeader {
	r := letter.Record
	kinds := map[mapping.TimestampType]string{mapping.CreateTime: "CreateTime", mapping.LogAppendTime: "LogAppendTime", mapping.NoTimestampType: "NoTimestampType"}
	var headers []kgo.RecordHeader
	for _, h := range [][2]string{
		{"topic", id.Topic},
		{"partition", strconv.Itoa(int(id.Partition))},
		{"offset", strconv.FormatInt(r.Offset, 10)},
		{"timestamp", strconv.FormatInt(r.Timestamp, 10)},
		{"timestamp_type", kinds[r.TimestampType]},
		{"leader_epoch", strconv.Itoa(int(r.LeaderEpoch))},
		{"cluster", id.Cluster},
		{"reason", letter.Why},
	} {
		headers = append(headers, kgo.RecordHeader{Key: "kafka_s2_bridge." + h[0], Value: []byte(h[1])})
	}
	return headers
}

// letterClient gives the producer, once the topic is known to exist: the client
// would try for a long time, and say less.
func (s *Source) letterClient(ctx context.Context, topic string) (*kgo.Client, error) {
	l := &s.letters
	l.mu.Lock()
	client, seen, closed := l.client, l.seen[topic], l.closed
	l.mu.Unlock()
	switch {
	case closed:
		return nil, errors.New("the bridge ends")
	case client != nil && seen:
		return client, nil
	}
	infos, unknown, err := s.topicInfos(ctx, slices.Values([]string{topic}))
	switch {
	case err != nil:
		return nil, fmt.Errorf("look for dead letter topic %s: %w", topic, err)
	case unknown[topic]:
		return nil, fmt.Errorf("the dead letter topic %s does not exist: create it, or set policy.dead_letter_topic to another one", topic)
	case infos[topic] == nil:
		return nil, fmt.Errorf("kafka does not describe the dead letter topic %s: allow DESCRIBE and WRITE on it", topic)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errors.New("the bridge ends")
	}
	if l.client == nil {
		if l.client, err = s.cfg.letterProducer(); err != nil {
			return nil, err
		}
		l.seen = map[string]bool{}
	}
	l.seen[topic] = true
	return l.client, nil
}

// letterProducer is idempotent and waits for all in-sync replicas, as it is by
// default; records with the same key go to the same partition.
func (c Config) letterProducer() (*kgo.Client, error) {
	opts, err := c.connectionOptions()
	if err != nil {
		return nil, err
	}
	// What is refused may be larger than what is copied at most.
	size := int32(min(2*c.MaxRecordBytes+fetchBytes, 1<<30))
	client, err := kgo.NewClient(append(opts,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(size),
		kgo.BrokerMaxWriteBytes(max(size, 100<<20)),
		kgo.ProducerLinger(0),
		kgo.MetadataMinAge(min(time.Second, c.MetadataAge)),
		kgo.MetadataMaxAge(c.MetadataAge),
	)...)
	if err != nil {
		return nil, fmt.Errorf("kafka producer for dead letters: %w", err)
	}
	return client, nil
}

// forget has the topic looked for anew: it was deleted, or is another one now,
// which the client would not write to.
func (l *letters) forget(topic string) {
	l.mu.Lock()
	delete(l.seen, topic)
	client := l.client
	l.mu.Unlock()
	client.PurgeTopicsFromProducing(topic) // there was a letter, so there is a client
}

// close ends the producer. The owners are gone by now.
func (l *letters) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.client != nil {
		l.client.Close()
	}
}

func explainLetter(topic string, size int, err error) error {
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return fmt.Errorf("max.message.bytes of the dead letter topic %s is too small for a record of %d bytes: raise it: %w", topic, size, err)
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return fmt.Errorf("writing to the dead letter topic %s is not allowed: allow WRITE on it: %w", topic, err)
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return fmt.Errorf("the dead letter topic %s was deleted: create it anew: %w", topic, err)
	case errors.Is(err, kerr.InvalidTimestamp):
		return fmt.Errorf("the dead letter topic %s does not take the record's timestamp: set its message.timestamp.before.max.ms and message.timestamp.after.max.ms to allow it: %w", topic, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("kafka did not confirm the record in the dead letter topic %s within %v: %w", topic, letterTimeout, err)
	}
	return fmt.Errorf("write to the dead letter topic %s: %w", topic, err)
}

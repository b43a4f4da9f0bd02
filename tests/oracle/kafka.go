package oracle

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Truth is what Kafka serves of some topics, ordered by topic and partition.
type Truth struct {
	Cluster    string
	Partitions []*Served
}

// Records is the number of records in all partitions.
func (t *Truth) Records() int {
	n := 0
	for _, s := range t.Partitions {
		n += s.Len()
	}
	return n
}

// ReadKafka reads topics as a read_committed consumer does, each partition from its log start to the last stable offset of
// the moment. opts says how to reach Kafka (seed brokers, dialer, security). ctx must have an end: a log whose
// last stable offset never comes is waited for.
func ReadKafka(ctx context.Context, topics []string, opts ...kgo.Opt) (*Truth, error) {
	truth, waiting, err := bounds(ctx, topics, opts)
	if err != nil || len(waiting) == 0 {
		return truth, err
	}
	from := make(map[string]map[int32]kgo.Offset)
	for p, s := range waiting {
		if from[p.topic] == nil {
			from[p.topic] = make(map[int32]kgo.Offset)
		}
		from[p.topic][p.number] = kgo.NewOffset().At(s.Start)
	}
	cl, err := kgo.NewClient(append(slices.Clip(opts),
		kgo.ConsumePartitions(from),
		kgo.ConsumeResetOffset(kgo.NoResetOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // they show that the end was reached
	)...)
	if err != nil {
		return nil, fmt.Errorf("kafka reader: %w", err)
	}
	defer cl.Close()
	for len(waiting) > 0 {
		fs := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("%w; %d partitions were not read to their end", context.Cause(ctx), len(waiting))
		}
		var failed error
		fs.EachError(func(topic string, number int32, err error) {
			failed = fmt.Errorf("read %s/%d from Kafka: %w", topic, number, err)
		})
		if failed != nil {
			return nil, failed
		}
		for r := range fs.RecordsAll() {
			p := partition{r.Topic, r.Partition}
			s := waiting[p]
			if s == nil {
				continue
			}
			if r.Offset < s.End && !r.Attrs.IsControl() {
				if err := s.Add(FromKafka(r)); err != nil {
					return nil, err
				}
			}
			if r.Offset >= s.End-1 {
				delete(waiting, p)
			}
		}
	}
	return truth, nil
}

// bounds lists the partitions with start and last stable offset, and those among them that are not empty.
func bounds(ctx context.Context, topics []string, opts []kgo.Opt) (*Truth, map[partition]*Served, error) {
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, nil, fmt.Errorf("kafka reader: %w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	meta, err := adm.Metadata(ctx, topics...)
	if err != nil {
		return nil, nil, fmt.Errorf("kafka metadata: %w", err)
	}
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("kafka log starts: %w", err)
	}
	ends, err := adm.ListCommittedOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("kafka last stable offsets: %w", err)
	}
	truth, waiting := &Truth{Cluster: meta.Cluster}, make(map[partition]*Served)
	for _, topic := range topics {
		detail := meta.Topics[topic]
		if detail.Err != nil {
			return nil, nil, fmt.Errorf("topic %s: %w", topic, detail.Err)
		}
		for number := range detail.Partitions {
			start, _ := starts.Lookup(topic, number)
			end, ok := ends.Lookup(topic, number)
			if !ok {
				return nil, nil, fmt.Errorf("topic %s: no end of partition %d", topic, number)
			}
			s := NewServed(Identity{Cluster: meta.Cluster, Topic: topic, TopicID: detail.ID, Partition: number}, start.Offset, end.Offset)
			truth.Partitions = append(truth.Partitions, s)
			if s.End > s.Start {
				waiting[partition{topic, number}] = s
			}
		}
	}
	slices.SortFunc(truth.Partitions, func(a, b *Served) int {
		if c := strings.Compare(a.Identity.Topic, b.Identity.Topic); c != 0 {
			return c
		}
		return int(a.Identity.Partition - b.Identity.Partition)
	})
	return truth, waiting, nil
}

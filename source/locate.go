package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/handoff"
)

// Timestamps of a ListOffsets request that do not mean a time.
const (
	askEnd   = -1
	askStart = -2
)

// here: requests name the topic, not its id. What they tell of a topic that has
// been created anew must not be taken for the old one's: it might look as if the
// log had been cut back.
func (p *partition) here() error {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	switch {
	case p.gone && !p.leaving && p.owner != nil:
		p.s.holdRecreated(p, p.strange)
	case p.gone, p.strange != [16]byte{}:
	default:
		return nil
	}
	return errAnother
}

var errAnother = errors.New("the topic was deleted and created anew")

// Range asks the leader for the log start offset and the high watermark.
func (p *partition) Range(ctx context.Context) (start, end int64, err error) {
	if start, err = p.listOffset(ctx, askStart, 0); err != nil {
		return 0, 0, fmt.Errorf("list log start: %w", err)
	}
	if end, err = p.listOffset(ctx, askEnd, 0); err != nil {
		return 0, 0, fmt.Errorf("list log end: %w", err)
	}
	return start, end, nil
}

// Locate asks the leader where a start policy begins. The end is the last
// stable offset: what a transaction has written that is still open comes later
// than now, and belongs to the copy.
func (p *partition) Locate(ctx context.Context, start handoff.StartPolicy) (int64, error) {
	_, isolation := p.s.cfg.isolation()
	switch start.From {
	case handoff.FromTime:
		// A time before 1970 would be taken for one of the numbers above.
		at, err := p.listOffset(ctx, max(start.At.UnixMilli(), 0), isolation)
		if err != nil {
			return 0, fmt.Errorf("find the first record since %s: %w", start.At.UTC().Format("2006-01-02T15:04:05.999Z"), err)
		}
		if at >= 0 {
			return at, nil
		}
	case handoff.FromLatest:
	default:
		return 0, fmt.Errorf("start policy %d is not a place that Kafka could tell", start.From)
	}
	at, err := p.listOffset(ctx, askEnd, isolation)
	if err != nil {
		return 0, fmt.Errorf("list the end: %w", err)
	}
	return at, nil
}

// listOffset asks for the first offset whose timestamp is not before the given
// one, in milliseconds; -1: none.
func (p *partition) listOffset(ctx context.Context, timestamp int64, isolation int8) (int64, error) {
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Partition, rp.Timestamp = p.key.partition, timestamp
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic, rt.Partitions = p.key.topic, []kmsg.ListOffsetsRequestTopicPartition{rp}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel, req.Topics = -1, isolation, []kmsg.ListOffsetsRequestTopic{rt}
	offset, err := int64(0), errNoAnswer
	for _, shard := range p.s.client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return 0, shard.Err
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, r := range t.Partitions {
				offset, err = r.Offset, kerr.ErrorForCode(r.ErrorCode)
			}
		}
	}
	if another := p.here(); another != nil {
		return 0, another
	}
	return offset, err
}

// errNoAnswer is a Kafka that answered, but not for what was asked.
var errNoAnswer = errors.New("kafka did not answer for the partition")

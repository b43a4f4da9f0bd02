package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/mapping"
)

// What Records reads at most: it serves a comparison of the last few records,
// not a copy.
const (
	recallRecords = 64
	recallBytes   = 64 << 20
	recallPage    = 4 << 20 // a fetch; a record that is larger comes all the same
	recallTries   = 3       // fetches in a row that bring nothing
)

// Records reads the data records in [first, last] anew: those that Kafka still
// has, in order, the first 64 of them and not much more than 64 MiB. It fetches
// from the leader by itself: the group's consumer, its position and its fetch
// session stay as they are. None there is no error.
//
// The end is the last stable offset (the high watermark where records of open
// transactions count): nothing visible is beyond it, so nothing is waited for.
func (p *partition) Records(ctx context.Context, first, last int64) ([]mapping.Record, error) {
	_, isolation := p.s.cfg.isolation()
	end, err := p.listOffset(ctx, askEnd, isolation)
	if err != nil {
		return nil, fmt.Errorf("list the end: %w", err)
	}
	at, err := p.notBelowStart(ctx, first)
	if err != nil {
		return nil, err
	}
	var records []mapping.Record
	bytes, idle := 0, 0
	for at <= last && at < end && len(records) < recallRecords && bytes < recallBytes {
		page, next, err := p.fetch(ctx, at)
		if errors.Is(err, kerr.OffsetOutOfRange) && idle < recallTries {
			idle++ // retention was faster
			if next, err = p.notBelowStart(ctx, at); err == nil {
				at = next
				continue
			}
		}
		if err != nil {
			return nil, fmt.Errorf("read offset %d again: %w", at, err)
		}
		if next > at {
			idle = 0
		} else if idle++; idle >= recallTries {
			return nil, fmt.Errorf("read offset %d again: Kafka serves nothing there, although its log ends at %d", at, end)
		}
		at = next
		for _, r := range page {
			if r.Offset > last || len(records) == recallRecords {
				break
			}
			if rec := mapping.FromKafka(r); !rec.Control {
				records = append(records, rec)
				bytes += len(rec.Key) + len(rec.Value)
			}
		}
	}
	return records, nil
}

// notBelowStart gives the offset, or the log start where that is above it.
func (p *partition) notBelowStart(ctx context.Context, offset int64) (int64, error) {
	start, err := p.listOffset(ctx, askStart, 0)
	if err != nil {
		return 0, fmt.Errorf("list log start: %w", err)
	}
	return max(offset, start), nil
}

// fetch reads one page from the leader, outside of the client's own fetches,
// and says where the next one begins: behind what compaction or an aborted
// transaction has left of it, too.
func (p *partition) fetch(ctx context.Context, at int64) ([]*kgo.Record, int64, error) {
	leader, _, err := p.s.client.PartitionLeader(p.key.topic, p.key.partition)
	if err != nil || leader < 0 {
		p.s.client.ForceMetadataRefresh()
		return nil, at, errors.Join(kerr.LeaderNotAvailable, err)
	}
	level, isolation := p.s.cfg.isolation()
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = p.key.partition, at, recallPage
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID, rt.Partitions = p.key.topic, p.id.TopicID, []kmsg.FetchRequestTopicPartition{rp}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.IsolationLevel = 500, 1, recallPage, isolation
	req.Topics = []kmsg.FetchRequestTopic{rt}
	answer, err := p.s.client.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, at, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, at, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, at, errNoAnswer
	}
	page, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: true, Offset: at, IsolationLevel: level, Topic: p.key.topic, Partition: p.key.partition,
	}, &resp.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	if kerr.IsRetriable(page.Err) {
		p.s.client.ForceMetadataRefresh() // another leader, most likely
	}
	return page.Records, next, page.Err
}

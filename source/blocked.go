package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// A transaction that stays open holds the last stable offset: everything behind
// its first record waits, of other producers too, and from outside that looks
// like a bridge that is stuck.
//
//	position        high watermark
//	    |               |
//	....[open: 123] x x x      nothing of it is visible before the end of the
//	    |                      transaction
//	last stable offset
//
// It is no fault of ours and no reason against readiness, but it is said: whose
// transaction, since which offset, and how much waits.

// stillLooks is for how many looks of the watch the last stable offset must
// stand still: transactions come and go all the time.
const stillLooks = 3

// blameLooks is after how many looks a broker is asked again that could not say
// whose transaction it is.
const blameLooks = 15

// block is what is known of the transaction that a partition waits for.
type block struct {
	at    int64  // the last stable offset that stands still
	looks int    // since when
	said  bool   // it was logged
	whose string // in parentheses; "" unknown
}

// end is where a partition ends.
type end struct{ lastStable, high int64 }

type ends map[key]end

// listEnds asks for the ends of all partitions of the topics.
func (s *Source) listEnds(ctx context.Context, topics []string) (ends, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	admin := kadm.NewClient(s.client)
	stable, err := admin.ListCommittedOffsets(ctx, topics...)
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil, err
	}
	high, err := admin.ListEndOffsets(ctx, topics...)
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil, err
	}
	all := ends{}
	high.Each(func(o kadm.ListedOffset) {
		if l, ok := stable.Lookup(o.Topic, o.Partition); ok && o.Err == nil && l.Err == nil {
			all[key{o.Topic, o.Partition}] = end{max(l.Offset, 0), max(o.Offset, 0)}
		}
	})
	return all, nil
}

// visible is the end of what is copied; -1 unknown.
func (s *Source) visible(p *partition) int64 {
	if s.cfg.ReadUncommitted {
		return p.hw
	}
	return p.lso
}

// standsStill follows the last stable offset from look to look. True: a
// transaction holds it, and it is time to ask whose. Source.mu is held.
func (s *Source) standsStill(p *partition) bool {
	b := &p.block
	waits := !s.cfg.ReadUncommitted && p.lso < p.hw && p.owner.Status().Position >= p.lso
	if !waits || p.lso != b.at {
		if b.said {
			s.log.Info("the open transaction that held a partition has ended", "topic", p.key.topic, "partition", p.key.partition, "offset", b.at)
		}
		*b = block{at: p.lso}
		return false
	}
	b.looks++
	return b.whose == "" && b.looks >= stillLooks && (b.looks-stillLooks)%blameLooks == 0
}

// blocked says why nothing comes, if that is a transaction's fault; "" if not.
func (p *partition) blocked() string {
	if !p.block.said {
		return ""
	}
	return fmt.Sprintf("an open transaction%s holds the last stable offset at %d; %d offsets wait behind it", p.block.whose, p.lso, p.hw-p.lso)
}

// blame finds out whose transactions hold these partitions, as far as Kafka
// tells: it may be too old, or not let us ask.
func (s *Source) blame(ctx context.Context, blocked []*partition) {
	if len(blocked) == 0 {
		return
	}
	whose := s.askProducers(ctx, blocked)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range blocked {
		b := &p.block
		if s.parts[p.key] != p || b.looks < stillLooks {
			continue // over, meanwhile
		}
		b.whose = whose[p.key]
		if !b.said {
			b.said = true
			s.log.Warn("an open transaction holds a partition", "topic", p.key.topic, "partition", p.key.partition, "detail", p.blocked())
		}
	}
}

// askProducers asks the leaders which transaction is the first that is open.
func (s *Source) askProducers(ctx context.Context, blocked []*partition) map[key]string {
	admin := kadm.NewClient(s.client)
	var set kadm.TopicsSet
	for _, p := range blocked {
		set.Add(p.key.topic, p.key.partition)
	}
	described, err := admin.DescribeProducers(ctx, set)
	if err != nil {
		s.log.Debug("producers of partitions behind an open transaction", "error", err)
	}
	oldest := map[key]kadm.DescribedProducer{}
	var ids []int64
	for topic, t := range described {
		for n, part := range t.Partitions {
			k := key{topic, n}
			for _, producer := range part.ActiveProducers {
				if was, ok := oldest[k]; producer.CurrentTxnStartOffset >= 0 && (!ok || producer.CurrentTxnStartOffset < was.CurrentTxnStartOffset) {
					oldest[k] = producer
				}
			}
			if producer, ok := oldest[k]; ok {
				ids = append(ids, producer.ProducerID)
			}
		}
	}
	names := s.askTransactions(ctx, admin, ids)
	whose := map[key]string{}
	for k, producer := range oldest {
		name := ""
		if id, ok := names[producer.ProducerID]; ok {
			name = fmt.Sprintf("transactional id %q, ", id)
		}
		whose[k] = fmt.Sprintf(" (%sproducer id %d, since offset %d)", name, producer.ProducerID, producer.CurrentTxnStartOffset)
	}
	return whose
}

// askTransactions gives the transactional ids of producers.
func (s *Source) askTransactions(ctx context.Context, admin *kadm.Client, producers []int64) map[int64]string {
	if len(producers) == 0 {
		return nil
	}
	listed, err := admin.ListTransactions(ctx, producers, nil)
	if err != nil {
		s.log.Debug("transactional ids of open transactions", "error", err)
	}
	names := map[int64]string{}
	for _, t := range listed {
		names[t.ProducerID] = t.TxnID
	}
	return names
}

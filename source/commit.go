package source

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/offsets"
)

// mark notes what the group may commit for a partition. The client commits
// marks on its own timer; the metadata that belongs to an offset is looked up
// just before (attach).
func (s *Source) mark(p *partition, m offsets.Mark, explicit bool) {
	s.mu.Lock()
	if s.parts[p.key] != p {
		s.mu.Unlock()
		return
	}
	if n := len(p.marks); n > 0 && p.marks[n-1].Offset == m.Offset {
		p.marks[n-1] = m
	} else {
		p.marks = append(p.marks, m)
	}
	if explicit {
		p.explicit = &m
		s.touch(p)
		s.wakeLocked()
	}
	s.mu.Unlock()
	s.client.MarkCommitOffsets(map[string]map[int32]kgo.EpochOffset{
		p.key.topic: {p.key.partition: {Epoch: m.Epoch, Offset: m.Offset}},
	})
}

// commitContext makes every commit carry our metadata. A commit without it
// would count for nothing when it is read again.
func (s *Source) commitContext(ctx context.Context) context.Context {
	return kgo.PreCommitFnContext(ctx, s.attach)
}

// attach puts to each offset of a commit the metadata that was marked with
// exactly this offset; an offset without a mark of ours is not committed.
func (s *Source) attach(req *kmsg.OffsetCommitRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	any := false
	for i := range req.Topics {
		t := &req.Topics[i]
		kept := t.Partitions[:0]
		for _, rp := range t.Partitions {
			p := s.parts[key{t.Topic, rp.Partition}]
			if p == nil {
				continue
			}
			if meta, ok := p.metaOf(rp.Offset); ok {
				rp.Metadata = &meta
				kept = append(kept, rp)
				any = true
			}
		}
		t.Partitions = kept
	}
	if !any {
		return errNothingToCommit
	}
	return nil
}

var errNothingToCommit = errors.New("no offset of ours to commit")

// metaOf gives the metadata of a marked offset and forgets older marks.
func (p *partition) metaOf(offset int64) (string, bool) {
	for i := len(p.marks) - 1; i >= 0; i-- {
		if m := p.marks[i]; m.Offset == offset {
			p.marks = append(p.marks[:0], p.marks[i:]...)
			return m.Meta.Encode(), true
		}
	}
	return "", false
}

// committed is called after each commit. A failed one only delays: where
// reading starts is S2's to say.
func (s *Source) committed(_ *kgo.Client, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
	if errors.Is(err, errNothingToCommit) || errors.Is(err, context.Canceled) {
		return
	}
	if err != nil {
		for _, t := range req.Topics {
			for _, p := range t.Partitions {
				s.metrics.commitFailed(t.Topic, p.Partition)
			}
		}
		s.log.Warn("commit of offsets failed; it is tried again with the next", "error", err)
		return
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				s.metrics.commitFailed(t.Topic, p.Partition)
				s.log.Warn("commit of an offset failed; it is tried again with the next", "topic", t.Topic, "partition", p.Partition, "error", err)
			}
		}
	}
}

// takeExplicit collects what must be committed whatever the client believes;
// Source.mu is held.
func (s *Source) takeExplicit(parts []*partition) map[string]map[int32]kgo.EpochOffset {
	var set map[string]map[int32]kgo.EpochOffset
	for _, p := range parts {
		if p.explicit == nil || s.parts[p.key] != p {
			continue
		}
		set = put(set, p.key, kgo.EpochOffset{Epoch: p.explicit.Epoch, Offset: p.explicit.Offset})
		p.explicit = nil
	}
	return set
}

func put[V any](m map[string]map[int32]V, k key, v V) map[string]map[int32]V {
	if m == nil {
		m = map[string]map[int32]V{}
	}
	if m[k.topic] == nil {
		m[k.topic] = map[int32]V{}
	}
	m[k.topic][k.partition] = v
	return m
}

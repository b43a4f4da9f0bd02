package source

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/offsets"
)

// mark notes what the group may commit for a partition. The client commits
// marks on its own timer; the metadata that belongs to an offset is looked up
// just before (attach).
func (s *Source) mark(p *partition, m offsets.Mark, explicit bool) {
	s.mu.Lock()
	if s.parts[p.key] != p || p.gone {
		s.mu.Unlock()
		return
	}
	top := kgo.EpochOffset{Epoch: m.Epoch, Offset: m.Offset}
	if top.Less(p.top) {
		explicit = true // the client would not take it
	} else {
		p.top = top
	}
	if n := len(p.marks); n > 0 && p.marks[n-1].Offset == m.Offset {
		p.marks[n-1] = m
	} else {
		p.marks = append(p.marks, m)
	}
	p.unsaved = true
	if explicit {
		s.hurry(p)
	}
	s.mu.Unlock()
	s.client.MarkCommitOffsets(map[string]map[int32]kgo.EpochOffset{
		p.key.topic: {p.key.partition: {Epoch: m.Epoch, Offset: m.Offset}},
	})
}

// hurry has the last mark of a partition committed now, whatever the client
// believes; Source.mu is held.
func (s *Source) hurry(p *partition) {
	if !p.urgent {
		p.urgent = true
		s.urgent = append(s.urgent, p)
	}
	select {
	case s.due <- struct{}{}:
	default:
	}
}

// saveUrgent commits what cannot be left to the client's timer. It runs beside
// the poll loop: while the group joins, which lasts as long as the slowest
// member drains, the client makes everybody wait who wants to commit.
func (s *Source) saveUrgent(closed <-chan struct{}) {
	for {
		select {
		case <-closed:
			return
		case <-s.due:
		}
		s.mu.Lock()
		commits := lastMarks(s.urgent, func(p *partition) bool { return s.parts[p.key] == p })
		for _, p := range s.urgent {
			p.urgent = false
		}
		s.urgent = nil
		s.mu.Unlock()
		s.client.CommitOffsets(s.commits, commits, s.committed)
	}
}

func lastMarks(parts []*partition, wanted func(*partition) bool) (set map[string]map[int32]kgo.EpochOffset) {
	for _, p := range parts {
		if n := len(p.marks); n > 0 && wanted(p) {
			set = put(set, p.key, kgo.EpochOffset{Epoch: p.marks[n-1].Epoch, Offset: p.marks[n-1].Offset})
		}
	}
	return set
}

// repeatCommits commits anew what Kafka has not confirmed since the last look:
// the client repeats only what it does not take for committed. Source.mu is held.
func (s *Source) repeatCommits() {
	for _, p := range s.parts {
		was := p.overdue
		if p.overdue = -1; p.unsaved && !p.gone {
			p.overdue = p.marks[len(p.marks)-1].Offset
		}
		if p.overdue >= 0 && p.overdue == was {
			s.hurry(p)
		}
	}
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
	topics := req.Topics[:0]
	for _, t := range req.Topics {
		kept := t.Partitions[:0]
		for _, rp := range t.Partitions {
			p := s.parts[key{t.Topic, rp.Partition}]
			if p == nil || p.gone || p.doubted || p.member != req.MemberID {
				continue // or lost meanwhile: somebody else commits it (revoked)
			}
			if rp.Offset < p.least && p.overwrite == nil {
				continue // control records, read again after somebody else had committed them
			}
			if meta, ok := p.metaOf(rp.Offset); ok {
				rp.Metadata = &meta
				kept = append(kept, rp)
			}
		}
		if t.Partitions = kept; len(kept) > 0 {
			topics = append(topics, t) // Kafka does not answer for an empty one
		}
	}
	if req.Topics = topics; len(topics) == 0 {
		return errNothingToCommit
	}
	handoff.CrashPoint("before-commit")
	return nil
}

var errNothingToCommit = errors.New("no offset of ours to commit")

// metaOf gives the metadata of a marked offset and forgets older marks.
func (p *partition) metaOf(offset int64) (string, bool) {
	if m := p.overwrite; m != nil && m.Offset == offset {
		return m.Meta.Encode(), true
	}
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
	if errors.Is(err, errNothingToCommit) || errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed) {
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
	handoff.CrashPoint("after-commit")
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, a := range answers(req, resp) {
		p := s.parts[k]
		current := p != nil && len(p.marks) > 0 && p.marks[len(p.marks)-1].Offset == a.offset
		if a.err != nil {
			s.metrics.commitFailed(k.topic, k.partition)
			s.log.Warn("commit of an offset failed; it is tried again with the next", "topic", k.topic, "partition", k.partition, "error", a.err)
		}
		if current {
			p.unsaved = a.err != nil
		}
	}
}

type commitAnswer struct {
	offset int64
	err    error
}

// answers pairs what was asked with what was answered, by topic name, or by
// topic id where newer brokers give no name.
func answers(req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse) map[key]commitAnswer {
	names := map[[16]byte]string{}
	all := map[key]commitAnswer{}
	for _, t := range req.Topics {
		names[t.TopicID] = t.Topic
		for _, p := range t.Partitions {
			all[key{t.Topic, p.Partition}] = commitAnswer{p.Offset, errNoAnswer}
		}
	}
	for _, t := range resp.Topics {
		if t.Topic == "" {
			t.Topic = names[t.TopicID]
		}
		for _, p := range t.Partitions {
			k := key{t.Topic, p.Partition}
			all[k] = commitAnswer{all[k].offset, kerr.ErrorForCode(p.ErrorCode)}
		}
	}
	return all
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

// doubtTimeout bounds the question where the group stands: the look that follows
// must not wait for a coordinator that is slow.
const doubtTimeout = time.Second

// settleDoubts asks where the group stands with what we marked before we were
// out of it for a while: what others have committed since is not set back.
func (s *Source) settleDoubts(parent context.Context) {
	ctx, cancel := context.WithTimeout(parent, doubtTimeout)
	defer cancel()
	s.mu.Lock()
	var doubted []*partition
	for _, p := range s.parts {
		if p.doubted {
			doubted = append(doubted, p)
		}
	}
	s.mu.Unlock()
	if len(doubted) == 0 {
		return
	}
	committed, err := kadm.NewClient(s.client).FetchOffsets(ctx, s.cfg.Group)
	if err != nil {
		return // the next look asks again
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range doubted {
		at, known := committed.Lookup(p.key.topic, p.key.partition)
		if s.parts[p.key] != p || known && at.Err != nil {
			continue
		}
		p.doubted = false
		if known {
			p.least = at.At
		}
		switch n := len(p.marks); {
		case n > 0 && p.marks[n-1].Offset <= p.least:
			p.marks, p.unsaved = nil, false
		case p.unsaved:
			s.hurry(p)
		}
	}
}

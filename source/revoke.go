package source

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/handoff"
)

// revoked returns when no owner can mark any more: the client would take a mark
// for a partition that it no longer owns.
//
// A member that was silent for longer than its session, while it joined, is told
// so as the answer to its join. The client then joins anew under another id, as
// if it still owned what it had, and calls what it does not get back revoked. But
// that was lost: others have written and committed it since, and a commit of ours
// would set theirs back.
func (s *Source) revoked(ctx context.Context, client *kgo.Client, gone map[string][]int32) {
	gone, lost := s.split(gone)
	if lost != nil {
		s.lost(ctx, client, lost)
	}
	owners := s.released(gone)
	if len(owners) == 0 {
		s.drop(gone)
		return
	}
	for _, o := range owners {
		<-o.Done()
	}
	saving, cancel := context.WithTimeout(s.commits, 10*time.Second)
	defer cancel()
	s.mu.Lock()
	last := lastMarks(s.partitionsOf(gone), func(p *partition) bool { return p.unsaved && !p.gone && !p.doubted })
	s.mu.Unlock()
	s.client.CommitOffsetsSync(saving, last, s.committed)
	s.drop(gone)
}

// split parts off what was assigned to us under another member id.
func (s *Source) split(gone map[string][]int32) (ours, lost map[string][]int32) {
	<-s.ready
	member, _ := s.client.GroupMetadata()
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, partitions := range gone {
		for _, n := range partitions {
			k := key{topic, n}
			if p := s.parts[k]; p != nil && p.member != member {
				lost = add(lost, k)
			} else {
				ours = add(ours, k)
			}
		}
	}
	return ours, lost
}

// released asks the owners of partitions to finish and to end.
func (s *Source) released(set map[string][]int32) []*handoff.Owner {
	owners := s.ownersOf(set)
	for _, o := range owners {
		o.Release(s.cfg.Drain)
		handoff.CrashPoint("in-revoke")
	}
	return owners
}

// lost commits nothing: the partitions are somebody else's already.
func (s *Source) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	owners := s.ownersOf(gone)
	for _, o := range owners {
		o.Abandon()
	}
	for _, o := range owners {
		<-o.Done()
	}
	s.drop(gone)
}

func (s *Source) partitionsOf(set map[string][]int32) (parts []*partition) {
	for topic, partitions := range set {
		for _, n := range partitions {
			if p := s.parts[key{topic, n}]; p != nil {
				parts = append(parts, p)
			}
		}
	}
	return parts
}

// present are those of the set that we have already.
func (s *Source) present(set map[string][]int32) (those map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.partitionsOf(set) {
		those = add(those, p.key)
	}
	return those
}

// ownersOf lists the owners of partitions that go. None is started any more: the
// watch may just be about to.
func (s *Source) ownersOf(set map[string][]int32) (owners []*handoff.Owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.partitionsOf(set) {
		p.refused = true
		if p.owner != nil {
			owners = append(owners, p.owner)
		}
	}
	return owners
}

// drop forgets partitions. A pause outlives their loss, so it is lifted: they
// may come back.
func (s *Source) drop(gone map[string][]int32) {
	if len(gone) == 0 {
		return
	}
	<-s.ready
	s.mu.Lock()
	for _, p := range s.partitionsOf(gone) {
		delete(s.health.fetch, p.key)
		s.remember(p)
		s.forget(p)
	}
	s.mu.Unlock()
	s.client.ResumeFetchPartitions(gone)
}

package source

import (
	"context"
	"errors"
	"iter"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// The client calls back, for partitions that are new to this member, in this
// order: assigned, offsetsFetched, adjust. Only after adjust it fetches.

// assigned pauses what is new: nothing is fetched before somebody owns it.
func (s *Source) assigned(_ context.Context, client *kgo.Client, added map[string][]int32) {
	client.PauseFetchPartitions(added)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.health.group = "" // also where the group has nothing for us
	for topic, partitions := range added {
		for _, n := range partitions {
			k := key{topic, n}
			s.parts[k] = &partition{s: s, key: k, paused: true, overdue: -1, lso: -1}
		}
	}
}

// fetchedCommit is what the group has committed for a partition.
type fetchedCommit struct {
	offset   int64
	epoch    int32
	metadata string
}

func (s *Source) offsetsFetched(_ context.Context, _ *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	note := func(topic string, partition int32, c fetchedCommit, metadata *string) {
		if metadata != nil {
			c.metadata = *metadata
		}
		if p := s.parts[key{topic, partition}]; p != nil && c.offset >= 0 {
			p.commit = &c
		}
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			note(t.Topic, p.Partition, fetchedCommit{offset: p.Offset, epoch: p.LeaderEpoch}, p.Metadata)
		}
	}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				note(t.Topic, p.Partition, fetchedCommit{offset: p.Offset, epoch: p.LeaderEpoch}, p.Metadata)
			}
		}
	}
	return nil
}

// adjust says where reading starts, explicitly for every partition: one that is
// left out could never be set later. A commit of ours is believed; everything
// else stands paused at 0 until its owner has asked S2. An error would cost the
// member all its partitions: it is returned only when they are gone anyway.
func (s *Source) adjust(ctx context.Context, fetched map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	<-s.ready
	topics, err := s.describe(ctx, fetched)
	if err != nil {
		return nil, err
	}
	_, generation := s.client.GroupMetadata()
	s.mu.Lock()
	defer s.mu.Unlock()
	var at map[string]map[int32]kgo.Offset
	for topic, partitions := range fetched {
		for n := range partitions {
			k := key{topic, n}
			at = put(at, k, kgo.NewOffset().At(0))
			p, t := s.parts[k], topics[topic]
			if p == nil || p.owner != nil {
				continue // given up meanwhile
			}
			p.adjusted = true
			if t == nil {
				s.health.fetch[k] = "Kafka does not describe its topic"
				continue // the watch begins it
			}
			if c := s.begin(p, t, generation); c != nil {
				at = put(at, k, kgo.NewOffset().At(c.Offset).WithEpoch(c.Epoch))
			} else {
				p.stopped = true // until the owner seeks
			}
		}
	}
	s.wakeLocked()
	return at, nil
}

// begin gives a partition its owner, and says where reading starts if a commit
// of ours tells; Source.mu is held.
func (s *Source) begin(p *partition, t *topicInfo, generation int32) *offsets.Commit {
	p.id = mapping.Identity{Cluster: t.cluster, Topic: p.key.topic, TopicID: t.id, Partition: p.key.partition}
	a := handoff.Assignment{Identity: p.id, Generation: int64(generation), Parts: t.partitions, Commit: s.ours(p)}
	owner, err := s.start(a, p)
	if err != nil {
		s.log.Error("partition cannot be bridged", "topic", p.key.topic, "partition", p.key.partition, "error", err)
		s.health.fetch[p.key] = err.Error()
		p.refused = true
		return a.Commit
	}
	p.owner = owner
	s.touch(p)
	return a.Commit
}

// ours reads the group's commit of a partition; Source.mu is held.
func (s *Source) ours(p *partition) *offsets.Commit {
	c := p.commit
	if c == nil {
		return nil
	}
	meta, ok := offsets.ParseMeta(c.metadata)
	if !ok || (meta.ID != p.id.Hash() && meta.ID != p.id.Anonymous().Hash()) {
		s.log.Info("the group's commit is not of this bridge and stream; S2 says where to start",
			"topic", p.key.topic, "partition", p.key.partition, "offset", c.offset)
		return nil
	}
	return &offsets.Commit{Offset: c.offset, Epoch: c.epoch, Meta: meta}
}

// topicInfo is what a metadata request tells of a topic.
type topicInfo struct {
	cluster    string
	id         [16]byte
	partitions int32
}

// describe tells of the topics. It asks the cluster anew, not the client's cache, which may still hold
// the id of a topic that was deleted. It waits for Kafka until the session ends; but a topic that Kafka does not
// describe (it was deleted a moment ago) must not keep the others waiting.
func (s *Source) describe(ctx context.Context, of map[string]map[int32]kgo.Offset) (map[string]*topicInfo, error) {
	for tries := 0; ; {
		infos, err := s.topicInfos(ctx, maps.Keys(of))
		if err == nil {
			tries++
		}
		if err == nil && (len(infos) == len(of) || tries == 3) {
			return infos, nil
		}
		s.log.Warn("metadata of assigned topics; asking again", "described", len(infos), "of", len(of), "error", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (s *Source) topicInfos(ctx context.Context, names iter.Seq[string]) (map[string]*topicInfo, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	for topic := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, s.client)
	if err != nil {
		return nil, err
	}
	if resp.ClusterID == nil {
		return nil, errors.New("the cluster has no id")
	}
	infos := map[string]*topicInfo{}
	for _, t := range resp.Topics {
		if t.ErrorCode != 0 || t.Topic == nil {
			continue // not there, or not told
		}
		infos[*t.Topic] = &topicInfo{cluster: *resp.ClusterID, id: t.TopicID, partitions: int32(len(t.Partitions))}
	}
	return infos, nil
}

// revoked returns when no owner can mark any more: the client would take a mark
// for a partition that it no longer owns.
func (s *Source) revoked(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	owners := s.ownersOf(gone)
	if len(owners) == 0 {
		s.drop(gone)
		return
	}
	for _, o := range owners {
		o.Release(s.cfg.Drain)
	}
	for _, o := range owners {
		<-o.Done()
	}
	ctx, cancel := context.WithTimeout(s.commits, 10*time.Second)
	defer cancel()
	s.mu.Lock()
	last := lastMarks(s.partitionsOf(gone), func(p *partition) bool { return p.unsaved })
	s.mu.Unlock()
	s.client.CommitOffsetsSync(ctx, last, s.committed)
	s.drop(gone)
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
		s.forget(p)
	}
	s.mu.Unlock()
	s.client.ResumeFetchPartitions(gone)
}

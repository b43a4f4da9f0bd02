package source

import (
	"context"
	"errors"
	"iter"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/offsets"
)

// The client calls back, for partitions that are new to this member, in this
// order: assigned, offsetsFetched, adjust. Only after adjust it fetches.

// assigned pauses what is new: nothing is fetched before somebody owns it. A
// topic that was purged and is back before the group has noticed is assigned
// without having been revoked: its owners go first.
func (s *Source) assigned(_ context.Context, client *kgo.Client, added map[string][]int32) {
	if again := s.present(added); len(again) > 0 {
		for _, o := range s.released(again) {
			<-o.Done()
		}
		s.drop(again)
	}
	client.PauseFetchPartitions(added)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.health.group = "" // also where the group has nothing for us
	member, _ := client.GroupMetadata()
	for _, p := range s.parts {
		// What is not revoked by now is ours under this id too. But who had it in
		// between may have committed what is behind our marks.
		p.doubted = p.doubted || p.member != member
		p.member = member
		if p.doubted {
			s.lookSoon()
		}
	}
	for topic, partitions := range added {
		for _, n := range partitions {
			k := key{topic, n}
			s.parts[k] = newPartition(s, k)
			s.parts[k].member = member
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

// adjustTimeout bounds how long adjust waits for Kafka; half a session does too,
// for a request that is given up takes its connection along, and with it the
// heartbeats that wait behind it. What is not known by then is left to the watch:
// the other partitions must not wait for it.
const adjustTimeout = 10 * time.Second

// adjust says where reading starts, explicitly for every partition: one that is
// left out could never be set later. What a commit of ours counts is believed; everything
// else stands paused at 0 until its owner has asked S2. An error would cost the
// member all its partitions: it is returned only when they are gone anyway.
func (s *Source) adjust(parent context.Context, fetched map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	<-s.ready
	ctx, cancel := context.WithTimeout(parent, min(adjustTimeout, s.cfg.SessionTimeout/2))
	defer cancel()
	topics := s.describe(ctx, fetched)
	related := s.askSiblings(ctx, s.among(fetched), topics)
	if parent.Err() != nil {
		return nil, parent.Err()
	}
	_, generation := s.client.GroupMetadata()
	s.mu.Lock()
	defer s.mu.Unlock()
	var at map[string]map[int32]kgo.Offset
	for topic, partitions := range fetched {
		for n := range partitions {
			k := key{topic, n}
			at = put(at, k, kgo.NewOffset().At(0))
			p := s.parts[k]
			if p == nil || p.owner != nil || p.leaving || p.refused || s.ending {
				continue // given up meanwhile
			}
			p.adjusted, p.stopped = true, true // until the owner seeks
			if from := s.begin(p, topics[topic], related, generation); from != nil {
				at = put(at, k, kgo.NewOffset().At(from.Offset).WithEpoch(from.Epoch))
				p.stopped, p.top = false, *from
			}
		}
	}
	s.wakeLocked()
	return at, nil
}

func (s *Source) among(set map[string]map[int32]kgo.Offset) (parts []*partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, partitions := range set {
		for n := range partitions {
			if p := s.parts[key{topic, n}]; p != nil {
				parts = append(parts, p)
			}
		}
	}
	return parts
}

// begin gives a partition its owner, and says where reading starts if a commit
// of ours tells; nil: its owner will. What Kafka has not told enough of keeps
// waiting for the watch. Source.mu is held.
func (s *Source) begin(p *partition, t *topicInfo, related siblings, generation int32) (from *kgo.EpochOffset) {
	switch why := related.failed[p.key.topic]; {
	case t == nil:
		s.health.fetch[p.key] = "Kafka does not describe its topic"
		return nil
	case why != nil && s.needsSiblings(p, t):
		s.health.fetch[p.key] = undecided(why)
		return nil
	}
	p.id = t.identity(p.key.topic, p.key.partition)
	a := handoff.Assignment{Identity: p.id, Generation: int64(generation), Parts: t.partitions, Commit: s.ours(p)}
	a.New = a.Commit == nil && s.isNew(p, t, related)
	if c := a.Commit; c != nil {
		from = &kgo.EpochOffset{Epoch: c.Epoch, Offset: handoff.ReadsFrom(c)}
	}
	s.tellRecreated(p)
	s.knowID(p.key.topic, t.id)
	delete(s.health.fetch, p.key)
	owner, err := s.start(a, p)
	if err != nil {
		s.log.Error("partition cannot be bridged", "topic", p.key.topic, "partition", p.key.partition, "error", err)
		s.health.fetch[p.key] = err.Error()
		p.refused = true
		return from
	}
	p.owner = owner
	if g := s.answers[p.key]; time.Since(g.at) < answerValid {
		p.answer = g.answer
	}
	delete(s.anew, p.key)
	delete(s.answers, p.key)
	s.touch(p)
	return from
}

// ours reads the group's commit of a partition; Source.mu is held.
func (s *Source) ours(p *partition) *offsets.Commit {
	c := p.commit
	if c == nil {
		return nil
	}
	meta, _, ours := oursMeta(c.metadata, p.id)
	if !ours {
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

// describe tells of the topics, as far as Kafka does. It asks the cluster anew,
// not the client's cache, which may still hold the id of a topic that was
// deleted. A topic that Kafka does not describe (it was deleted a moment ago)
// must not keep the others waiting.
func (s *Source) describe(ctx context.Context, of map[string]map[int32]kgo.Offset) map[string]*topicInfo {
	for tries := 0; ; {
		infos, _, err := s.topicInfos(ctx, maps.Keys(of))
		if err == nil {
			tries++
		}
		if err == nil && (len(infos) == len(of) || tries == 3) {
			return infos
		}
		s.log.Warn("metadata of assigned topics; asking again", "described", len(infos), "of", len(of), "error", err)
		select {
		case <-ctx.Done():
			return infos
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// topicInfos asks for the topics as they are now. Unknown are those that do not
// exist; what Kafka does not tell for another reason is in neither.
func (s *Source) topicInfos(ctx context.Context, names iter.Seq[string]) (infos map[string]*topicInfo, unknown map[string]bool, err error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	for topic := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, s.client)
	if err != nil {
		return nil, nil, err
	}
	if resp.ClusterID == nil {
		return nil, nil, errors.New("the cluster has no id")
	}
	infos, unknown = map[string]*topicInfo{}, map[string]bool{}
	for _, t := range resp.Topics {
		switch {
		case t.Topic == nil:
		case t.ErrorCode == 0:
			infos[*t.Topic] = &topicInfo{cluster: *resp.ClusterID, id: t.TopicID, partitions: int32(len(t.Partitions))}
		case t.ErrorCode == kerr.UnknownTopicOrPartition.Code:
			unknown[*t.Topic] = true
		}
	}
	return infos, unknown, nil
}

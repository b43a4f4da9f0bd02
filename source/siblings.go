package source

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// A partition that is added to a topic while the group runs must be copied from
// its beginning, whatever the start policy says: a policy of "latest" means the
// moment when the bridge came, not the moment when it noticed the partition.
// Each commit of ours says how many partitions its topic had when it was made:
//
//	commits of ours   orders/0 parts 3   orders/1 parts 3   orders/2 none
//	                  2 is below 3: it was there, and nothing of it was copied yet
//	                  orders/3 is not: it came later
//
// So the group's commits of a whole topic are asked for, but only for partitions
// of which nothing else tells. Without an answer nothing is guessed: such a
// partition is left without an owner, and the watch asks again.

// identity is whose stream a partition's is.
func (t *topicInfo) identity(topic string, partition int32) mapping.Identity {
	return mapping.Identity{Cluster: t.cluster, Topic: topic, TopicID: t.id, Partition: partition}
}

// oursMeta reads the metadata of a commit. Bridge: a bridge wrote it; ours: for
// the stream of this identity.
func oursMeta(metadata string, id mapping.Identity) (meta offsets.Meta, bridge, ours bool) {
	meta, bridge = offsets.ParseMeta(metadata)
	return meta, bridge, bridge && (meta.ID == id.Hash() || meta.ID == id.Anonymous().Hash())
}

// renewed: the partition's topic is not the one that had its name before.
// Source.mu is held.
func (s *Source) renewed(p *partition, t *topicInfo) bool {
	if s.anew[p.key] {
		return true
	}
	first := s.firstIDs[p.key.topic]
	if first != t.id && first != [16]byte{} && t.id != [16]byte{} {
		return true
	}
	if p.commit == nil {
		return false
	}
	_, bridge, ours := oursMeta(p.commit.metadata, t.identity(p.key.topic, p.key.partition))
	return bridge && !ours
}

// needsSiblings: only the commits of its topic tell whether the partition is
// new. Source.mu is held.
func (s *Source) needsSiblings(p *partition, t *topicInfo) bool {
	if t.partitions < 2 || s.renewed(p, t) {
		return false
	}
	if p.commit == nil {
		return true
	}
	_, _, ours := oursMeta(p.commit.metadata, t.identity(p.key.topic, p.key.partition))
	return !ours
}

// siblings is what the commits of whole topics tell.
type siblings struct {
	parts  map[string]int32 // the smallest partition count in commits of ours; none: not here
	failed map[string]error // topics whose commits could not be read
}

// isNew says whether a partition without a commit of ours came after the group
// had begun with its topic. Source.mu is held.
func (s *Source) isNew(p *partition, t *topicInfo, with siblings) bool {
	if s.renewed(p, t) {
		return true
	}
	smallest, known := with.parts[p.key.topic]
	return known && p.key.partition >= smallest
}

// askSiblings asks for the commits of the topics of these partitions, as far as
// they are needed.
func (s *Source) askSiblings(ctx context.Context, of []*partition, topics map[string]*topicInfo) siblings {
	s.mu.Lock()
	wanted := map[string]*topicInfo{}
	for _, p := range of {
		if t := topics[p.key.topic]; t != nil && s.needsSiblings(p, t) {
			wanted[p.key.topic] = t
		}
	}
	s.mu.Unlock()
	if len(wanted) == 0 {
		return siblings{}
	}
	result, err := s.fetchSiblings(ctx, wanted)
	if err != nil {
		s.log.Warn("the group's commits of whole topics; asking again", "topics", len(wanted), "error", err)
		result.failed = map[string]error{}
		for topic := range wanted {
			result.failed[topic] = err
		}
	}
	return result
}

func (s *Source) fetchSiblings(ctx context.Context, topics map[string]*topicInfo) (siblings, error) {
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = s.cfg.Group
	for name, t := range topics {
		rt := kmsg.NewOffsetFetchRequestGroupTopic()
		rt.Topic, rt.TopicID = name, t.id
		for n := range t.partitions {
			rt.Partitions = append(rt.Partitions, n)
		}
		group.Topics = append(group.Topics, rt)
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Groups = append(req.Groups, group)
	resp, err := req.RequestWith(ctx, s.client)
	if err != nil {
		return siblings{}, err
	}
	if err = kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return siblings{}, err
	}
	result := siblings{parts: map[string]int32{}, failed: map[string]error{}}
	for name := range topics {
		result.failed[name] = errNoAnswer
	}
	for _, g := range resp.Groups {
		if err = kerr.ErrorForCode(g.ErrorCode); err != nil {
			return siblings{}, err
		}
		for i := range g.Topics {
			rt := &g.Topics[i]
			if t := topics[rt.Topic]; t != nil {
				result.read(rt, t)
			}
		}
	}
	return result, nil
}

// read takes the answer for one topic.
func (r *siblings) read(rt *kmsg.OffsetFetchResponseGroupTopic, t *topicInfo) {
	delete(r.failed, rt.Topic)
	for _, rp := range rt.Partitions {
		if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
			r.failed[rt.Topic] = err
			return
		}
		if rp.Offset < 0 || rp.Metadata == nil {
			continue
		}
		meta, _, ours := oursMeta(*rp.Metadata, t.identity(rt.Topic, rp.Partition))
		if smallest, known := r.parts[rt.Topic]; ours && (!known || meta.Parts < smallest) {
			r.parts[rt.Topic] = meta.Parts
		}
	}
}

// undecided is the reason for which a partition has no owner yet.
func undecided(err error) string {
	return fmt.Sprintf("the group's commits of its topic, which tell whether the partition is new, cannot be read: %v", err)
}

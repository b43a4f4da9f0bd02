package source

import (
	"context"
	"fmt"
	"time"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
)

// A topic that is deleted and created anew keeps its name and loses everything
// else: offsets begin at 0 again, and mean other records. Only its id tells.
//
//	watch, fetches: another id
//	     |-- new_stream is the standing policy, or the operator's answer: renew
//	     |      owners of the old topic drain     (in the background)
//	     |      the client forgets the topic and subscribes to it again
//	     |      assigned, adjust, begin: new owners, at offset 0
//	     '-- else: the owner is told, and holds
//
// The client never takes the new id by itself: it fails until the topic is
// purged and added. That is a rebalance, and may give the partition to another
// member, so nothing but what begin finds out tells the new owner that its
// partition is new.

// past is what is remembered of a partition that was given up.
type past struct {
	id       mapping.Identity
	durable  int64 // the old stream is complete up to here
	position int64 // where reading would have gone on; -1 unknown
	end      int64 // last stable offset of the old topic when last seen; -1 unknown
}

// remember keeps what an owner reached; Source.mu is held.
func (s *Source) remember(p *partition) {
	if p.owner != nil && !p.told {
		s.past[p.key] = p.past()
	}
}

func (p *partition) past() past {
	st := p.owner.Status()
	return past{id: p.id, durable: st.Durable, position: st.Position, end: p.end}
}

// tellRecreated logs if the partition that begins had another topic's name
// before; Source.mu is held.
func (s *Source) tellRecreated(p *partition) {
	was, ok := s.past[p.key]
	delete(s.past, p.key)
	if ok && differ(was.id.TopicID, p.id.TopicID) {
		s.logRecreated(was, p.id)
	}
}

func (s *Source) logRecreated(was past, now mapping.Identity) {
	s.log.Warn("topic was deleted and created anew; the new one is copied from its offset 0",
		"topic", was.id.Topic, "partition", was.id.Partition, "old_id", was.id.TopicUUID(), "new_id", now.TopicUUID(),
		"old_stream_complete_through", was.durable, "old_last_stable_offset", was.end, "lost", was.lost())
}

// lost says which offsets of the old topic were not copied, as far as is known.
func (w past) lost() string {
	from := max(w.durable+1, w.position)
	switch {
	case w.end < 0:
		return fmt.Sprintf("what the old topic held from offset %d on, if anything; its end was never seen", from)
	case from < w.end:
		return fmt.Sprintf("offsets %d to %d of the old topic, and what came after them unseen", from, w.end-1)
	}
	return "nothing that was seen"
}

// differ compares topic ids; zero is unknown.
func differ(a, b [16]byte) bool { return a != b && a != [16]byte{} && b != [16]byte{} }

// knowID notes which topic had a name when this process first saw it; Source.mu
// is held.
func (s *Source) knowID(topic string, id [16]byte) {
	if _, known := s.firstIDs[topic]; !known && id != [16]byte{} {
		s.firstIDs[topic] = id
	}
}

// compareIDs looks whether the partition's topic is still the one that its owner
// copies. A broker may answer with metadata from before the topic was created
// anew: so two looks must agree, or the fetches say so too. Source.mu is held.
func (s *Source) compareIDs(p *partition, t *topicInfo) {
	if t == nil || p.owner == nil || p.leaving {
		return
	}
	before := p.strange
	switch {
	case !differ(t.id, p.id.TopicID):
		p.strange = [16]byte{}
		if p.astray {
			// The client reads a topic that has gone: its name had changed hands
			// before the partition became ours.
			s.resubscribe(p.key.topic)
		}
	case t.id == s.firstIDs[p.key.topic]: // a broker that is behind
	default:
		p.strange = t.id
		if before == t.id || p.astray || p.failing {
			s.recreated(p, t.id)
		}
	}
}

// stray stops a partition whose fetches come from a topic with another id, and
// has the watch find out which of both is the present one. Source.mu is held.
func (s *Source) stray(p *partition) {
	if p.astray || p.owner == nil || p.gone {
		return
	}
	p.astray, p.failing = true, true
	s.health.fetch[p.key] = "the client reads another topic of this name"
	s.touch(p)
	s.lookSoon()
}

// recreated ends the copy of a topic that has gone; Source.mu is held.
func (s *Source) recreated(p *partition, now [16]byte) {
	if p.owner == nil || p.gone {
		return
	}
	if s.cfg.StreamPerTopicID && s.cfg.NewStream != nil && s.cfg.NewStream(p.key.topic) {
		s.renew(p.key.topic, now)
		return
	}
	p.gone = true
	s.holdRecreated(p, now)
}

// holdRecreated has the owner hold; Source.mu is held.
func (s *Source) holdRecreated(p *partition, now [16]byte) {
	s.halt(p)
	p.calm()
	id := p.id
	id.TopicID = now
	end := "its end was never seen"
	if p.end >= 0 {
		end = fmt.Sprintf("its last stable offset was %d when it was last seen", p.end)
	}
	p.owner.Trouble(handoff.Trouble{Cut: p.cut, Kind: handoff.TopicRecreated, Offset: -1,
		Detail: fmt.Sprintf("topic %q was deleted and created anew: its id was %s and is now %s; of the old topic, %s", p.key.topic, p.id.TopicUUID(), id.TopicUUID(), end)})
}

// calm: what else stood against the partition counts no more.
func (p *partition) calm() {
	delete(p.s.health.fetch, p.key)
	p.block = block{}
}

// renew gives all partitions of a topic that this member has new owners, under
// the id that the topic has now. Source.mu is held.
func (s *Source) renew(topic string, now [16]byte) {
	parts := s.subscribeAnew(topic)
	owned := map[*partition]*handoff.Owner{}
	for _, p := range parts {
		p.gone = true
		s.anew[p.key] = true
		s.halt(p)
		if p.owner != nil {
			owned[p] = p.owner
			p.calm()
		}
	}
	s.background(parts, func() {
		for _, owner := range owned {
			owner.Release(s.cfg.Drain)
		}
		for p, owner := range owned {
			<-owner.Done()
			s.mu.Lock()
			if p.told = true; differ(now, p.id.TopicID) {
				id := p.id
				id.TopicID = now
				s.logRecreated(p.past(), id)
			}
			s.mu.Unlock()
		}
		s.purge(topic)
	})
}

// resubscribe makes the client forget what it knows of a topic. Its partitions
// are revoked and assigned anew. Source.mu is held.
func (s *Source) resubscribe(topic string) {
	s.background(s.subscribeAnew(topic), func() { s.purge(topic) })
}

// deliverAnswer gives an owner the answer that the operator gave to the one
// before it. Source.mu is held.
func (s *Source) deliverAnswer(p *partition) {
	if p.answer == "" || p.owner == nil || p.leaving {
		return
	}
	switch st := p.owner.Status(); {
	case st.Hold.Reason == handoff.Recreated:
		owner, a := p.owner, p.answer
		p.answer = ""
		s.background([]*partition{p}, func() {
			ctx, cancel := context.WithTimeout(s.commits, answerTimeout)
			defer cancel()
			if err := owner.Resume(ctx, a); err != nil {
				s.log.Warn("the answer does not fit the topic that was created anew", "topic", p.key.topic, "partition", p.key.partition, "answer", a, "error", err)
			}
		})
	case st.Next > 0 || st.Hold.Reason != "":
		p.answer = "" // it writes, or stands for another reason
	}
}

// answerTimeout is how long an owner may take to take an answer.
const answerTimeout = 10 * time.Second

// subscribeAnew lists the partitions of a topic, each once: what begins later
// has another partition. Source.mu is held.
func (s *Source) subscribeAnew(topic string) (parts []*partition) {
	for k, p := range s.parts {
		if k.topic == topic && !p.leaving {
			p.leaving = true
			parts = append(parts, p)
		}
	}
	return parts
}

// background runs what the poll loop must not wait for; Run waits for it.
// Source.mu is held.
func (s *Source) background(parts []*partition, f func()) {
	if len(parts) > 0 && !s.ending {
		s.work.Go(f)
	}
}

func (s *Source) purge(topic string) {
	s.log.Info("subscribing to the topic anew", "topic", topic)
	s.client.PurgeTopicsFromConsuming(topic)
	if len(s.cfg.Regexes) > 0 {
		s.client.ForceMetadataRefresh() // an expression finds it again
		return
	}
	s.client.AddConsumeTopics(topic)
}

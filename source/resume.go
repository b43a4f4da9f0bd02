package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kafka-s2-bridge/handoff"
)

// ErrNotAssigned says that another process has the partition, or none.
var ErrNotAssigned = errors.New("the partition is not assigned to this process: ask the one that has it")

// Resume gives the operator's answer to a partition that is held. ErrNotAssigned
// where it is not ours; every other error says in a sentence why the answer does
// not fit.
//
// A topic that was created anew under its owner is not that owner's to take up:
// it belongs to the old topic. For a new stream all partitions of the topic that
// this process has get new owners, in the background. For adopting the stream
// too; there the new owner gets the answer when it holds for the same reason.
func (s *Source) Resume(ctx context.Context, topic string, partition int32, a handoff.Answer) error {
	owner, err := s.answer(key{topic, partition}, a)
	if err != nil {
		return fmt.Errorf("%s/%d: %w", topic, partition, err)
	}
	if owner == nil {
		return nil
	}
	return owner.Resume(ctx, a)
}

// answer gives the owner whom the answer is for; nil: it was taken here.
func (s *Source) answer(k key, a handoff.Answer) (*handoff.Owner, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parts[k]
	switch {
	case p == nil || s.ending:
		return nil, ErrNotAssigned
	case p.owner == nil:
		why := s.health.fetch[k]
		if why == "" {
			why = "Kafka has only just assigned it"
		}
		return nil, fmt.Errorf("it is not held, it has not begun: %s", why)
	case p.owner.Status().Hold.Reason != handoff.Recreated:
		return p.owner, nil
	case a == handoff.AnswerNewStream && !s.cfg.StreamPerTopicID:
		return nil, errors.New("the new topic has the same stream name: put {topic_id} into stream.name and restart")
	case a == handoff.AnswerNewStream:
		s.renew(k.topic, s.nowID(p))
		return nil, nil
	case a == handoff.AnswerAdopt && p.gone && s.cfg.StreamPerTopicID:
		return nil, errors.New("stream.name contains {topic_id}: the new topic has a stream of its own, and none to adopt; answer new-stream")
	case a == handoff.AnswerAdopt && p.gone:
		s.answers[k] = given{a, time.Now()}
		s.renew(k.topic, s.nowID(p))
		return nil, nil
	}
	return p.owner, nil
}

// given is an answer that waits for the next owner. The partition may go to
// another member first: an answer of long ago is for nobody.
type given struct {
	answer handoff.Answer
	at     time.Time
}

const answerValid = time.Minute

// nowID is the id that the topic was last seen with; Source.mu is held.
func (s *Source) nowID(p *partition) [16]byte {
	if p.strange != [16]byte{} {
		return p.strange
	}
	return p.id.TopicID
}

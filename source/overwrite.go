package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/offsets"
)

// Overwrite commits an offset that may be below the one committed before: an
// operator has answered a hold, and the copy goes on further back. It returns
// when Kafka has confirmed.
//
// The client means to know better: until a Seek tells it the new position
// (setPositions), it holds the higher mark for the one that is to be committed,
// and takes no mark below it. So once Kafka has answered, the higher marks are
// forgotten, without which attach commits nothing; and each mark below what the
// client holds (partition.top) is committed explicitly.
//
// Like all commits it waits while the group joins: never call it from the poll
// loop or from a callback of the client. The owner marks nothing meanwhile.
func (p *partition) Overwrite(ctx context.Context, mark offsets.Mark) error {
	s := p.s
	s.mu.Lock()
	if s.parts[p.key] != p || p.gone {
		s.mu.Unlock()
		return errGivenUp
	}
	if p.overwrite != nil {
		s.mu.Unlock()
		return errors.New("another offset is just being committed for the partition")
	}
	p.overwrite = &mark
	s.mu.Unlock()

	done := make(chan error, 1)
	set := put(nil, p.key, kgo.EpochOffset{Epoch: mark.Epoch, Offset: mark.Offset})
	s.client.CommitOffsets(s.commitContext(ctx), set, func(_ *kgo.Client, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err == nil {
			err = answers(req, resp)[p.key].err
		}
		s.mu.Lock()
		p.overwritten(err)
		s.mu.Unlock()
		done <- err
	})
	// A commit before it that gets no answer would make us wait after ctx ended.
	select {
	case err := <-done:
		switch {
		case errors.Is(err, errNothingToCommit):
			return errGivenUp // meanwhile
		case err != nil:
			s.metrics.commitFailed(p.key.topic, p.key.partition)
			return fmt.Errorf("commit offset %d: %w", mark.Offset, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// overwritten ends an Overwrite; Source.mu is held. Where it failed, or nobody
// knows, the marks before it count again.
func (p *partition) overwritten(err error) {
	mark := *p.overwrite
	p.overwrite = nil
	if err == nil {
		p.marks, p.unsaved, p.overdue, p.least = []offsets.Mark{mark}, false, -1, 0
	}
	if at := (kgo.EpochOffset{Epoch: mark.Epoch, Offset: mark.Offset}); p.top.Less(at) {
		p.top = at
	}
}

var errGivenUp = errors.New("the partition is being given up")

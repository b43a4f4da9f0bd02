package handoff

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kafka-s2-bridge/mapping"
)

// refuse takes a record that cannot be copied. True: a gap marker stands for it
// in the queue. False: what is before it still goes, then the partition stands
// (settled), or the record goes to the dead letter topic.
func (m *Machine) refuse(r *mapping.Record, err error) (skipped bool) {
	var why *mapping.Refused
	if !errors.As(err, &why) {
		why = &mapping.Refused{Offset: r.Offset, Why: err.Error()}
	}
	switch m.refusal(why) {
	case SkipRecord:
		m.leaveOut(mapping.ReasonRefused, r.Offset, r.LeaderEpoch)
		return true
	case DeadLetterRecord:
		m.letter = &Letter{Record: clone(r), Why: why.Error()} // or it would pin its fetch while Kafka does not take it
	}
	m.refused = why
	m.do(Pause{})
	return false
}

func clone(r *mapping.Record) mapping.Record {
	c := *r
	c.Key, c.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
	c.Headers = slices.Clone(r.Headers)
	for i := range c.Headers {
		c.Headers[i].Key = strings.Clone(c.Headers[i].Key)
		c.Headers[i].Value = bytes.Clone(c.Headers[i].Value)
	}
	return c
}

func (m *Machine) refusal(r *mapping.Refused) Refusal {
	switch {
	case m.word.answer == AnswerGap && m.word.to.Reason == RecordRefused && m.word.to.From == r.Offset:
		return SkipRecord
	case r.Large:
		return m.cfg.Policy.Large
	}
	return m.cfg.Policy.Refused
}

// leaveOut puts a gap marker where the record would be. One marker stands for
// neighbours that wait together. Its offset is passed with its own epoch: with an
// older one the commit would look, to the next owner's client, like one of a log
// that was cut back.
func (m *Machine) leaveOut(reason string, offset int64, epoch int32) {
	if m.taken, m.lastData = offset, offset; m.has(RefusedUnmarked) {
		return
	}
	if !m.has(RefusedEpoch) {
		m.epoch = max(m.epoch, epoch)
	}
	from := offset
	if n := len(m.queue); n > 0 {
		if g := m.queue[n-1].Gap(); g != nil && g.Reason == reason && g.To == offset {
			from = g.From
			m.retired = append(m.retired, m.queue[n-1])
			m.queue = m.queue[:n-1]
		}
	}
	m.queue = append(m.queue, mapping.GapMarker(m.gap(reason, from, offset+1)))
}

// settled looks at what is left when nothing is in flight and nothing waits:
// control records to pass, a record to refuse.
func (m *Machine) settled() {
	if m.phase != flowing || !m.opened || m.window.Len() > 0 || len(m.queue) > 0 {
		return
	}
	m.commit(false)
	r := m.refused
	switch {
	case r == nil:
	case r.Offset <= m.pos.durable: // there already, by another's hand: reading was paused for nothing
		m.repair()
	case m.letter != nil:
		m.post()
	default:
		m.stopAt(Hold{Reason: RecordRefused, Detail: r.Error() + "; the partition waits at it", From: r.Offset, To: r.Offset + 1})
	}
}

// post puts the refused record into the dead letter topic: before the marker
// that says so, and again where that marker does not get into the stream.
func (m *Machine) post() {
	if m.letter != nil && !m.posting {
		m.posting = true
		m.do(DeadLetter{ID: m.nextRequest(), Letter: *m.letter})
	}
}

func (m *Machine) posted(ev DeadLettered) {
	if m.letter == nil {
		return
	}
	if ev.Err != nil && !m.has(LetterAssumed) {
		m.trouble = fmt.Errorf("put the record at offset %d into the dead letter topic: %w", m.refused.Offset, ev.Err)
		m.failures++
		m.wait(m.backoff(), func() { m.posting = false; m.post() })
		return
	}
	offset := m.refused.Offset
	m.doubt = doubt{offset: offset, epoch: m.letter.Record.LeaderEpoch}
	m.refused, m.letter, m.posting = nil, nil, false
	m.found = m.pos
	m.seekBehind(offset+1, m.doubt.epoch)
	m.from = offset // the marker is what we hold for it
	m.leaveOut(mapping.ReasonDeadLetter, offset, m.doubt.epoch)
	if m.doubt.epoch >= 0 {
		m.doubt.open = true
		m.askDoubt()
		return
	}
	m.pump()
}

// doubt: reading was paused while the letter was on its way, perhaps for hours,
// and a Seek does not look at epochs. Nothing is sent before Kafka has said that
// the record is still of its log.
type doubt struct {
	open   bool
	offset int64
	epoch  int32
}

func (m *Machine) askDoubt() { m.do(EpochEnd{ID: m.nextRequest(), Epoch: m.doubt.epoch}) }

func (m *Machine) doubtEnded(ev EpochEnded) {
	switch d := m.doubt; {
	case errors.Is(ev.Err, errors.ErrUnsupported):
	case ev.Err != nil || ev.End < 0:
		m.failures++
		m.wait(m.backoff(), m.askDoubt)
		return
	case ev.End <= d.offset:
		m.rewound(ev.End, fmt.Sprintf("leader epoch %d ends at offset %d in Kafka's log, below the record at %d that went to the dead letter topic", d.epoch, ev.End, d.offset))
		return
	}
	m.doubt.open = false
	m.pump()
}

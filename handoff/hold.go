package handoff

import (
	"fmt"
	"slices"
	"time"
)

// Reason is why a partition is held: one closed list, the same word in the log,
// in the metric's label and in the status.
type Reason string

// The reasons.
const (
	RetentionLost    Reason = "retention-lost"
	Truncated        Reason = "truncated"
	Recreated        Reason = "topic-recreated"
	ForeignIdentity  Reason = "foreign-identity"
	ForeignRecord    Reason = "foreign-record"
	TokenCleared     Reason = "token-cleared"
	S2Behind         Reason = "s2-behind"
	PositionUnproven Reason = "position-unproven"
	Rival            Reason = "rival"
	RecordRefused    Reason = "record-refused"
	Unauthorized     Reason = "unauthorized"
	FormatUnknown    Reason = "format-unknown"
)

// Reasons lists them all.
func Reasons() []Reason {
	return []Reason{RetentionLost, Truncated, Recreated, ForeignIdentity, ForeignRecord, TokenCleared,
		S2Behind, PositionUnproven, Rival, RecordRefused, Unauthorized, FormatUnknown}
}

// Next is what the operator can do about it, in one sentence.
func (r Reason) Next() string {
	switch r {
	case RetentionLost:
		return "Kafka deleted these records before they were copied: restore them, or let the copy go on at what is left (gap)."
	case Truncated:
		return "Kafka's log was cut back and holds other records at these offsets: compare both, then go on behind what the stream has (gap)."
	case Recreated:
		return "Give the new topic streams of its own (stream.name with {topic_id}; new-stream); adopt only if it holds the same records."
	case ForeignIdentity:
		return "Two topics or clusters share this stream: change stream.name; or adopt it, if the cluster was restored under another id."
	case ForeignRecord:
		return "Another program writes to this stream: stop it, then adopt (its records stay, readers pass over them)."
	case TokenCleared:
		return "Somebody cleared the fencing token: make sure that nobody else writes, then adopt."
	case S2Behind:
		return "The stream lost records, or was deleted or re-created: restore it; or copy again what it lost (replay), or give that up (gap). It is looked at again every 10 minutes."
	case PositionUnproven:
		return "Trims or retention removed the records that tell the position: copy again what Kafka still has (replay)."
	case Rival:
		return "Another bridge writes this partition: stop it, or give each a stream.name of its own; tried again every 10 minutes."
	case RecordRefused:
		return "What is before this record is copied, nothing behind it: raise kafka.max_record_bytes if that is what it passes, and restart; or go on behind it (gap)."
	case Unauthorized:
		return "Check the access token's scope (append, read, check-tail, create-stream, fence) for this stream; it is retried."
	case FormatUnknown:
		return "A newer version of the bridge wrote this stream: run that version."
	}
	return ""
}

// Answers are what an operator may say to a hold.
func (r Reason) Answers() []Answer {
	switch r {
	case RetentionLost, Truncated, RecordRefused:
		return []Answer{AnswerGap, AnswerRetry}
	case Recreated:
		return []Answer{AnswerNewStream, AnswerAdopt, AnswerRetry}
	case ForeignIdentity, ForeignRecord, TokenCleared:
		return []Answer{AnswerAdopt, AnswerRetry}
	case S2Behind:
		return []Answer{AnswerReplay, AnswerGap, AnswerRetry}
	case PositionUnproven:
		return []Answer{AnswerReplay, AnswerRetry}
	}
	return []Answer{AnswerRetry}
}

// recheck is how often a held partition looks again by itself; 0: never. Only
// holds that heal without anybody's word do, and looking touches nothing.
func (r Reason) recheck() time.Duration {
	switch r {
	case S2Behind, Rival:
		return 10 * time.Minute
	case Unauthorized:
		return 30 * time.Second
	}
	return 0
}

// Hold is why and since when a partition stands still; the zero value: it does
// not.
type Hold struct {
	Reason Reason
	Detail string // a plain sentence with the numbers
	// Offsets [From, To) are lost unless somebody brings them back; equal: none
	// are known to be.
	From, To int64
}

// stop holds the partition: nothing is sent, nothing is kept, nothing is
// skipped. Other partitions never notice.
func (m *Machine) stop(r Reason, detail string) { m.stopAt(Hold{Reason: r, Detail: detail}) }

// stopAt is stop where the offsets are known that are lost.
func (m *Machine) stopAt(h Hold) {
	m.searching = m.phase == locating
	m.dropSession(false)
	m.dropAll()
	m.from = -1
	if m.word.used && m.word.to.Reason != h.Reason {
		m.kept = append(m.kept, m.word) // one loss lies behind the other: both want a word
	} else if !m.word.used || slices.ContainsFunc(m.kept, func(w permission) bool { return w.to.Reason == h.Reason }) {
		m.kept = nil
	}
	m.gaps, m.await, m.adopting, m.comparing, m.word = nil, -1, false, nil, permission{}
	m.phase, m.hold = held, h
	m.nextRequest() // an answer that is under way finds nobody
	m.off(waitTimer)
	m.do(Pause{})
	if every := h.Reason.recheck(); every > 0 {
		m.wait(every, func() { m.lookAgain(Recheck) })
	}
}

// retry goes on with again after a pause. What kind of error it was chooses
// only how long, and that a refused access token is shown as a hold.
func (m *Machine) retry(err error, again func()) {
	m.trouble = err
	m.failures++
	if !m.deniedAgain(err) {
		m.wait(m.backoff(), again)
	}
}

// deniedAgain holds the partition when S2 refuses our access token for the
// second time in a row, without an ack in between: the first may be a token's
// rotation.
func (m *Machine) deniedAgain(err error) bool {
	if !denied(err) {
		m.denials = 0
		return false
	}
	if m.denials++; m.denials > 1 {
		m.stop(Unauthorized, fmt.Sprintf("S2 refused: %v", err))
		return true
	}
	return false
}

// backoff is the pause after the failures in a row so far.
func (m *Machine) backoff() time.Duration { return m.pause(m.failures) }

// pause doubles with every time in a row, with jitter, up to the limit.
func (m *Machine) pause(times int) time.Duration {
	d := m.cfg.BackoffMin << min(max(times-1, 0), 20)
	if d <= 0 || d > m.cfg.BackoffMax {
		d = m.cfg.BackoffMax
	}
	return m.jitter(d)
}

// jitter gives between half of d and d.
func (m *Machine) jitter(d time.Duration) time.Duration {
	if d <= 1 {
		return d
	}
	return d/2 + time.Duration(m.cfg.Rand.Int64N(int64(d/2)))
}

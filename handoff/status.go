package handoff

import (
	"errors"

	"kafka-s2-bridge/mapping"
)

// Cause is why an acquisition began.
type Cause uint8

// Causes of acquisitions.
const (
	First         Cause = iota // the first records of an assignment
	SessionEnded               // the append session failed or ended
	AckMismatch                // an ack was not the expected one
	AckTimeout                 // no ack came
	KafkaPosition              // Kafka would not go on at our position
	Recheck                    // a held partition looks again
	Answered                   // an operator answered a hold
	causeCount
)

var causeNames = [causeCount]string{"first", "session_ended", "ack_mismatch", "ack_timeout", "kafka_position", "recheck", "answered"}

func (c Cause) String() string { return causeNames[c] }

var (
	errAckTimeout = errors.New("no ack within s2.ack_timeout")
	errCleanEnd   = errors.New("the session ended with appends unacknowledged")
)

// Missing is a class of Kafka offsets that are not in the stream.
type Missing uint8

// Classes of missing offsets. The first is legal: compacted, aborted, or a
// control record's. The others stand in gap markers.
const (
	MissingLegal Missing = iota
	MissingRetention
	MissingTruncation
	MissingRefused
	MissingDeadLetter
	MissingOperator
	missingCount
)

var missingNames = [missingCount]string{"compacted_or_transactional", "retention", "truncation", "refused", "dead_letter", "operator"}

func (m Missing) String() string { return missingNames[m] }

// Counters count since the assignment.
type Counters struct {
	Missing      [missingCount]uint64 // offsets passed over, by class
	Records      uint64               // Kafka records acknowledged by S2
	Bytes        uint64               // key and value bytes of them
	Acquisitions [causeCount]uint64
}

// Status is a snapshot for people and metrics.
type Status struct {
	Phase         string
	Hold          Hold          // zero: not held
	Trouble       string        // last failure that is not overcome yet
	Durable       int64         // Kafka offset up to which the stream is complete; -1 none or unknown
	Position      int64         // where the copy stands: the next offset, or behind control records; -1 unknown
	Next          uint64        // sequence number behind our last record
	InflightBytes int           // sent and not acknowledged
	LastGaps      []mapping.Gap // the gap markers that the newest ack, or reading, showed to be in the stream
	Counters
}

// Status describes the machine as it is now.
func (m *Machine) Status() Status {
	s := Status{
		Phase: m.phase.String(), Hold: m.hold, Durable: m.pos.durable, Position: m.position(),
		Next: m.pos.next, InflightBytes: m.window.Bytes(), LastGaps: m.lastGaps, Counters: m.count,
	}
	if m.trouble != nil {
		s.Trouble = m.trouble.Error()
	}
	return s
}

// position is where the copy stands in Kafka's log. A partition that was found
// in S2 has one before its group commits anything.
func (m *Machine) position() int64 {
	switch {
	case m.phase == idle:
		return max(m.taken+1, m.from) // what a commit passed is read again
	case m.phase == locating || m.pos.next == 0:
		return m.marked.Offset
	}
	return max(m.marked.Offset, m.pos.durable+1)
}

// Held is the memory in bytes that the machine keeps for its partition.
func (m *Machine) Held() int {
	n := 0
	for _, b := range m.queue {
		n += b.Mem()
	}
	m.window.Each(func(b *mapping.Batch) { n += b.Mem() })
	for _, b := range m.begun {
		n += b.Mem()
	}
	if l := m.letter; l != nil {
		n += payload(&l.Record)
		for _, h := range l.Record.Headers {
			n += len(h.Key) + len(h.Value) + 48
		}
	}
	return n
}

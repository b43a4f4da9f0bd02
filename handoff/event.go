package handoff

import (
	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// Event is something that happened; Machine.Step takes one.
type Event interface{ event() }

// Events from Kafka's side.
type (
	// Begin opens the assignment.
	Begin struct{}
	// Fetched brings records as Kafka served them, control records included.
	// Cut is that of the Seek whose position they were read from (0: the
	// position of the assignment's commit).
	Fetched struct {
		Cut     uint64
		Records []mapping.Record
	}
	// Trouble says that Kafka will not simply go on at our position.
	Trouble struct {
		Cut  uint64
		Kind TroubleKind
		// Offset is where Kafka's client went on by itself after data loss;
		// -1 where it did not say.
		Offset int64
		Detail string
	}
	// Release asks to finish what is in flight and to let go (a revoke).
	Release struct{}
	// Lost says that the partition is somebody else's already.
	Lost struct{}
	// Resume brings an operator's answer to a hold; one that does not fit is
	// ignored.
	Resume struct{ Answer Answer }
)

// TroubleKind is what went wrong with the position at Kafka.
type TroubleKind uint8

// Kinds of trouble.
const (
	OutOfRange     TroubleKind = iota // the position is below the log start or above the end
	DataLoss                          // the client noticed a truncated log and moved
	TopicRecreated                    // another topic has the name now
)

// Events from S2's side: replies to the request of the same ID, and the
// session's acknowledgements.
type (
	Asked struct { // reply to Ask
		ID     uint64
		Tail   uint64
		Token  string
		Exists bool
		Err    error
	}
	Created struct { // reply to Create
		ID  uint64
		Err error
	}
	Fenced struct { // reply to Fence: the fence record's sequence number
		ID  uint64
		Seq uint64
		Err error
	}
	Page struct { // reply to Read
		ID      uint64
		Records []mapping.Stored
		Err     error
	}
	Ranged struct { // reply to Range: Kafka's log start and high watermark
		ID         uint64
		Start, End int64
		Err        error
	}
	EpochEnded struct { // reply to EpochEnd: end offset of epoch Of, -1 unknown
		ID  uint64
		Of  int32
		End int64
		Err error
	}
	Located struct { // reply to Locate
		ID     uint64
		Offset int64
		Err    error
	}
	Recalled struct { // reply to Recall
		ID      uint64
		Records []mapping.Record
		Err     error
	}
	Overwritten struct { // reply to Overwrite: Kafka has confirmed the mark
		ID   uint64
		Mark offsets.Mark
		Err  error
	}
	DeadLettered struct { // reply to DeadLetter
		ID  uint64
		Err error
	}
	Acked struct { // sequence numbers [Start, End) are durable
		Session    uint64
		Start, End uint64
	}
	Ended struct { // the session is over, whatever the error: "unknown" for what is in flight
		Session uint64
		Err     error
	}
	// Advised says that S2 would like the session to be opened anew.
	Advised struct{ Session uint64 }
)

// Tick says that a deadline of the machine may have passed. Paced is the
// governor's permit for one append.
type (
	Tick  struct{}
	Paced struct{}
)

// Action is something to do, in the order given.
type Action interface{ action() }

// Requests: one at a time, each answered by the event that carries its ID.
type (
	Ask    struct{ ID uint64 } // tail and token, touching nothing
	Create struct{ ID uint64 } // the stream, with its settings
	Fence  struct {            // append a fence on condition of the token seen (none: and of the tail)
		ID          uint64
		Token, Seen string
		Tail        uint64
	}
	Read struct { // a page of at most Count records from sequence number From on
		ID    uint64
		From  uint64
		Count int
	}
	Range    struct{ ID uint64 } // Kafka's log start and high watermark, asked now
	EpochEnd struct {            // OffsetForLeaderEpoch
		ID    uint64
		Epoch int32
	}
	Locate struct { // where a start policy begins
		ID    uint64
		Start StartPolicy
	}
	Recall struct { // the records of Kafka's log at these offsets, both inclusive
		ID          uint64
		First, Last int64
	}
	Overwrite struct { // commit an offset below the one committed before
		ID   uint64
		Mark offsets.Mark
	}
	DeadLetter struct { // put a record into the dead letter topic
		ID     uint64
		Letter Letter
	}
)

// The append session.
type (
	Open struct{ Session uint64 } // without waiting for anything
	Send struct {
		Session uint64
		Batch   *mapping.Batch
		Seq     uint64
		Token   string
	}
	// Finish half-closes a session with nothing in flight.
	Finish struct{ Session uint64 }
	// Abort cuts a session off; afterwards its batches are not read any more.
	// Suspect asks for a fresh connection.
	Abort struct {
		Session uint64
		Suspect bool
	}
	// Pace asks for a permit to send one batch; Paced answers.
	Pace struct{}
)

// Kafka's side, and the end.
type (
	// Seek drops all that was fetched and reads from Offset; what comes from
	// there carries Cut. It lifts a Pause.
	Seek struct {
		Cut    uint64
		Offset int64
		Epoch  int32
	}
	Pause struct{}
	// Commit marks an offset for the group. Explicit: also where the client
	// believes that it is committed already.
	Commit struct {
		Mark     offsets.Mark
		Explicit bool
	}
	// Done is the last action: the partition is let go.
	Done struct{}
)

func (Begin) event()        {}
func (Fetched) event()      {}
func (Trouble) event()      {}
func (Release) event()      {}
func (Lost) event()         {}
func (Resume) event()       {}
func (Located) event()      {}
func (Recalled) event()     {}
func (Overwritten) event()  {}
func (DeadLettered) event() {}
func (Asked) event()        {}
func (Created) event()      {}
func (Fenced) event()       {}
func (Page) event()         {}
func (Ranged) event()       {}
func (EpochEnded) event()   {}
func (Acked) event()        {}
func (Ended) event()        {}
func (Advised) event()      {}
func (Tick) event()         {}
func (Paced) event()        {}

func (Ask) action()        {}
func (Create) action()     {}
func (Fence) action()      {}
func (Read) action()       {}
func (Range) action()      {}
func (EpochEnd) action()   {}
func (Locate) action()     {}
func (Recall) action()     {}
func (Overwrite) action()  {}
func (DeadLetter) action() {}
func (Open) action()       {}
func (Send) action()       {}
func (Finish) action()     {}
func (Abort) action()      {}
func (Pace) action()       {}
func (Seek) action()       {}
func (Pause) action()      {}
func (Commit) action()     {}
func (Done) action()       {}

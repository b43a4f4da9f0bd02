package handoff

import (
	"context"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// Partition is what an owner needs of Kafka, for its one partition.
type Partition interface {
	Reading
	Log
	Group
}

// Reading is the partition's fetches. No method waits for anything.
type Reading interface {
	// Seek drops everything that was fetched for the partition, reads from
	// offset and lifts a Pause. What comes from there is handed over with cut.
	Seek(cut uint64, offset int64, epoch int32)
	// Pause stops fetching until the next Seek.
	Pause()
	// Held reports a change of the memory held for the partition, in bytes. What
	// is left when the owner is done counts no more.
	Held(delta int)
}

// Log is Kafka's log of the partition, asked now.
type Log interface {
	// Range asks for the log start offset and the high watermark.
	Range(ctx context.Context) (start, end int64, err error)
	// EpochEnd asks for the end offset of a leader epoch, or of the highest one
	// below it that Kafka had (of says which); -1: Kafka does not know the epoch.
	// errors.ErrUnsupported: the broker cannot tell.
	EpochEnd(ctx context.Context, epoch int32) (of int32, end int64, err error)
	// Locate gives the offset of a start, never FromEarliest or FromOffset.
	Locate(ctx context.Context, start StartPolicy) (offset int64, err error)
	// Records reads the data records from offset first to offset last, both
	// inclusive, anew: those that Kafka still has.
	Records(ctx context.Context, first, last int64) ([]mapping.Record, error)
}

// Group is what reaches Kafka: the group's commits and dead letters.
type Group interface {
	// Mark lets the group commit; explicit: also where the client believes
	// that this offset is committed already. It does not wait.
	Mark(mark offsets.Mark, explicit bool)
	// Overwrite commits an offset below the one committed before, and returns
	// when Kafka has confirmed it.
	Overwrite(ctx context.Context, mark offsets.Mark) error
	// DeadLetter puts a record into the dead letter topic, and returns when
	// Kafka has confirmed it.
	DeadLetter(ctx context.Context, letter Letter) error
}

// Stream is what an owner needs of S2, for its one stream. Errors may have the
// methods Fenced() (token string, ok bool) and Denied() bool.
type Stream interface {
	// Ask touches nothing: the tail, and where the stream exists its fencing
	// token.
	Ask(ctx context.Context) (tail uint64, token string, exists bool, err error)
	// Create makes the stream with its settings; no error where it exists.
	Create(ctx context.Context) error
	// Fence appends a fence command on condition of the token seen (empty: and
	// that the stream ends at tail) and returns its sequence number.
	Fence(ctx context.Context, token, seen string, tail uint64) (seq uint64, err error)
	// Read returns at most count records from a sequence number on; fewer where
	// the page is full, none where nothing is there.
	Read(ctx context.Context, from uint64, count int) ([]mapping.Stored, error)
	// Open starts an append session without waiting for it. The callbacks must
	// not block; ended comes exactly once, last.
	Open(ctx context.Context, on SessionEvents) Session
	// Suspect asks for a fresh connection: the one in use looks dead.
	Suspect()
}

// SessionEvents is where a session reports to.
type SessionEvents struct {
	Acked   func(start, end uint64) // records [start, end) are durable
	Advised func()                  // the server would like a new session
	Ended   func(error)             // nil: the response ended cleanly
}

// Session is one append session. Its methods never block.
type Session interface {
	// Send appends a batch at sequence number seq under the fencing token.
	Send(b *mapping.Batch, seq uint64, token string)
	// Finish half-closes behind what was sent.
	Finish()
	// Abort cuts the session off; afterwards no batch of it is read any more.
	Abort()
}

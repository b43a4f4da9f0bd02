package handoff

import (
	"time"

	"kafka-s2-bridge/mapping"
)

// Answer is what an operator says to a hold: once (Resume), or in advance in
// the configuration (Policy.Standing).
type Answer string

// The answers. Each fits some holds only: Reason.Answers.
const (
	AnswerGap       Answer = "gap"        // give the lost offsets up: a gap marker says which
	AnswerNewStream Answer = "new-stream" // a re-created topic goes on in a stream of its own
	AnswerAdopt     Answer = "adopt"      // take the stream over if its last records are Kafka's
	AnswerReplay    Answer = "replay"     // forget what was acknowledged: copy again from what the stream holds
	AnswerRetry     Answer = "retry"      // look again, nothing is given up
)

// Policy is what a topic's configuration says in advance.
type Policy struct {
	Start    StartPolicy       // where a partition begins whose stream has no position
	Large    Refusal           // records that S2 takes only in chunks; used with Packer.NoChunks
	Refused  Refusal           // records that cannot be bridged at all
	Standing map[Reason]Answer // answers to holds that are given by themselves
}

// Refusal is what becomes of a record that is not copied; the zero value holds.
type Refusal uint8

// Refusals.
const (
	HoldRecord       Refusal = iota // the partition stands at it
	SkipRecord                      // a gap marker stands for it
	DeadLetterRecord                // it goes to the dead letter topic; a gap marker stands for it
)

// StartPolicy is where copying begins; the zero value is the log start.
type StartPolicy struct {
	From   StartFrom
	At     time.Time // FromTime
	Offset int64     // FromOffset
}

// StartFrom is the kind of a StartPolicy.
type StartFrom uint8

// Kinds of starts.
const (
	FromEarliest StartFrom = iota // Kafka's log start
	FromLatest                    // the last stable offset when the partition is first seen
	FromTime                      // the first record whose timestamp is not before At; FromLatest if there is none
	FromOffset                    // Offset
)

// Letter is a record for the dead letter topic.
type Letter struct {
	Record mapping.Record // shares the bytes of the fetch
	Why    string         // a plain sentence
}

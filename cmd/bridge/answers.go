package main

import (
	"fmt"

	"kafka-s2-bridge/handoff"
)

// givesUp says what an answer to a hold does, and what is given up by it: half a
// sentence that goes on behind the command.
func givesUp(reason handoff.Reason, answer handoff.Answer) string {
	switch answer {
	case handoff.AnswerRetry:
		return "looks again; gives nothing up"
	case handoff.AnswerReplay:
		if reason == handoff.PositionUnproven {
			return "copies again what Kafka still has, from its log start on; gives nothing up, but readers may see records twice"
		}
		return "copies again from where the stream ends; gives nothing up that Kafka still has, but readers see these records at new sequence numbers"
	case handoff.AnswerNewStream:
		return "copies the new topic into a stream of its own; gives nothing up"
	case handoff.AnswerAdopt:
		return "takes the stream over if its last records are Kafka's; gives nothing up"
	}
	switch reason { // gap
	case handoff.Truncated:
		return "goes on behind the history that Kafka dropped, which the stream keeps; gives up what Kafka has, or will have, at the same offsets"
	case handoff.RecordRefused:
		return "goes on behind the record; gives it up"
	case handoff.S2Behind:
		return "goes on where the copy stood; gives up what S2 lost"
	}
	return "goes on at what Kafka still has; gives up what it deleted"
}

// String says which offsets these are: the last one included, as people count.
func (r *offsetRange) String() string {
	n := r.To - r.From
	if n == 1 {
		return fmt.Sprintf("offset %d", r.From)
	}
	return fmt.Sprintf("offsets %d to %d (%s)", r.From, r.To-1, grouped(n))
}

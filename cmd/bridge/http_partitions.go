package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"kafka-s2-bridge/handoff"
)

// Operated is the running bridge as its operators see it.
type Operated interface {
	Readiness
	// Partitions lists what the group gives to this process, by topic and number.
	// It must not block.
	Partitions() []partition
	// Resume gives an answer to the hold of a partition. errNotAssigned: it is not
	// this process's; any other error is a sentence on why the answer does not fit,
	// or ctx's.
	Resume(ctx context.Context, topic string, number int32, a handoff.Answer) error
}

// partition is one element of what /api/v1/partitions serves. The names are a
// promise to scripts.
type partition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Stream    string `json:"stream"`
	State     string `json:"state"`
	// Reason, Detail, Next, Lost and Accepts are of a hold; empty: not held.
	Reason   string       `json:"reason"`
	Detail   string       `json:"detail"`         // what happened, with the numbers
	Next     string       `json:"next"`           // what can be done about it
	Lost     *offsetRange `json:"lost,omitempty"` // absent: none are known to be
	Accepts  []string     `json:"accepts"`        // what `bridge resume` may say
	Trouble  string       `json:"trouble"`        // last failure that is not overcome; "" = none
	Durable  int64        `json:"durable_offset"` // the stream is complete up to it; -1 none or unknown
	Position int64        `json:"position"`       // next Kafka offset; -1 unknown
	Sequence uint64       `json:"sequence_number"`
	// Of Kafka's log; -1 unknown.
	LastStable    int64  `json:"last_stable_offset"`
	HighWatermark int64  `json:"high_watermark"`
	Lag           int64  `json:"lag"`     // from position to the end of what is copied
	Blocked       string `json:"blocked"` // a sentence where an open transaction keeps records back; "" = none does
	Held          int    `json:"held_bytes"`
}

// offsetRange is [From, To).
type offsetRange struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// id is how people name a partition, and how the commands take it.
func (p partition) id() string { return p.Topic + "/" + strconv.Itoa(int(p.Partition)) }

// holdOf fills in what a hold says. perTopicID: stream.name has {topic_id}. With it
// a topic that was created anew has a stream of its own, and none to adopt; without
// it the other way round.
func (p *partition) holdOf(h handoff.Hold, perTopicID bool) {
	p.Accepts = []string{} // [] in JSON, never null
	if h.Reason == "" {
		return
	}
	p.Reason, p.Detail, p.Next = string(h.Reason), h.Detail, h.Reason.Next()
	if h.From < h.To {
		p.Lost = &offsetRange{h.From, h.To}
	}
	for _, a := range h.Reason.Answers() {
		unfit := a == handoff.AnswerNewStream && !perTopicID || a == handoff.AnswerAdopt && perTopicID && h.Reason == handoff.Recreated
		if !unfit {
			p.Accepts = append(p.Accepts, string(a))
		}
	}
}

// resumeCommand is what answers the hold of a partition: one line to paste, with
// the first of the answers. The first one of Reason.Answers lets the copy go on.
func resumeCommand(id string, accepts []string) string {
	if len(accepts) == 0 {
		return ""
	}
	return "bridge resume " + id + " --accept " + accepts[0]
}

// howToResume is resumeCommand with the other answers behind it.
func howToResume(id string, accepts []string) string {
	text := resumeCommand(id, accepts)
	if len(accepts) > 1 {
		text += " (or " + strings.Join(accepts[1:], ", ") + ")"
	}
	return text
}

// clean takes secrets out of what may quote somebody.
func (p partition) clean(hide redactor) partition {
	for _, text := range []*string{&p.Topic, &p.Stream, &p.Detail, &p.Next, &p.Trouble, &p.Blocked} {
		*text = hide.text(*text)
	}
	return p
}

// find returns a partition of the list.
func find(list []partition, topic string, number int32) (partition, bool) {
	i := slices.IndexFunc(list, func(p partition) bool { return p.Topic == topic && p.Partition == number })
	if i < 0 {
		return partition{}, false
	}
	return list[i], true
}

func servePartitions(of Operated, hide redactor) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		list := of.Partitions()
		clean := make([]partition, 0, len(list)) // [] in JSON, never null
		for _, p := range list {
			clean = append(clean, p.clean(hide))
		}
		sayJSON(w, http.StatusOK, clean)
	}
}

func sayJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone: nobody to tell
}

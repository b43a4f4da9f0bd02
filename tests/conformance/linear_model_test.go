package conformance

import (
	"fmt"
	"hash/fnv"

	"github.com/anishathalye/porcupine"
)

// The words of a stream for the linearizability check: an append (of which a fence command is one), a tail check, a read of
// everything. It restates, by itself, what S2 promises of them taken one after the other.
//
//	state = next sequence number, fencing token, digest of all records
//
//	append   token given and another one  --> refused, and says which
//	         number given and not the next --> refused, and says which
//	         else: next += n, digest, token if it is a fence
//	unknown  an append whose client gave up: done at any later time, or never

// call is what a client asks.
type call struct {
	kind  callKind
	batch batch   // of an append
	set   *string // the token that it sets, if it is a fence
}

type callKind uint8

const (
	callAppend callKind = iota
	callTail
	callRead
)

// result is what a client is told.
type result struct {
	kind       resultKind
	start, end uint64 // of an ack; end: the tail, or the end of what was read
	token      string // the one that a refusal names
	digest     uint64 // of what was read
}

type resultKind uint8

const (
	done         resultKind = iota
	wrongToken              // 412 fencing_token_mismatch
	wrongNumber             // 412 seq_num_mismatch: start is the number
	neverApplied            // behind a batch of its session that was refused
	unknown                 // nobody said
)

// streamState is a stream.
type streamState struct {
	next   uint64
	token  string
	digest uint64
}

// chain adds a record to a digest.
func chain(digest uint64, command bool, body string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %t %s", digest, command, body)
	return h.Sum64()
}

func digestOf(digest uint64, records []rec) uint64 {
	for _, r := range records {
		digest = chain(digest, len(r.headers) > 0, r.body)
	}
	return digest
}

// step gives the states that a stream may be in after the call, if this was its result; none: it cannot have been.
func (s streamState) step(c call, r result) []streamState {
	switch c.kind {
	case callTail:
		return s.only(r.end == s.next)
	case callRead:
		return s.only(r.end == s.next && r.digest == s.digest)
	}
	tokenFits := c.batch.token == nil || *c.batch.token == s.token
	numberFits := c.batch.match == nil || *c.batch.match == s.next
	after := streamState{s.next + uint64(len(c.batch.records)), s.token, digestOf(s.digest, c.batch.records)}
	if c.set != nil {
		after.token = *c.set
	}
	switch r.kind {
	case done:
		return after.only(tokenFits && numberFits && r.start == s.next && r.end == after.next)
	case wrongToken:
		return s.only(!tokenFits && r.token == s.token)
	case wrongNumber:
		return s.only(tokenFits && !numberFits && r.start == s.next)
	case unknown:
		if tokenFits && numberFits {
			return []streamState{s, after}
		}
	}
	return []streamState{s}
}

func (s streamState) only(right bool) []streamState {
	if right {
		return []streamState{s}
	}
	return nil
}

// streams is the model in porcupine's terms.
var streams = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{streamState{}} },
	Step: func(state, input, output any) (after []any) {
		for _, s := range state.(streamState).step(input.(call), output.(result)) {
			after = append(after, s)
		}
		return after
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}).ToModel()

//go:build synctests

package bubble

import (
	"fmt"
	"time"

	"kafka-s2-bridge/tests/s2mem"
)

// action names what a fault of s2mem does, and for how long it holds.
type action struct {
	name  string
	do    s2mem.Action
	holds bool
}

var (
	beforeApply = []action{{"reset", s2mem.Reset, false}, {"cut", s2mem.Cut, false}, {"ends cleanly", s2mem.EOF, false},
		{"held (late delivery)", s2mem.Hold, true}, {"refused", s2mem.Refuse, false}}
	afterApply = []action{{"applied, reset", s2mem.ApplyReset, false}, {"applied, cut", s2mem.ApplyCut, false},
		{"applied, ends cleanly", s2mem.ApplyEOF, false}, {"applied, refused", s2mem.ApplyRefuse, false},
		{"applied, answer held", s2mem.HoldAnswer, true}, {"applied, torn answer", s2mem.TornAck, false}}
	batchOnly = []action{{"not read any more", s2mem.Stall, true}, {"wrong ack", s2mem.WrongAck, false}, {"durable late", s2mem.SlowFlush, true},
		{"durable when let go", s2mem.HoldFlush, true}, {"reconnect advised", s2mem.Advise, false}}
)

// batchKinds disturb the batches of append sessions.
func batchKinds() (all []*kind) {
	for _, list := range [...][]action{beforeApply, afterApply, batchOnly} {
		for _, a := range list {
			all = append(all, &kind{"s2 batch " + a.name, func(f *fault) int {
				return f.s2Call(s2mem.OpBatch, a)
			}})
		}
	}
	return all
}

// requestKinds disturb everything else that is asked of S2. OpAppend is the
// fence.
func requestKinds() (all []*kind) {
	add := func(what string, op s2mem.Op, lists ...[]action) {
		for _, list := range lists {
			for _, a := range list {
				all = append(all, &kind{"s2 " + what + " " + a.name, func(f *fault) int { return f.s2Call(op, a) }})
			}
		}
	}
	add("fence", s2mem.OpAppend, beforeApply, afterApply)
	add("session", s2mem.OpOpen, []action{{"refused", s2mem.Refuse, false}, {"reset", s2mem.Reset, false}, {"ends cleanly", s2mem.EOF, false},
		{"held", s2mem.HoldAnswer, true}, {"told to go away", s2mem.GoAway, false}})
	unary := []action{{"refused", s2mem.Refuse, false}, {"reset", s2mem.Reset, false}, {"cut", s2mem.Cut, false}, {"held", s2mem.HoldAnswer, true},
		{"torn answer", s2mem.TornAck, false}}
	for _, op := range [...]s2mem.Op{s2mem.OpTail, s2mem.OpAsk, s2mem.OpRead} {
		some := func(f *fault) int { return f.s2Call(op, unary[f.rng.IntN(len(unary))]) }
		all = append(all, &kind{fmt.Sprintf("s2 %v fails", op), some})
	}
	// Once may be a token's rotation; the second time holds the partition.
	all = append(all, &kind{"s2 access token refused", func(f *fault) int {
		topic, partition := f.somePartition()
		return f.s2Fault(s2mem.Fault{Stream: streamName(topic, partition), Do: s2mem.Refuse, Code: pick(f.rng, "authn", "permission_denied"),
			Skip: f.rng.IntN(6), Count: pick(f.rng, 1, 1, 1, 4)}, time.Second)
	}})
	create := append(unary, action{"applied, reset", s2mem.ApplyReset, false})
	return append(all, &kind{"s2 create fails", func(f *fault) int { return f.s2Call(s2mem.OpCreate, create[f.rng.IntN(len(create))]) }})
}

// codes are what S2 may answer; they may be lies.
var codes = []string{"unavailable", "rate_limited", "hot_server", "storage", "other", "request_timeout", "upstream_timeout", "server_draining",
	"transaction_conflict", "stream_not_found", "stream_deletion_pending", "quota_exhausted", "authn", "bad_frame", "invalid", "client_hangup"}

func (f *fault) s2Call(op s2mem.Op, a action) int {
	of := s2mem.Fault{Op: op, Do: a.do, Stream: f.someStream(), Skip: f.rng.IntN(4), Count: 1 + f.rng.IntN(2), Code: codes[f.rng.IntN(len(codes))]}
	if op == s2mem.OpCreate {
		of.Stream, of.Skip = "", f.rng.IntN(2) // there is one a stream
	}
	lasts := time.Duration(0)
	if a.holds {
		lasts = pick(f.rng, 20*time.Millisecond, 500*time.Millisecond, 2*time.Second, 6*time.Second)
		of.Delay = lasts
	}
	switch a.do {
	case s2mem.WrongAck:
		of.ShiftStart, of.ShiftEnd = int64(f.rng.IntN(4)-1), int64(f.rng.IntN(4)-1)
		if of.ShiftStart == 0 && of.ShiftEnd == 0 {
			of.ShiftEnd = 1
		}
	case s2mem.Refuse, s2mem.ApplyRefuse:
		switch asks := op == s2mem.OpTail || op == s2mem.OpAsk; {
		case asks && of.Code == "stream_not_found":
			of.Code = "unavailable" // whether the stream exists S2 must know: it is believed
		case asks || op == s2mem.OpCreate:
		default: // a 412 says what stands there instead, and may lie
			of.Body = pick(f.rng, "", "", "", "",
				fmt.Sprintf(`{"seq_num_mismatch":%d}`, f.rng.IntN(400)),
				fmt.Sprintf(`{"fencing_token_mismatch":%q}`, pick(f.rng, "", "kb1.AAAAAAAA.1.0123456789", "somebody")))
			if of.Body != "" {
				of.Status = 412
			}
		}
	}
	return f.s2Fault(of, lasts)
}

func streamName(topic string, partition int32) string { return fmt.Sprintf("%s/%d", topic, partition) }

package s2mem

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Op is a kind of request, or one batch of an append session.
type Op uint8

// The kinds of request that a Fault can select. An append is OpAsk instead of
// OpAppend or OpBatch if its match_seq_num is 2^62 or more: it cannot land and
// only asks for the fencing token.
const (
	OpAny    Op = iota
	OpTail      // GET the tail
	OpAsk       // the token question, unary or in a session
	OpAppend    // unary append
	OpOpen      // append session, before its 200
	OpBatch     // one batch of an append session
	OpRead      // unary read
	OpFollow    // read session, before its 200
	OpCreate    // POST or PUT a stream
	OpList      // list streams
	OpConfig    // GET or PATCH a stream's configuration
	OpDelete    // delete a stream
	OpBasin     // anything about basins
)

var opNames = [...]string{"any", "tail", "ask", "append", "open", "batch", "read", "follow", "create", "list", "config", "delete", "basin"}

func (o Op) String() string { return opNames[o] }

// Action is what a Fault does to a call that it selects.
type Action uint8

// The actions of a Fault. "Answer" is the response of a unary request, the ack
// of a session's batch, the 200 of a session's opening. Those before ApplyReset
// act ahead of the applying.
const (
	// Refuse answers Status, Code and Message (or Body) and applies nothing. In a
	// session it is a terminal frame behind the acks earned so far.
	Refuse Action = iota
	// Reset ends the HTTP/2 stream with RST_STREAM (the HTTP/1.1 connection by
	// closing it) and applies nothing.
	Reset
	// Cut closes the client's whole connection and applies nothing.
	Cut
	// EOF ends the response cleanly and applies nothing. A unary answer is an
	// empty 200.
	EOF
	// Hold keeps the request back until Release, then goes on as if nothing had
	// been, also if the client has given up meanwhile: late delivery.
	Hold
	// Stall stops reading the client's body until Release. The batch that it
	// hits is not applied if the client gives up first.
	Stall
	// ApplyReset applies, then does as Reset: the lost ack.
	ApplyReset
	// ApplyCut applies, then does as Cut.
	ApplyCut
	// ApplyEOF applies, then does as EOF.
	ApplyEOF
	// ApplyRefuse applies, then answers as Refuse.
	ApplyRefuse
	// TornAck applies, sends half of the answer, then does as Reset.
	TornAck
	// HoldAnswer applies and keeps the answer back until Release.
	HoldAnswer
	// WrongAck applies and answers with ShiftStart and ShiftEnd added to the
	// sequence numbers of the ack.
	WrongAck
	// SlowFlush applies; the batch, and whatever follows it, is durable Delay later.
	SlowFlush
	// HoldFlush applies; the batch, and whatever follows it, is durable after Release.
	HoldFlush
	// Advise applies and sets the reconnect-advised bit of the ack's frame.
	Advise
	// GoAway applies; the answer tells the client to use another connection
	// (GOAWAY in HTTP/2). Not for OpBatch.
	GoAway
	// Observe does nothing but count.
	Observe
)

// Fault disturbs the calls that it selects; every selector that is set must
// match. Faults are asked in the order in which they were installed, and the
// first match alone acts.
type Fault struct {
	Op     Op     // OpAny means every one
	Stream string // exact name; empty means every one
	Prefix string // beginning of the name; empty means every one
	Batch  int    // number of the batch in its session, from 1; 0 means every one
	Skip   int    // matches that pass before the first one that is hit
	Count  int    // calls to hit; 0 means one, -1 means until Remove
	// When selects further. It runs under a lock: it must not block and must
	// not call the server.
	When func(Call) bool

	Do         Action
	Status     int           // of Refuse and ApplyRefuse; 0 means that of Code
	Code       string        // S2 error code; empty means "unavailable"
	Message    string        // empty means "injected by the test"
	Body       string        // JSON instead of Code and Message
	RetryAfter string        // header retry-after of a unary refusal
	Delay      time.Duration // of SlowFlush
	ShiftStart int64         // of WrongAck
	ShiftEnd   int64         // of WrongAck
}

// Call is what a Fault's When sees.
type Call struct {
	Op            Op
	Basin, Stream string
	Session       int     // number of the append session, from 1; 0 otherwise
	Batch         int     // number of the batch in its session, from 1; 0 otherwise
	Match         *uint64 // match_seq_num of an append
	Token         *string // fencing token of an append
	in            *input
}

// Records are those of an append, without sequence numbers. They must not be
// changed or kept.
func (c Call) Records() []Record {
	if c.in == nil {
		return nil
	}
	out := make([]Record, len(c.in.records))
	for i, r := range c.in.records {
		out[i] = Record{Timestamp: r.timestamp, Headers: r.headers, Body: r.body}
	}
	return out
}

// FaultHandle is an installed Fault.
type FaultHandle struct {
	s *Server
	f *installed
}

// installed is a Fault in place.
type installed struct {
	Fault
	hits atomic.Int64

	// Guarded by faults.mu.
	skip, left int
	gate       *hold
}

// fault is what is to be done to one call. Nil does nothing.
type fault struct {
	Fault
	in    *faults
	of    *installed
	gate  *hold // of Hold, Stall, HoldAnswer, HoldFlush
	taken bool  // counted
}

// faults are the installed ones. The lock is never held across anything else.
type faults struct {
	some    atomic.Bool // false: none is installed, nobody needs the lock
	mu      sync.Mutex
	all     []*installed
	changed chan struct{} // closed at the next hit
}

// Fault installs a fault.
func (s *Server) Fault(f Fault) *FaultHandle {
	in := &installed{Fault: f, skip: f.Skip, left: f.Count}
	if f.Count == 0 {
		in.left = 1
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	in.gate = newHold()
	s.faults.all = append(s.faults.all, in)
	s.faults.some.Store(true)
	return &FaultHandle{s, in}
}

// hit finds the fault that acts on a call.
func (fs *faults) hit(c Call) *fault {
	if !fs.some.Load() {
		return nil
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.all {
		if !f.matches(c) {
			continue
		}
		if f.skip > 0 {
			f.skip--
			continue
		}
		if f.left > 0 {
			if f.left--; f.left == 0 {
				fs.drop(f)
			}
		}
		return &fault{Fault: f.Fault, in: fs, of: f, gate: f.gate}
	}
	return nil
}

// count counts the hit, once, at the moment when the action begins: behind the
// applying for those that apply.
func (f *fault) count() {
	if f.taken {
		return
	}
	f.taken = true
	f.of.hits.Add(1)
	f.in.mu.Lock()
	defer f.in.mu.Unlock()
	if f.in.changed != nil {
		close(f.in.changed)
		f.in.changed = nil
	}
}

// drop takes a fault out of the list. The caller holds the lock.
func (fs *faults) drop(f *installed) {
	fs.all = slices.DeleteFunc(slices.Clone(fs.all), func(o *installed) bool { return o == f })
	fs.some.Store(len(fs.all) > 0)
}

func (f *installed) matches(c Call) bool {
	switch {
	case f.Op != OpAny && f.Op != c.Op,
		f.Stream != "" && f.Stream != c.Stream,
		!strings.HasPrefix(c.Stream, f.Prefix),
		f.Batch != 0 && f.Batch != c.Batch:
		return false
	}
	return f.When == nil || f.When(c)
}

// Hits is the number of calls hit so far.
func (h *FaultHandle) Hits() int { return int(h.f.hits.Load()) }

// Wait returns when the fault has hit n calls or more, or with ctx's error. A
// call counts when the action begins; if it is one that applies (or Observe),
// the call is applied by then.
func (h *FaultHandle) Wait(ctx context.Context, n int) error {
	for {
		h.s.faults.mu.Lock()
		if h.Hits() >= n {
			h.s.faults.mu.Unlock()
			return nil
		}
		if h.s.faults.changed == nil {
			h.s.faults.changed = make(chan struct{})
		}
		changed := h.s.faults.changed
		h.s.faults.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Release lets go of everything that the fault holds. What it hits later is
// held anew.
func (h *FaultHandle) Release() {
	h.s.faults.mu.Lock()
	gate := h.f.gate
	h.f.gate = newHold()
	h.s.faults.mu.Unlock()
	gate.release()
}

// Remove takes the fault out and lets go of everything that it holds.
func (h *FaultHandle) Remove() {
	h.s.faults.mu.Lock()
	h.s.faults.drop(h.f)
	h.s.faults.mu.Unlock()
	h.Release()
}

// refusal is what Refuse and ApplyRefuse answer.
func (f *fault) refusal() *refusal {
	code, message := f.Code, f.Message
	if code == "" {
		code = "unavailable"
	}
	if message == "" {
		message = "injected by the test"
	}
	status := f.Status
	if status == 0 {
		status = refuse(code, "").status
	}
	if f.Body != "" {
		return &refusal{status, []byte(f.Body)}
	}
	return refuseAs(status, code, message)
}

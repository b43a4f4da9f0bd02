package sim

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"kafka-s2-bridge/mapping"
)

// stream is S2's side of one partition: one stream, which may be deleted and
// made anew. It does what S2 does (facts.md A1 to A6): the fencing token is
// looked at before the sequence number, a batch lands whole or not at all, a
// command of one record sets the token.
type stream struct {
	w    *world
	p    *partition
	name string

	exists  bool
	made    int // incarnation
	recs    []stored
	first   uint64 // first sequence number that survives trims and retention
	token   string
	rival   string   // the latest token of a rival
	line    lineage  // what the oracle knows of this incarnation
	longest uint64   // how long it was before S2 lost its end
	before  []state  // by sequence number: what held before that record
	chain   []uint64 // by sequence number: hash of everything up to it
	acked   promise  // what an owner believed an ack for last
}

// state is what a stream that loses its newest records falls back to.
type state struct {
	line  lineage
	token string
}

type stored struct {
	mapping.Stored
	hand hand
}

// hand is who wrote a record.
type hand uint8

const (
	byBridge hand = iota
	byFence
	byOther // another program, or an operator
)

func (s *stream) tail() uint64 { return uint64(len(s.recs)) }

func (s *stream) create() {
	if s.exists {
		return
	}
	s.exists = true
	s.made++
	s.recs, s.before, s.chain, s.first, s.longest, s.token = nil, nil, nil, 0, 0, ""
	s.line = newLineage()
}

func (s *stream) remove() {
	s.exists, s.recs, s.before, s.first, s.token = false, nil, nil, 0, ""
	s.line = newLineage()
	s.p.checks = checks{}
}

// rollBack is S2 losing what was appended last: another incarnation, which
// begins with the records below a sequence number.
func (s *stream) rollBack(to uint64) {
	for _, e := range s.p.all {
		switch {
		case e.made != s.made:
		case e.seq >= to:
			e.made = 0
		default:
			e.made = s.made + 1
		}
	}
	s.longest = max(s.longest, s.tail())
	s.made++
	s.line, s.token = s.before[to].line, s.before[to].token
	s.recs, s.before, s.chain = s.recs[:to:to], s.before[:to:to], s.chain[:to:to]
	s.first = min(s.first, to)
	s.p.checks = checks{}
}

func (s *stream) trim(below uint64) { s.first = max(s.first, min(below, s.tail())) }

// refusal is S2's answer that is not 200.
type refusal struct {
	status  int
	token   string // with 412: the actual token
	fenced  bool
	seq     uint64 // with 412: the actual sequence number
	numbers bool
}

func (r *refusal) Error() string {
	switch {
	case r.fenced:
		return fmt.Sprintf("412 fencing_token_mismatch %q", r.token)
	case r.numbers:
		return fmt.Sprintf("412 seq_num_mismatch %d", r.seq)
	}
	return fmt.Sprintf("status %d", r.status)
}

// Fenced, SeqMismatch and Denied are what the machine may look for.
func (r *refusal) Fenced() (string, bool)      { return r.token, r.fenced }
func (r *refusal) SeqMismatch() (uint64, bool) { return r.seq, r.numbers }
func (r *refusal) Denied() bool                { return r.status == 401 || r.status == 403 }

// failure is an error of the network: nobody knows what happened.
type failure string

func (f failure) Error() string { return string(f) }

// conditions of an append; nil: none.
type conditions struct {
	token *string
	seq   *uint64
}

// append lands a batch, or refuses it whole.
func (s *stream) append(batch []stored, c conditions) (start uint64, no *refusal) {
	if !s.exists {
		return 0, &refusal{status: 404}
	}
	if c.token != nil && *c.token != s.token {
		return 0, &refusal{status: 412, fenced: true, token: s.token}
	}
	start = s.tail()
	if c.seq != nil && *c.seq != start {
		return 0, &refusal{status: 412, numbers: true, seq: start}
	}
	for i := range batch {
		s.before = append(s.before, state{s.line, s.token})
		batch[i].Seq = start + uint64(i)
		if h := batch[i].Headers; len(h) == 1 && len(h[0].Name) == 0 {
			switch string(h[0].Value) {
			case "fence":
				s.token = string(batch[i].Body)
			case "trim":
				defer s.trim(binary.BigEndian.Uint64(batch[i].Body))
			}
		}
		s.recs = append(s.recs, batch[i])
		s.link(&batch[i].Stored)
	}
	return start, nil
}

// read gives at most n records from a sequence number on, or from the first one
// that survives.
func (s *stream) read(from uint64, n int) []mapping.Stored {
	from = max(from, s.first)
	var page []mapping.Stored
	for i := from; i < s.tail() && len(page) < n; i++ {
		page = append(page, s.recs[i].Stored)
	}
	return page
}

func fenceRecord(token string) stored {
	return stored{mapping.Stored{
		Headers: []mapping.StoredHeader{{Name: nil, Value: []byte("fence")}}, Body: []byte(token),
	}, byFence}
}

// decode takes an encoded batch apart: repeated AppendRecord as field 1, with
// timestamp 1, headers 2 (name 1, value 2) and body 3. A broken one is a bug.
func decode(b []byte) []stored {
	var batch []stored
	for len(b) > 0 {
		num, msg, n := field(b)
		if num != 1 || msg == nil {
			panic("sim: batch holds a field that is no record")
		}
		b = b[n:]
		r := stored{hand: byBridge}
		for len(msg) > 0 {
			num, v, n := field(msg)
			switch num {
			case 1:
				_, _, k := protowire.ConsumeTag(msg)
				r.Timestamp, _ = protowire.ConsumeVarint(msg[k:])
			case 2:
				r.Headers = append(r.Headers, header(v))
			case 3:
				r.Body = append([]byte(nil), v...)
			default:
				panic("sim: record holds an unknown field")
			}
			msg = msg[n:]
		}
		batch = append(batch, r)
	}
	return batch
}

func header(msg []byte) (h mapping.StoredHeader) {
	for len(msg) > 0 {
		num, v, n := field(msg)
		v = append([]byte(nil), v...)
		if num == 1 {
			h.Name = v
		} else {
			h.Value = v
		}
		msg = msg[n:]
	}
	return h
}

// field reads one field; the value of a varint is nil.
func field(b []byte) (num protowire.Number, value []byte, size int) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		panic("sim: broken field in a batch")
	}
	m := protowire.ConsumeFieldValue(num, typ, b[n:])
	if m < 0 {
		panic("sim: broken field in a batch")
	}
	if typ == protowire.BytesType {
		value, _ = protowire.ConsumeBytes(b[n:])
		if value == nil {
			value = []byte{}
		}
	}
	return num, value, n + m
}

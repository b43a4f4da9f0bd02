package s2mem

import (
	"bytes"
	"slices"
	"sort"
	"time"
)

// stream is one stream. All fields are guarded by Server.mu; records and the
// bytes that they point to never change once they are in.
type stream struct {
	srv     *Server
	name    string
	basin   *basin
	config  streamConfig
	created time.Time
	key     string // request token and configuration that created it

	records []Record // accepted and not trimmed, by rising Seq; Discard leaves holes
	next    Position // accepted: the next sequence number, the highest timestamp
	stable  Position // durable: what the tail check says
	trim    uint64   // lowest surviving sequence number
	token   string
	tokenAt uint64 // end of the batch position that set the token
	deleted bool

	pending []flush       // accepted, not durable, in order
	timer   *time.Timer   // runs while pending has something to wait for
	changed chan struct{} // closed at the next change of stable or deleted; nil if nobody waits
	lastSet bool          // Discard: the last of records is data, to be replaced
}

// flush is an accepted batch on its way to durability.
type flush struct {
	batch Append
	end   Position
	trim  uint64    // trim command in it, 0 none
	due   time.Time // not before
	hold  *hold     // not before it is released
}

// Append is what an observer sees of a batch when it becomes durable.
type Append struct {
	Basin, Stream string
	First         uint64   // sequence number of Records[0]
	Count         int      // number of records
	Records       []Record // nil in Discard mode; must not be changed or kept across Trim
	Token         *string  // fencing token that the append gave, nil if none
	Match         *uint64  // match_seq_num that the append gave, nil if none
	Session       int      // number of the append session, 0 for a unary append
	Batch         int      // number of the batch within its session, from 1
}

// accept checks a batch's conditions, gives it sequence numbers and timestamps
// and puts it on the way to durability. The positions are those of the ack. A
// refusal is to be sent when dep is durable.
func (st *stream) accept(in *input, from Append, late *fault) (start, end Position, dep uint64, no *refusal) {
	if st.deleted {
		return start, end, 0, refuse("unavailable", "streamer missing in action")
	}
	if in.hasToken && in.token != st.token {
		return start, end, st.tokenAt, refuseToken(st.token)
	}
	if in.hasMatch && in.match != st.next.Seq {
		return start, end, st.next.Seq, refuseSeq(st.next.Seq)
	}
	first := st.next.Seq
	now := uint64(max(0, st.srv.opts.Now().UnixMilli()))
	top := st.next.Timestamp
	kept := st.srv.room(in)
	for i := range in.records {
		r := &in.records[i]
		ts, ok := st.config.timestamp(r, now)
		if !ok {
			return start, end, 0, refuse("invalid", "record timestamp was required but was missing")
		}
		top = max(top, ts)
		if i == 0 {
			start = Position{first, top}
		}
		r.timestamp = top
		if kept != nil {
			kept = append(kept, Record{first + uint64(i), top, r.headers, r.body})
		}
	}
	st.next = Position{first + uint64(len(in.records)), top}
	end = st.next

	f := flush{end: end}
	for i := range in.records {
		if r := &in.records[i]; isCommand(r.headers) {
			seq := first + uint64(i)
			switch string(r.headers[0].Value) {
			case "fence":
				st.token, st.tokenAt = string(r.body), seq+1
			case "trim":
				f.trim = max(f.trim, min(trimPoint(r.body), seq+1))
			}
		}
	}
	st.keep(in, kept, first)
	if len(st.srv.observers) > 0 {
		f.batch = from
		f.batch.First, f.batch.Count, f.batch.Records = first, len(in.records), kept
		if in.hasToken {
			token := in.token
			f.batch.Token = &token
		}
		if in.hasMatch {
			match := in.match
			f.batch.Match = &match
		}
	}
	st.push(f, late)
	return start, end, end.Seq, nil
}

// room is where the records of a batch that is kept go; nil in Discard mode.
func (s *Server) room(in *input) []Record {
	if s.opts.Discard {
		return nil
	}
	return make([]Record, 0, len(in.records))
}

// keep stores a batch's records.
func (st *stream) keep(in *input, kept []Record, first uint64) {
	if kept != nil {
		st.records = append(st.records, kept...)
		return
	}
	for i := range in.records {
		r := &in.records[i]
		command := isCommand(r.headers)
		if !command && i < len(in.records)-1 {
			continue
		}
		if st.lastSet && !command {
			st.records = st.records[:len(st.records)-1]
		}
		st.records = append(st.records, Record{first + uint64(i), r.timestamp, r.headers, r.body}.Clone())
		st.lastSet = !command
	}
}

// push makes a batch durable now, or when its time has come.
func (st *stream) push(f flush, late *fault) {
	delay := st.srv.opts.FlushDelay
	if late != nil {
		switch late.Do {
		case SlowFlush:
			late.count()
			delay += late.Delay
		case HoldFlush:
			late.count()
			if late.gate.then(func() { st.srv.flush(st) }) {
				f.hold = late.gate
			}
		}
	}
	if delay == 0 && f.hold == nil && len(st.pending) == 0 {
		st.settle(f)
		return
	}
	f.due = time.Now().Add(delay)
	st.pending = append(st.pending, f)
	if len(st.pending) == 1 {
		st.arm()
	}
}

// arm sets the timer for the first pending batch.
func (st *stream) arm() {
	if len(st.pending) == 0 || st.srv.closed {
		return
	}
	if f := st.pending[0]; f.hold == nil || f.hold.released() {
		st.timer = time.AfterFunc(time.Until(f.due), func() { st.srv.flush(st) })
	}
}

// flush makes durable what is due. What was accepted while the first one
// waited goes with it, as in a group commit.
func (s *Server) flush(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if st.timer != nil {
		st.timer.Stop()
	}
	cut := time.Now()
	for n := 0; len(st.pending) > 0; n++ {
		f := st.pending[0]
		early := f.due.After(cut) && (n == 0 || f.due.After(cut.Add(s.opts.FlushDelay)))
		if early || f.hold != nil && !f.hold.released() {
			break
		}
		st.pending = st.pending[1:]
		st.settle(f)
	}
	st.arm()
}

// settle makes a batch durable: the tail moves, waiting acks and readers wake
// up, observers are told.
func (st *stream) settle(f flush) {
	st.stable = f.end
	if f.trim > st.trim {
		st.trimTo(f.trim)
	}
	st.wake()
	if f.batch.Count > 0 { // not from before there was an observer
		for _, see := range st.srv.observers {
			see(f.batch)
		}
	}
}

// wake lets go of everybody who waits for a change of the stream.
func (st *stream) wake() {
	if st.changed != nil {
		close(st.changed)
		st.changed = nil
	}
}

// change returns a channel that is closed at the stream's next change.
func (st *stream) change() <-chan struct{} {
	if st.changed == nil {
		st.changed = make(chan struct{})
	}
	return st.changed
}

func (st *stream) trimTo(seq uint64) {
	if seq <= st.trim {
		return
	}
	st.trim = seq
	i := sort.Search(len(st.records), func(i int) bool { return st.records[i].Seq >= seq })
	if i == len(st.records) {
		st.lastSet = false
	}
	st.records = append([]Record(nil), st.records[i:]...) // lets go of the trimmed bytes
}

// from returns the durable records from seq on. The slice must not be written.
func (st *stream) from(seq uint64) []Record {
	i := sort.Search(len(st.records), func(i int) bool { return st.records[i].Seq >= seq })
	j := sort.Search(len(st.records), func(i int) bool { return st.records[i].Seq >= st.stable.Seq })
	if st.srv.opts.Discard {
		return slices.Clone(st.records[i:j]) // its last element is written again
	}
	return st.records[i:j:j]
}

// seqAt is the first durable record at or after a timestamp; the tail if none.
func (st *stream) seqAt(ts uint64) uint64 {
	all := st.from(0)
	i := sort.Search(len(all), func(i int) bool { return all[i].Timestamp >= ts })
	if i == len(all) {
		return st.stable.Seq
	}
	return all[i].Seq
}

// remove deletes the stream. What was accepted becomes durable first; whoever
// follows sees a last record, the trim of everything, as on the real server.
func (st *stream) remove() {
	pending := st.pending
	st.pending = nil
	for _, f := range pending {
		st.settle(f)
	}
	st.next.Timestamp = max(st.next.Timestamp, uint64(max(0, st.srv.opts.Now().UnixMilli())))
	all := bytes.Repeat([]byte{0xff}, 8)
	st.records = append(st.records, Record{st.next.Seq, st.next.Timestamp, []Header{{nil, []byte("trim")}}, all})
	st.next.Seq++
	st.stable = st.next
	st.deleted = true
	if st.timer != nil {
		st.timer.Stop()
	}
	st.wake()
	delete(st.basin.streams, st.name)
	if delay := st.srv.opts.DeletionDelay; delay > 0 {
		d := dying{st.info(), time.Now().Add(delay)}
		at := st.srv.opts.Now().UTC().Format(time.RFC3339Nano)
		d.info.DeletedAt = &at
		if st.basin.dying == nil {
			st.basin.dying = map[string]dying{}
		}
		st.basin.dying[st.name] = d
	}
}

package sim

import (
	"time"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
)

// requestTimeout is after how long the sink gives a request up.
const requestTimeout = 5 * time.Second

// errLost is all that a client learns of most faults.
const errLost = failure("no answer")

// call carries one request to S2 or Kafka and its answer back. apply is what
// the server does when the request arrives; failed makes the answer of an
// error.
func (o *owner) call(what string, s2 bool, apply func() handoff.Event, failed func(error) handoff.Event) {
	w, d := o.w, o.w.net
	up, down := o.delay(), o.delay()
	gaveUp := requestTimeout
	if d.chance(2) {
		gaveUp = up + d.span(0, 300*time.Millisecond) // the connection breaks, and the client notices
	}
	arrive := func() handoff.Event {
		if (o.done || o.m.dead) && d.chance(2) {
			return nil // cancelled on its way
		}
		return apply()
	}
	switch {
	case !s2 && w.weather(kafkaErrors, o.p):
		w.in(up+down, func() { o.answer(failed(errLost)) })
	case !s2:
		w.in(up, func() {
			ev := arrive()
			w.in(down, func() { o.answer(ev) })
		})
	case w.weather(lostRequest, o.p):
		w.say(o.name, what+" lost")
		w.in(gaveUp, func() { o.answer(failed(errLost)) })
	case w.weather(lostResponse, o.p):
		w.say(o.name, what+" answer lost")
		w.in(up, func() { arrive() })
		w.in(max(gaveUp, up), func() { o.answer(failed(errLost)) })
	case w.weather(lateRequest, o.p):
		late := requestTimeout + d.span(10*time.Millisecond, 30*time.Second)
		w.say(o.name, what+" comes late", int64(late))
		w.in(late, func() {
			apply()
		})
		w.in(requestTimeout, func() { o.answer(failed(errLost)) })
	default:
		if status := w.refuses(o.p); status != 0 {
			w.in(up, func() {
				if status == 503 && d.chance(2) {
					arrive() // S2 says that it may have happened
				}
				w.in(down, func() { o.answer(failed(&refusal{status: status})) })
			})
			return
		}
		w.in(up, func() {
			ev := arrive()
			w.in(down, func() { o.answer(ev) })
		})
	}
}

// delay is how long something is on its way.
func (o *owner) delay() time.Duration {
	d := o.w.net.span(200*time.Microsecond, o.w.far)
	if o.w.weather(slow, o.p) {
		d += o.w.net.span(0, 4*time.Second)
	}
	return d
}

// refuses gives the status of an error that S2 answers with; 0: none.
func (w *world) refuses(p *partition) int {
	for _, k := range refusals {
		if w.weather(k.kind, p) {
			return k.status
		}
	}
	return 0
}

// session is one append session: frames go up in order, acks come down in
// order, and after the first refusal nothing more is taken (facts.md A3).
type session struct {
	o  *owner
	id uint64

	flying   []*frame
	out      []*frame      // sent, and no ack seen
	acked    *frame        // whose ack was seen last
	upBy     time.Duration // when the last frame arrives
	downBy   time.Duration // when the last ack arrives
	upDead   bool          // frames do not arrive any more
	downDead bool          // acks do not
	over     bool          // the server takes nothing more
	gone     bool          // the client looks at it no more
	told     bool          // Ended is under way
	waiting  int           // frames sent and not answered
	finish   bool
}

type frame struct {
	batch *mapping.Batch
	recs  []stored // decoded once the client may reuse the bytes
	seq   uint64
	token string
	count int
	lost  bool
	size  int  // encoded bytes
	gap   bool // holds a gap marker
	blind bool // without a sequence number (a planted bug)
	told  news // what its owner had been told when it sent this
}

// settle decodes what the client might overwrite from now on.
func (f *frame) settle(w *world) {
	if f.batch != nil {
		defer func() {
			if recover() != nil {
				w.violate("a batch was given away before its append was over")
			}
		}()
		f.recs, f.batch = decode(f.batch.Bytes()), nil
	}
}

func (x *session) send(b *mapping.Batch, seq uint64, token string) {
	w, d := x.o.w, x.o.w.net
	x.waiting++
	f := &frame{batch: b, seq: seq, token: token, count: b.Count(), size: len(b.Bytes()), gap: b.Gap() != nil, told: x.o.news}
	x.out = append(x.out, f)
	if x.upDead || x.over {
		return
	}
	if w.weather(cutSession, x.o.p) {
		w.say(x.o.name, "session cut", int64(x.id))
		x.upDead, x.downDead = true, true
		if d.chance(2) {
			x.ended(errLost, d.span(0, 100*time.Millisecond))
		}
		return
	}
	w.bug.swap(x, f)
	x.flying = append(x.flying, f)
	at := w.now + x.o.delay()
	if w.weather(lateRequest, x.o.p) {
		at += d.span(time.Second, 30*time.Second)
	}
	x.upBy = max(x.upBy, at)
	w.at(x.upBy, func() { x.arrive(f) })
}

// arrive is the server's part.
func (x *session) arrive(f *frame) {
	w, o := x.o.w, x.o
	if f.lost || x.over {
		return
	}
	f.settle(o.w)
	if len(x.flying) > 0 && x.flying[0] == f {
		x.flying = x.flying[1:]
	}
	if x.gone {
		defer func(n int) {
			if len(o.p.stream.recs) > n {
				w.hit("late-append")
			}
		}(len(o.p.stream.recs))
	}
	s, d := o.p.stream, w.net
	lands := func() (uint64, *refusal) { return s.land(f, o) }
	if status := w.refuses(o.p); status != 0 {
		if status == 503 && d.chance(2) {
			_, _ = lands()
		}
		x.refuse(&refusal{status: status})
		return
	}
	if w.weather(cleanEOF, o.p) {
		if d.chance(2) {
			_, _ = lands()
		}
		x.refuse(nil)
		return
	}
	start, no := lands()
	if no != nil {
		switch {
		case no.fenced && o.p.owner != o.m:
			w.hit("zombie-append-rejected")
		case no.fenced:
			w.hit("owner-append-fenced")
		case no.numbers:
			w.hit("append-seq-mismatch")
		}
		w.say(o.name, "append refused", int64(no.status), int64(no.seq))
		x.refuse(no)
		return
	}
	end := start + uint64(len(f.recs))
	if w.weather(lostAck, o.p) {
		w.say(o.name, "ack lost", int64(start), int64(end))
		x.downDead, x.over, x.flying = true, true, nil
		if d.chance(2) {
			x.ended(errLost, d.span(0, 100*time.Millisecond))
		}
		return
	}
	if w.weather(wrongAck, o.p) {
		w.say(o.name, "ack wrong", int64(start), int64(end))
		switch d.IntN(4) {
		case 0:
			start++
		case 1:
			end++
		case 2:
			start, end = start+1, end+1
		default: // twice the same
			x.down(handoff.Acked{Session: x.id, Start: start, End: end})
		}
	}
	x.down(handoff.Acked{Session: x.id, Start: start, End: end})
	x.waiting--
	if x.finish && x.waiting == 0 {
		x.refuse(nil)
	} else if d.chance(200) {
		x.down(handoff.Advised{Session: x.id})
	}
}

// refuse ends the session from the server's side, behind its acks.
func (x *session) refuse(no *refusal) {
	x.over = true
	x.flying = nil // read by nobody any more
	var err error
	if no != nil {
		err = no
	}
	x.ended(err, x.o.delay())
}

func (x *session) down(ev handoff.Event) {
	if x.downDead || (x.gone && !x.o.w.bug.is("late-ack")) {
		return
	}
	x.downBy = max(x.downBy, x.o.w.now+x.o.delay())
	x.o.w.at(x.downBy, func() {
		if !x.gone || x.o.w.net.chance(2) { // one may be in the mailbox already
			x.o.put(ev)
		}
	})
}

func (x *session) ended(err error, after time.Duration) {
	if x.told {
		return
	}
	x.told = true
	x.downBy = max(x.downBy, x.o.w.now+after)
	x.o.w.at(x.downBy, func() {
		x.drop()
		x.o.put(handoff.Ended{Session: x.id, Err: err})
	})
}

// half closes the client's side.
func (x *session) half() {
	x.finish = true
	if x.waiting == 0 && !x.upDead {
		x.refuse(nil)
	}
}

// drop is the client's end of it: what is on its way arrives in part.
func (x *session) drop() {
	if x.gone {
		return
	}
	x.gone = true
	keep := x.o.w.net.IntN(len(x.flying) + 1)
	for i, f := range x.flying {
		if f.lost = i >= keep; !f.lost {
			f.settle(x.o.w)
		}
	}
	if x.o.w.bug.is("blind-resend") {
		for _, f := range x.out {
			f.settle(x.o.w)
		}
	}
}

func (x *session) abort() {
	x.drop()
	x.downDead = false
	x.ended(failure("aborted"), time.Millisecond)
}

// land appends a frame's records for an owner, under the oracle's eyes.
func (s *stream) land(f *frame, o *owner) (uint64, *refusal) {
	cond := conditions{token: &f.token, seq: &f.seq}
	if f.blind {
		cond.seq = nil
	}
	o.w.bug.conditions(o, &cond)
	start, no := s.append(f.recs, cond)
	if no == nil {
		s.w.say(s.name, "landed", int64(start), int64(len(f.recs)))
		o.telling = f.told
		s.landed(o, f.token, start, len(f.recs))
	}
	return start, no
}

package sim

import (
	"fmt"
	"time"

	"kafka-s2-bridge/handoff"
)

// request carries a request out as handoff.Owner does: where the owner holds no
// acquisition slot yet, it waits for one first.
func (o *owner) request(a handoff.Action) {
	if _, letter := a.(handoff.DeadLetter); letter {
		o.perform(a)
		return
	}
	o.outstanding++
	if o.slots > 0 {
		o.perform(a)
		return
	}
	o.claims++
	o.m.queue = append(o.m.queue, waiting{o, a})
	o.m.serve()
	if n := len(o.m.queue); n > 0 && o.m.queue[n-1].o == o {
		o.w.hit("slot-waited-for")
	}
}

// waiting is a request that waits for a slot.
type waiting struct {
	o *owner
	a handoff.Action
}

// serve gives the free slots of a process away: who came first is served first.
func (m *process) serve() {
	for m.slots < m.w.policy.slots && len(m.queue) > 0 && !m.dead {
		next := m.queue[0]
		m.queue = m.queue[1:]
		if next.o.done {
			continue
		}
		m.slots++
		next.o.tickets[requestID(next.a)] = true
		next.o.perform(next.a)
	}
}

// reply is the answer to a request in the mailbox.
type reply struct{ handoff.Event }

// replied is a turn of the owner's loop with an answer. The slot that came with
// it is the owner's until nothing is asked any more.
func (o *owner) replied(ev handoff.Event) {
	if _, letter := ev.(handoff.DeadLettered); !letter {
		o.outstanding--
	}
	if id := requestOf(ev); o.tickets[id] {
		delete(o.tickets, id)
		o.claims--
		o.slots++
	}
	o.step(ev)
	if (o.outstanding == 0 || o.claims > 0) && !o.done {
		o.freeSlots()
	}
}

// freeSlots leaves the owner's places to others.
func (o *owner) freeSlots() {
	o.m.slots -= o.slots
	o.slots = 0
	o.m.serve()
}

func requestID(a handoff.Action) uint64 {
	switch a := a.(type) {
	case handoff.Ask:
		return a.ID
	case handoff.Create:
		return a.ID
	case handoff.Fence:
		return a.ID
	case handoff.Read:
		return a.ID
	case handoff.Range:
		return a.ID
	case handoff.EpochEnd:
		return a.ID
	case handoff.Locate:
		return a.ID
	case handoff.Recall:
		return a.ID
	case handoff.Overwrite:
		return a.ID
	}
	panic(fmt.Sprintf("sim: no such request: %T", a))
}

func (o *owner) perform(a handoff.Action) {
	s, p, w := o.p.stream, o.p, o.w
	switch a := a.(type) {
	case handoff.Ask:
		o.ask(a)
	case handoff.Create:
		o.call("create", true, func() handoff.Event {
			s.create()
			w.say(s.name, "created", int64(s.made))
			return handoff.Created{ID: a.ID}
		}, func(err error) handoff.Event { return handoff.Created{ID: a.ID, Err: err} })
		o.at("after-create-sent")
	case handoff.Fence:
		o.fence(a)
		o.at("after-fence-sent")
	case handoff.Read:
		n := a.Count
		if w.weather(shortPage, p) {
			n = 1 + w.net.IntN(n)
		}
		o.call("read", true, func() handoff.Event {
			if !s.exists {
				return handoff.Page{ID: a.ID, Err: &refusal{status: 404}}
			}
			return handoff.Page{ID: a.ID, Records: s.read(a.From, n)}
		}, func(err error) handoff.Event { return handoff.Page{ID: a.ID, Err: err} })
	case handoff.Overwrite:
		o.overwrite(a)
		o.at("after-overwrite-sent")
	case handoff.DeadLetter:
		o.post(a)
		o.at("after-letter-sent")
	default:
		o.askKafka(a)
	}
}

// askKafka: these go by the topic's name, so package source makes sure that the
// topic is still the same.
func (o *owner) askKafka(a handoff.Action) {
	p, w := o.p, o.w
	ask := func(what string, answer func() handoff.Event, failed func(error) handoff.Event) {
		o.call(what, false, func() handoff.Event {
			if p.topic != o.topic {
				o.recreated()
				return failed(failure("another topic"))
			}
			return answer()
		}, failed)
	}
	switch a := a.(type) {
	case handoff.Range:
		ask("range", func() handoff.Event {
			return handoff.Ranged{ID: a.ID, Start: p.start, End: p.end}
		}, func(err error) handoff.Event { return handoff.Ranged{ID: a.ID, Err: err} })
	case handoff.EpochEnd:
		ask("epoch", func() handoff.Event {
			if w.weather(epochUnknown, p) {
				return handoff.EpochEnded{ID: a.ID, Of: -1, End: -1}
			}
			o.judged = p.cuts
			of, end := p.epochEnd(a.Epoch)
			if end >= 0 && of != a.Epoch {
				w.hit("epoch-that-kafka-has-not")
			}
			return handoff.EpochEnded{ID: a.ID, Of: of, End: end}
		}, func(err error) handoff.Event { return handoff.EpochEnded{ID: a.ID, Err: err} })
	case handoff.Locate:
		ask("locate", func() handoff.Event {
			return handoff.Located{ID: a.ID, Offset: p.locate(a.Start)}
		}, func(err error) handoff.Event { return handoff.Located{ID: a.ID, Err: err} })
	case handoff.Recall:
		ask("recall", func() handoff.Event {
			return handoff.Recalled{ID: a.ID, Records: p.records(a.First, a.Last)}
		}, func(err error) handoff.Event { return handoff.Recalled{ID: a.ID, Err: err} })
	default:
		panic(fmt.Sprintf("sim: no such action: %T", a))
	}
}

// recreated tells the owner that its topic is gone.
func (o *owner) recreated() {
	o.put(handoff.Trouble{Cut: o.cursor.cut, Kind: handoff.TopicRecreated, Offset: -1, Detail: "the topic was re-created"})
}

// post puts a record into the dead letter topic, or not; the answer may get
// lost.
func (o *owner) post(a handoff.DeadLetter) {
	w, p := o.w, o.p
	fails := w.weather(letterLost, p)
	lost := w.weather(letterAnswerLost, p)
	up, down := w.net.span(time.Millisecond, 20*time.Millisecond), w.net.span(time.Millisecond, 20*time.Millisecond)
	w.in(up, func() {
		if !fails {
			p.letter(o, a.Letter)
		}
		w.in(down, func() {
			if fails || lost {
				o.answer(handoff.DeadLettered{ID: a.ID, Err: errLost})
				return
			}
			o.answer(handoff.DeadLettered{ID: a.ID})
		})
	})
}

// ask is two requests: the tail, then the token. Things happen in between.
func (o *owner) ask(a handoff.Ask) {
	s := o.p.stream
	var tail uint64
	failed := func(err error) handoff.Event { return handoff.Asked{ID: a.ID, Err: err} }
	o.call("ask", true, func() handoff.Event {
		if !s.exists {
			return handoff.Asked{ID: a.ID}
		}
		tail = s.tail()
		if tail > 0 && o.w.weather(staleTail, o.p) {
			tail -= 1 + uint64(o.w.net.Int64N(int64(min(tail, 4))))
		}
		o.call("question", true, func() handoff.Event {
			if !s.exists {
				return handoff.Asked{ID: a.ID}
			}
			o.readBefore = s.line.durable
			o.half = o.half || halfAdopted(s.token)
			return handoff.Asked{ID: a.ID, Tail: tail, Token: s.token, Exists: true}
		}, failed)
		return nil
	}, failed)
}

func (o *owner) fence(a handoff.Fence) {
	s := o.p.stream
	o.mine[a.Token] = true
	o.fences++
	o.call("fence", true, func() handoff.Event {
		seen, end := a.Seen, a.Tail
		c := conditions{token: &seen}
		if seen == "" {
			c.seq = &end
		}
		token := a.Token
		o.w.bug.fence(o, &c, &token)
		before, tail := s.token, s.tail()
		seq, no := s.append([]stored{fenceRecord(token)}, c)
		if no != nil {
			switch {
			case no.fenced && o.mine[no.token]:
				o.w.hit("412-own-success")
			case no.fenced:
				o.w.hit("fence-race-lost")
			}
			o.w.say(s.name, "fence refused", int64(no.seq))
			return handoff.Fenced{ID: a.ID, Err: no}
		}
		o.w.say(s.name, "fenced", int64(seq))
		o.w.note("%s by %s", a.Token, o.name)
		if o.done || o.m.dead || o.answered[a.ID] {
			o.w.hit("late-fence-landed")
		}
		s.fenced(o, token, before, tail)
		o.lastToken, o.fencedAt = a.Token, seq
		return handoff.Fenced{ID: a.ID, Seq: seq}
	}, func(err error) handoff.Event { return handoff.Fenced{ID: a.ID, Err: err} })
}

package handoff

import (
	"errors"
	"fmt"
	"strings"

	"kafka-s2-bridge/mapping"
)

// answer carries the oldest request out and gives the machine the answer:
//
//	answer           as it is
//	answer lost      carried out, and the answer lost
//	answer fails     not carried out
//	answer denied    not carried out: S2 refuses the access token
//	answer later     carried out; the answer comes with "answer now"
func (d *driver) answer(how string) {
	d.t.Helper()
	if len(d.pending) == 0 {
		d.t.Fatal("nothing was asked")
	}
	a := d.pending[0]
	d.pending, d.beside = d.pending[1:], d.beside[1:]
	var err error
	switch how {
	case "fails":
		err = errors.New("connection refused")
	case "denied":
		err = &s2Error{text: "403 permission_denied", denied: true}
	}
	var ev Event
	switch a := a.(type) {
	case Ask:
		ev = Asked{ID: a.ID, Err: err}
		if err == nil {
			ev = Asked{ID: a.ID, Tail: d.s.tail, Token: d.s.token, Exists: d.s.exists}
			if !d.s.exists {
				ev = Asked{ID: a.ID}
			}
		}
	case Create:
		if err == nil {
			d.s.exists = true
		}
		ev = Created{ID: a.ID, Err: err}
	case Fence:
		var seq uint64
		if d.fence = a; err == nil {
			match := &a.Tail
			if a.Seen != "" {
				match = nil
			}
			seq, err = d.s.append([]mapping.Stored{fenceRecord(a.Token)}, &a.Seen, match)
		}
		ev = Fenced{ID: a.ID, Seq: seq, Err: err}
	case Read:
		ev = Page{ID: a.ID, Err: err}
		if err == nil && d.s.exists {
			ev = Page{ID: a.ID, Records: d.s.read(a.From, a.Count)}
		}
	case Range:
		ev = Ranged{ID: a.ID, Start: d.start, End: d.end, Err: err}
	case EpochEnd:
		end, known := d.epochs[a.Epoch]
		if !known {
			end = d.end
		}
		if d.ancient {
			err = errors.Join(errors.ErrUnsupported)
		}
		of, other := d.of[a.Epoch]
		if !other {
			of = a.Epoch
		}
		ev = EpochEnded{ID: a.ID, Of: of, End: end, Err: err}
	case Locate:
		ev = Located{ID: a.ID, Offset: d.stable, Err: err}
	case Recall:
		ev = Recalled{ID: a.ID, Records: d.recall(a.First, a.Last), Err: err}
	case Overwrite:
		if err == nil {
			d.marked = a.Mark
		}
		ev = Overwritten{ID: a.ID, Mark: a.Mark, Err: err}
	case DeadLetter:
		if err == nil {
			d.letters = append(d.letters, a.Letter.Record.Offset)
		}
		ev = DeadLettered{ID: a.ID, Err: err}
	}
	if how == "lost" {
		ev = lostAnswer(ev)
	}
	d.printf("<- %s", d.showReply(ev))
	d.step(ev)
}

func lostAnswer(ev Event) Event {
	switch ev := ev.(type) {
	case Asked:
		return Asked{ID: ev.ID, Err: errLost}
	case Created:
		return Created{ID: ev.ID, Err: errLost}
	case Fenced:
		return Fenced{ID: ev.ID, Err: errLost}
	case Page:
		return Page{ID: ev.ID, Err: errLost}
	case Ranged:
		return Ranged{ID: ev.ID, Err: errLost}
	case EpochEnded:
		return EpochEnded{ID: ev.ID, Err: errLost}
	case Located:
		return Located{ID: ev.ID, Err: errLost}
	case Recalled:
		return Recalled{ID: ev.ID, Err: errLost}
	case Overwritten:
		return Overwritten{ID: ev.ID, Mark: ev.Mark, Err: errLost}
	default:
		return DeadLettered{ID: ev.(DeadLettered).ID, Err: errLost}
	}
}

// recall is what Kafka has of a range.
func (d *driver) recall(first, last int64) (records []mapping.Record) {
	for o := max(first, d.start); o <= min(last, d.end-1); o++ {
		r := record(o, 1)
		if o == d.altered {
			r.Key = []byte("another")
		}
		records = append(records, r)
	}
	return records
}

func (d *driver) showReply(ev Event) string {
	var err error
	text := ""
	switch ev := ev.(type) {
	case Asked:
		err, text = ev.Err, fmt.Sprintf("tail %d token %s", ev.Tail, d.name(ev.Token))
		if !ev.Exists {
			text = "missing"
		}
	case Created:
		err, text = ev.Err, "created"
	case Fenced:
		err, text = ev.Err, fmt.Sprintf("fenced at %d", ev.Seq)
	case Page:
		err, text = ev.Err, fmt.Sprintf("page [%s]", describeRecords(ev.Records))
	case Ranged:
		err, text = ev.Err, fmt.Sprintf("range %d to %d", ev.Start, ev.End)
	case EpochEnded:
		err, text = ev.Err, fmt.Sprintf("epoch ends at %d", ev.End)
	case Located:
		err, text = ev.Err, fmt.Sprintf("begins at %d", ev.Offset)
	case Recalled:
		err, text = ev.Err, fmt.Sprintf("kafka has %d records", len(ev.Records))
	case Overwritten:
		err, text = ev.Err, fmt.Sprintf("committed %d", ev.Mark.Offset)
	case DeadLettered:
		err, text = ev.Err, "posted"
	}
	if err != nil {
		text = err.Error()
		if token, ok := fencedBy(err); ok {
			text += " " + d.name(token)
		}
	}
	return text
}

// run answers and acknowledges until nothing moves without time.
func (d *driver) run() {
	d.t.Helper()
	for range 200 {
		switch {
		case d.done:
			return
		case len(d.pending) > 0:
			d.answer("")
		case d.unacked() != nil:
			d.ack(nil)
		default:
			return
		}
	}
	d.t.Fatal("no end of it")
}

// unacked is the oldest batch that its session, still open, has no ack for.
func (d *driver) unacked() *sending {
	for _, s := range d.sends {
		if !s.acked && !d.aborted[s.Session] && d.opens[s.Session] {
			return s
		}
	}
	return nil
}

// land appends what was sent and is under way, as S2 does: also long after the
// session was given up ("send late").
func (d *driver) land(args []string) {
	n := newOptions(args).int("n", 1)
	late := newOptions(args)["late"] != ""
	for _, s := range d.sends {
		if n == 0 || s.landed || (!late && d.aborted[s.Session]) {
			continue
		}
		n--
		s.landed = true
		start, err := d.s.append(s.records, &s.Token, &s.Seq)
		if err != nil {
			d.printf("S2 refuses %s: %s", describeRecords(s.records), d.plain(err.Error()))
			continue
		}
		s.start = start
		d.printf("S2 has %s at %d", describeRecords(s.records), start)
	}
	if d.s.broken != "" {
		d.t.Error(d.s.broken)
	}
}

// ack acknowledges the oldest batch: ack [n=2] [start=+1] [end=+1] [session=1].
func (d *driver) ack(args []string) {
	d.t.Helper()
	o := newOptions(args)
	for range o.int("n", 1) {
		s := d.unacked()
		if session := o.int("session", 0); session > 0 {
			for _, old := range d.sends {
				if old.Session == uint64(session) && !old.acked {
					s = old
					break
				}
			}
		}
		if s == nil {
			d.t.Fatal("nothing to acknowledge")
		}
		if !s.landed {
			d.land(nil)
		}
		s.acked = true
		start := s.Seq + uint64(o.int("start", 0))
		end := s.Seq + uint64(len(s.records)) + uint64(o.int("end", 0))
		d.printf("<- acked %d to %d", start, end)
		d.step(Acked{Session: s.Session, Start: start, End: end})
	}
}

// ended ends the open session: ended [clean] [denied] [session=1].
func (d *driver) ended(args []string) {
	o := newOptions(args)
	session := uint64(o.int("session", int(d.m.session)))
	err := errors.New("connection reset")
	switch {
	case o["clean"] != "":
		err = nil
	case o["denied"] != "":
		err = &s2Error{text: "403 permission_denied", denied: true}
	}
	d.opens[session], d.aborted[session] = false, true
	d.step(Ended{Session: session, Err: err})
}

// arrange changes the stream behind the machine's back; without arguments it
// shows the stream.
func (d *driver) arrange(args []string) {
	if len(args) == 0 {
		d.out = append(d.out, strings.Split(d.s.String(), "\n")...)
		return
	}
	o := newOptions(args)
	add := func(records ...mapping.Stored) {
		if _, err := d.s.append(records, nil, nil); err != nil {
			d.t.Fatal(err)
		}
	}
	id := me
	switch o["id"] {
	case "topic":
		id.TopicID[0] = 99
	case "zero":
		id = me.Anonymous()
	case "other":
		id.Topic = "payments"
	}
	switch args[0] {
	case "missing":
		*d.s = *newStream()
		d.s.exists = false
	case "anew": // deleted and created again
		*d.s = *newStream()
	case "fence":
		token := mapping.NewToken(id, int64(o.int("gen", 2)), fmt.Appendf(nil, "%-12s", args[1]))
		d.names[token] = args[1]
		add(fenceRecord(token))
	case "token":
		d.s.token = map[string]string{"cleared": "", "strange": "hello"}[args[1]]
		d.names["hello"] = "hello"
	case "open":
		add(openRecord(id, "g", int64(o.int("resume", 0)), int32(o.int("epoch", -1))))
	case "data":
		from, to, epoch := span(args[1])
		for ; from <= to; from++ {
			add(dataRecords(from, epoch)...)
		}
	case "chunk": // chunk 5 0-1/3
		span5, _, epoch := span(args[1])
		indices, count, _ := strings.Cut(args[2], "/")
		for from, to, _ := span(indices); from <= to; from++ {
			add(chunkRecord(span5, epoch, uint64(from), uint64(number(count))))
		}
	case "gap":
		from, to, _ := span(args[1])
		reason := mapping.ReasonOperator
		if len(args) > 2 {
			reason = args[2]
		}
		add(gapRecord(from, to, reason))
	case "mark":
		add(stored("~!", "colour", []byte(`"blue"`)))
	case "foreign":
		add(stored("content-type", "text/plain", []byte("hi")))
	case "newer":
		add(stored("~", string([]byte{7<<5 | 1, 0, 0, 0}), nil))
	case "trim":
		d.s.trim(uint64(number(args[1])))
	case "forgotten": // from here on records may repeat what was trimmed: an operator said so
		d.s.last = -1
	case "trim-command":
		add(trimRecord(uint64(number(args[1]))))
	case "page":
		d.s.page = int(number(args[1]))
	case "hide":
		d.s.hide = int(number(args[1]))
	default:
		d.t.Fatalf("s2 %q", args)
	}
}

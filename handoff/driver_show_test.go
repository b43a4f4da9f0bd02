package handoff

import (
	"fmt"
	"reflect"
	"strings"

	"kafka-s2-bridge/mapping"
)

// step gives the machine one event, shows what it does about it, and watches.
func (d *driver) step(ev Event) {
	d.t.Helper()
	actions := d.m.Step(d.now, ev)
	for _, a := range actions {
		d.watch(a)
		d.printf("%s", d.show(a))
	}
	state := d.m.phase.String()
	if h := d.m.hold; h.Reason != "" {
		state = fmt.Sprintf("%s %s: %s", d.m.phase, h.Reason, d.plain(h.Detail))
	}
	if state != d.shown {
		d.shown = state
		d.printf("=> %s", state)
	}
}

// watch holds every action against what must be so in any sequence of events.
func (d *driver) watch(a Action) {
	d.t.Helper()
	if d.done {
		d.t.Fatalf("%s after done", d.show(a))
	}
	switch a := a.(type) {
	case Ask, Create, Fence, Read, Range, EpochEnd, Locate, Recall, Overwrite, DeadLetter:
		d.pending, d.beside = append(d.pending, a), append(d.beside, d.m.phase == flowing)
		if n := len(d.pending); n > 1 && !d.beside[n-2] {
			d.t.Errorf("%s while another request is under way", d.show(a))
		}
	case Open:
		for s, open := range d.opens {
			if open {
				d.t.Errorf("session %d while session %d is open", a.Session, s)
			}
		}
		d.opens[a.Session] = true
	case Send:
		if !d.opens[a.Session] {
			d.t.Errorf("sent on session %d, which is not open", a.Session)
		}
		d.sends = append(d.sends, &sending{Send: a, records: decode(a.Batch.Bytes())})
	case Finish:
		d.opens[a.Session] = false
	case Abort:
		d.opens[a.Session], d.aborted[a.Session] = false, true
		for _, s := range d.sends {
			if s.Session == a.Session && !s.acked {
				// The session may read it until the abort is carried out.
				if got := decode(s.Batch.Bytes()); !reflect.DeepEqual(got, s.records) {
					d.t.Errorf("the batch of seq %d changed before its session was aborted", s.Seq)
				}
			}
		}
	case Commit:
		d.watchCommit(a)
	case Done:
		d.done = true
		if n := d.m.Held(); n != 0 {
			d.t.Errorf("%d bytes are still held when done", n)
		}
	}
}

// watchCommit: I4. Everything that was served below a commit is in the stream,
// commits never fall, and say what they count.
func (d *driver) watchCommit(c Commit) {
	d.t.Helper()
	for _, o := range d.served {
		if o < c.Mark.Offset && !d.s.ever[o] {
			d.t.Errorf("commit %d, but offset %d is not in the stream", c.Mark.Offset, o)
		}
	}
	if c.Mark.Offset < d.marked.Offset || c.Mark.Epoch < d.marked.Epoch {
		d.t.Errorf("commit fell from %d (epoch %d) to %d (epoch %d)", d.marked.Offset, d.marked.Epoch, c.Mark.Offset, c.Mark.Epoch)
	}
	if c.Mark.Next > d.s.tail || c.Mark.ID != me.Hash() || c.Mark.Parts != 12 {
		d.t.Errorf("commit counts %+v of a stream that ends at %d", c.Mark.Meta, d.s.tail)
	}
	d.marked = c.Mark
}

func (d *driver) show(a Action) string {
	switch a := a.(type) {
	case Ask:
		return "ask"
	case Create:
		return "create"
	case Fence:
		return fmt.Sprintf("fence %s if %s", d.name(a.Token), d.name(a.Seen))
	case Read:
		return fmt.Sprintf("read %d+%d", a.From, a.Count)
	case Range:
		return "range"
	case EpochEnd:
		return fmt.Sprintf("epoch-end %d", a.Epoch)
	case Locate:
		return fmt.Sprintf("locate %d", a.Start.From)
	case Recall:
		return fmt.Sprintf("recall %d to %d", a.First, a.Last)
	case Overwrite:
		return fmt.Sprintf("overwrite the commit with %d: next %d last %d", a.Mark.Offset, a.Mark.Next, a.Mark.Last)
	case DeadLetter:
		return fmt.Sprintf("dead letter %d: %s", a.Letter.Record.Offset, a.Letter.Why)
	case Open:
		return fmt.Sprintf("open session %d", a.Session)
	case Send:
		return fmt.Sprintf("send on %d at %d with %s: %s", a.Session, a.Seq, d.name(a.Token), describeRecords(decode(a.Batch.Bytes())))
	case Finish:
		return fmt.Sprintf("finish session %d", a.Session)
	case Abort:
		if a.Suspect {
			return fmt.Sprintf("abort session %d, its path is suspect", a.Session)
		}
		return fmt.Sprintf("abort session %d", a.Session)
	case Pace:
		return "pace"
	case Seek:
		return fmt.Sprintf("seek %d epoch %d, cut %d", a.Offset, a.Epoch, a.Cut)
	case Pause:
		return "pause"
	case Commit:
		how := ""
		if a.Explicit {
			how = ", explicitly"
		}
		return fmt.Sprintf("commit %d epoch %d: next %d last %d%s", a.Mark.Offset, a.Mark.Epoch, a.Mark.Next, a.Mark.Last, how)
	case Done:
		return "done"
	}
	return fmt.Sprintf("%#v", a)
}

// describeRecords joins runs of data records: 5-7@1.
func describeRecords(records []mapping.Stored) string {
	var parts []string
	for i := 0; i < len(records); i++ {
		e := mapping.Classify(records[i])
		if e.Kind != mapping.Data || e.Position.Chunk != nil {
			parts = append(parts, describeStored(records[i]))
			continue
		}
		last := e.Position
		for ; i+1 < len(records); i++ {
			next := mapping.Classify(records[i+1])
			if next.Kind != mapping.Data || next.Position.Chunk != nil || next.Position.Offset != last.Offset+1 || next.Position.LeaderEpoch != last.LeaderEpoch {
				break
			}
			last = next.Position
		}
		if last.Offset > e.Position.Offset {
			parts = append(parts, fmt.Sprintf("%d-%d@%d", e.Position.Offset, last.Offset, last.LeaderEpoch))
		} else {
			parts = append(parts, fmt.Sprintf("%d@%d", last.Offset, last.LeaderEpoch))
		}
	}
	return strings.Join(parts, " ")
}

func describeStored(r mapping.Stored) string {
	switch e := mapping.Classify(r); e.Kind {
	case mapping.Data:
		if c := e.Position.Chunk; c != nil {
			return fmt.Sprintf("%d@%d chunk %d/%d", e.Position.Offset, e.Position.LeaderEpoch, c.Index, c.Count)
		}
		return fmt.Sprintf("%d@%d", e.Position.Offset, e.Position.LeaderEpoch)
	case mapping.OpenMark:
		return fmt.Sprintf("open{resume %d epoch %d}", e.Open.Resume, e.Open.Epoch)
	case mapping.GapMark:
		return fmt.Sprintf("gap{%d-%d %s}", e.Gap.From, e.Gap.To, e.Gap.Reason)
	default:
		return e.Kind.String()
	}
}

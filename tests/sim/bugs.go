package sim

import (
	"errors"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// bug is a planted bug, to test the oracle: the driver or the network does what
// a wrong machine, or a wrong client, would have done. The zero bug does
// nothing. Each answers to a name of Bugs.
type bug struct{ name string }

func (b bug) is(name string) bool { return b.name == name }

const staticRandom = "staticstatic"

func (o *owner) staticToken() string {
	return mapping.NewToken(o.identity(), 0, []byte(staticRandom))
}

// conditions are those of an append in a session.
func (b bug) conditions(o *owner, c *conditions) {
	switch b.name {
	case "no-fence-no-match":
		c.token, c.seq = nil, nil
	case "no-match":
		c.seq = nil
	case "static-token-no-match":
		token := o.staticToken()
		c.token, c.seq = &token, nil
	case "static-token":
		token := o.staticToken()
		c.token = &token
	}
}

// fence is the condition of a fence, and its token.
func (b bug) fence(o *owner, c *conditions, token *string) {
	switch b.name {
	case "static-token", "static-token-no-match":
		*token = o.staticToken()
		if *c.token != "" && o.mine[*c.token] {
			c.token = token
		}
	case "fence-blindly", "no-fence-no-match":
		c.token, c.seq = nil, nil
	case "no-identity-check":
		if shown, ok := o.shown[*c.token]; ok {
			c.token = &shown
		}
	}
}

// metadata is what a commit carries.
func (b bug) metadata(m offsets.Mark) string {
	if b.is("no-metadata") {
		return ""
	}
	return m.Meta.Encode()
}

// sent: an append leaves.
func (b bug) sent(o *owner, a handoff.Send) {
	if _, last, ok := a.Batch.Span(); ok && b.is("commit-on-submit") {
		o.mark(offsets.Mark{Offset: last + 1, Epoch: a.Batch.Epoch(), Meta: offsets.Meta{
			Next: a.Seq + uint64(a.Batch.Count()), Last: last, Parts: 1, ID: o.identity().Hash(),
		}}, false)
	}
}

// swap gives a frame the batch of the one before it.
func (b bug) swap(x *session, f *frame) {
	if n := len(x.flying); b.is("swapped") && n > 0 {
		if before := x.flying[n-1]; before.batch != nil && f.batch.Count() == before.batch.Count() {
			before.batch, f.batch = f.batch, before.batch
		}
	}
}

// event may turn what the machine hears; nil: nothing.
func (b bug) event(o *owner, ev handoff.Event) handoff.Event {
	switch ev := ev.(type) {
	case handoff.Acked:
		x := o.newest
		if x == nil || len(x.out) == 0 || (ev.Session != x.id && !b.is("late-ack")) {
			return ev
		}
		f := x.out[0]
		x.out, x.acked = x.out[1:], f
		switch b.name {
		case "ack-unchecked", "late-ack":
			return handoff.Acked{Session: x.id, Start: f.seq, End: f.seq + uint64(f.count)}
		}
	case handoff.Fetched:
		switch b.name {
		case "cut-ignored":
			ev.Cut = o.cursor.cut
			return ev
		case "commit-polled":
			last := ev.Records[len(ev.Records)-1]
			o.mark(offsets.Mark{Offset: last.Offset + 1, Epoch: last.LeaderEpoch, Meta: offsets.Meta{
				Next: 1, Last: last.Offset, Parts: 1, ID: o.identity().Hash(),
			}}, false)
		}
	case handoff.Trouble:
		if b.is("silent-reset") && ev.Kind == handoff.OutOfRange {
			o.cursor.offset = o.p.start
			return nil
		}
	case handoff.Asked:
		if ev.Err == nil && ev.Exists {
			ev.Token = b.shows(o, ev.Token)
			return ev
		}
	case handoff.Page:
		return b.page(o, ev)
	case handoff.Ended:
		if x := o.sessions[ev.Session]; x != nil && x == o.newest && b.revives(x, ev.Err) {
			return nil
		}
	}
	return ev
}

// shows is the token that the machine is made to see.
func (b bug) shows(o *owner, token string) string {
	t, known := mapping.ParseToken(token)
	switch b.name {
	case "static-token", "static-token-no-match":
		if token == o.staticToken() && o.lastToken != "" {
			return o.lastToken
		}
	case "no-identity-check":
		if token != "" && (!known || t.ID != o.identity().Hash()) {
			fake := mapping.NewToken(o.identity(), 0, []byte("fakefakefake"))
			o.shown[fake] = token
			return fake
		}
	}
	return token
}

// page may turn what is read.
func (b bug) page(o *owner, ev handoff.Page) handoff.Event {
	for i := range ev.Records {
		r := &ev.Records[i]
		if len(r.Headers) != 1 || len(r.Headers[0].Name) > 0 || r.Seq != o.fencedAt {
			continue
		}
		switch b.name {
		case "static-token", "static-token-no-match":
			r.Body = []byte(o.lastToken)
		case "read-before-fence", "resume-from-commit":
			resume := o.readBefore + 1
			if b.is("resume-from-commit") {
				resume = 0
				if c := o.p.commit; c != nil {
					resume = c.offset
				}
			}
			if r.Seq == 0 || resume < 0 {
				continue
			}
			id := o.identity()
			fake := decode(mapping.OpenMarker(mapping.Open{
				Cluster: id.Cluster, Topic: id.Topic, TopicID: id.TopicUUID(), Partition: id.Partition, Resume: resume, Epoch: -1,
			}).Bytes())[0].Stored
			fake.Seq = r.Seq - 1
			return handoff.Page{ID: ev.ID, Records: []mapping.Stored{fake, *r}}
		}
	}
	return ev
}

// revives lets a session that has ended go on as if nothing had happened.
func (b bug) revives(x *session, err error) bool {
	var no *refusal
	refused := errors.As(err, &no)
	switch {
	case len(x.out) == 0 || x.o.m.dead || errors.Is(err, failure("aborted")):
		return false
	case b.is("412-own-success") && refused && no.numbers:
		// What the server has now is taken for ours.
		for _, f := range x.out {
			x.o.put(handoff.Acked{Session: x.id, Start: f.seq, End: f.seq + uint64(f.count)})
		}
		x.revive()
		return true
	case b.is("blind-resend") && !(refused && no.status == 412):
		again := append([]*frame(nil), x.out...)
		x.revive()
		for _, f := range again {
			x.flying = append(x.flying, f)
			x.waiting++
			x.upBy = max(x.upBy, x.o.w.now+x.o.delay())
			f.lost, f.blind = false, true
			x.o.w.at(x.upBy, func() { x.arrive(f) })
		}
		return true
	}
	return false
}

// revive makes a session as good as new.
func (x *session) revive() {
	x.upDead, x.downDead, x.over, x.gone, x.told, x.waiting, x.flying = false, false, false, false, false, 0, nil
}

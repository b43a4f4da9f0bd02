package sim

import (
	"testing"
	"time"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// scene is a world at work: one owner, which has written some records.
type scene struct {
	w     *world
	p     *partition
	s     *stream
	o     *owner
	last  *entry         // the newest record in the stream
	rec   mapping.Stored // as it stands there
	pos   mapping.Position
	token string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	for seed := byte(0); seed < 50; seed++ {
		w := newWorld(Options{Script: []byte{0, 0, 0, 0, 0, 0, 0, seed, 0, 0, 40, 100}})
		if w.policy.Start.From != handoff.FromEarliest || w.policy.Standing != nil {
			continue
		}
		for i, p := range w.partitions {
			p.begin(newDice(w.seed, 10+uint64(i)))
		}
		w.group.join(w.start(0))
		p := w.partitions[0]
		for w.now < 15*time.Second && w.broken == "" {
			w.until(w.now + 10*time.Millisecond)
			if p.owner == nil || p.owner.ownerOf(p) == nil || p.stream.line.last == nil {
				continue
			}
			x := &scene{w: w, p: p, s: p.stream, o: p.owner.ownerOf(p), last: p.stream.line.last, token: p.stream.line.opener}
			st := x.o.said
			if st.Phase == "flowing" && st.InflightBytes == 0 && st.Durable > 5 && st.Next == x.s.tail() && x.last.seq == st.Next-1 && x.last.rec.Value != nil {
				x.rec = x.s.recs[x.last.seq].Stored
				x.pos = mapping.Classify(x.rec).Position
				return x
			}
		}
	}
	t.Fatal("no world comes to that")
	return nil
}

// again is as if the newest record had not landed yet.
func (x *scene) again() {
	x.s.line.durable, x.s.line.last = x.last.rec.Offset-1, nil
}

// gap has a marker land behind the newest record.
func (x *scene) gap(reason string, from, to int64, at int64) {
	d := x.s.line.durable
	x.s.gapped(x.o, x.token, &mapping.Gap{From: d + from, To: d + to, Reason: reason, At: at})
}

// breaks are hands that break one rule each.
var breaks = map[string]func(x *scene){
	"%s: %s left the chunks of offset %d behind without a fence": func(x *scene) {
		x.s.line.group = &pieces{x: x.last, token: x.token}
		x.s.torn(x.o, x.token)
	},
	"%s: chunk %d of offset %d is not as it should be": func(x *scene) {
		x.s.line.group = &pieces{x: x.last, token: x.token, epoch: x.pos.LeaderEpoch, chunk: mapping.Chunk{Count: 3}}
		x.pos.Chunk = &mapping.Chunk{Index: 2, Count: 3}
		x.s.chunk(x.o, x.token, x.rec, x.pos)
	},
	"%s: the chunks of offset %d make %d bytes of %d": func(x *scene) {
		x.last.rec.Value = []byte("0123456789")
		c := mapping.Chunk{Count: 2, Total: 10}
		x.s.line.group = &pieces{x: x.last, token: x.token, epoch: x.pos.LeaderEpoch, chunk: c, got: 3}
		c.Index = 1
		x.pos.Chunk, x.rec.Body, x.rec.Headers = &c, []byte("34"), x.rec.Headers[:1]
		x.s.chunk(x.o, x.token, x.rec, x.pos)
	},
	"%s: mark of %d counts offset %d": func(x *scene) {
		x.o.highMark = 0
		x.o.checkMark(offsets.Mark{Meta: offsets.Meta{ID: x.o.id.Hash(), Next: x.last.seq + 1, Last: x.last.rec.Offset}})
	},
	"%s: commit of %s fell from %d to %d": func(x *scene) {
		x.p.highOf = 100
		c := commitment{mark: offsets.Mark{Offset: 50, Meta: offsets.Meta{ID: x.o.id.Hash(), Next: 1, Last: 49, Parts: 1}}}
		x.p.checkCommit(x.o.m, c, c.mark.Encode())
	},
	"%s sets the commit back to %d without leave":               func(x *scene) { x.w.does(x.o, handoff.Overwrite{}) },
	"%s became the writer %d times, and counts %d acquisitions": func(x *scene) { x.o.opens = 99; x.w.facts(x.o, x.o.said) },
	"%s counts %d records and %d missing offsets, and went from %d to %d": func(x *scene) {
		st := x.o.said
		st.Records++
		x.w.facts(x.o, st)
	},
	"%s counts %d missing offsets for the gap marker %+v": func(x *scene) {
		st := x.o.said
		st.LastGaps = []mapping.Gap{{To: 5, Reason: mapping.ReasonRetention}}
		x.w.facts(x.o, st)
	},
	"%s counts offsets of gaps without a gap marker: %v, before %v": func(x *scene) {
		st := x.o.said
		st.Missing[handoff.MissingRefused]++
		st.Durable++
		x.w.facts(x.o, st)
	},
	"%s says that %d bytes are in flight: it is %d": func(x *scene) {
		st := x.o.said
		st.InflightBytes = 7
		x.o.newest = &session{o: x.o}
		x.w.facts(x.o, st)
	},
	"%s counts %d records of %d bytes between %d and %d, the stream has %d of %d": func(x *scene) {
		st := x.o.said
		x.o.said.Next--
		x.w.facts(x.o, st)
	},
	"%s is complete up to %d behind sequence number %d by its own word, the stream up to %d": func(x *scene) {
		st := x.o.said
		x.o.said.Next--
		x.o.said.Records--
		x.o.said.Durable--
		x.o.said.Bytes -= uint64(len(x.last.rec.Key) + len(x.last.rec.Value))
		x.s.line.after[st.Next-1] = 1234
		x.w.facts(x.o, st)
	},
	"%s: records below sequence number %d were acknowledged and are others now": func(x *scene) {
		x.s.chain[2]++
		x.s.acked = promise{made: x.s.made, next: 3, hash: x.s.chain[2] - 1}
		x.s.kept()
	},
	"%s: %s wrote a gap marker for another topic": func(x *scene) {
		x.s.line.topic = 99
		x.gap(mapping.ReasonRetention, 1, 3, 0)
	},
	"%s: %s wrote a gap marker that names nothing (%d to %d)":  func(x *scene) { x.gap(mapping.ReasonRetention, 3, 1, 0) },
	"%s: %s wrote a gap marker of the time %d":                 func(x *scene) { x.gap(mapping.ReasonRetention, 1, 3, -1) },
	"%s: %s gave up offsets from %d on, and the stream has %d": func(x *scene) { x.gap(mapping.ReasonRetention, -1, 3, 0) },
	"%s: %s gave up offsets up to %d as deleted, Kafka's log starts at %d": func(x *scene) {
		x.gap(mapping.ReasonRetention, 1, 3, 0)
	},
	"%s: %s gave up offset %d as lost by S2, which it never had": func(x *scene) {
		x.more().born = 1
		x.o.telling = news{cuts: 1}
		x.gap(mapping.ReasonOperator, 1, 1+int64(len(x.p.all)), 0)
	},
	"%s: %s wrote a gap marker from %d on, and offset %d before it is missing": func(x *scene) {
		x.more()
		x.gap(mapping.ReasonOperator, 1+int64(len(x.p.all)), 2+int64(len(x.p.all)), 0)
	},
	"%s: %s wrote a truncation up to %d, the stream is complete up to %d": func(x *scene) {
		x.gap(mapping.ReasonTruncation, -1, 2, 0)
	},
	"%s put offset %d into the dead letter topic, which Kafka never had so": func(x *scene) {
		x.p.letter(x.o, handoff.Letter{Record: mapping.Record{Offset: 1 << 40}, Why: "."})
	},
	"%s put offset %d into the dead letter topic without leave": func(x *scene) {
		x.p.letter(x.o, handoff.Letter{Record: x.last.rec, Why: "."})
	},
	"%s: %s wrote an open marker of another identity": func(x *scene) {
		x.s.opened(x.o, "another", &mapping.Open{Cluster: "another", Resume: x.s.line.durable + 1})
	},
	"%s: %s opened a stream of another topic": func(x *scene) {
		x.s.line.topic = 99
		id := x.o.id
		x.s.opened(x.o, "another", &mapping.Open{Cluster: id.Cluster, Topic: id.Topic, TopicID: id.TopicUUID(), Group: "sim"})
	},
	"%s wrote a record of kind %s at %d: %s": func(x *scene) {
		at, _ := x.s.append([]stored{{mapping.Stored{Body: []byte("x")}, byBridge}}, conditions{})
		x.s.landed(x.o, x.token, at, 1)
	},
	"%s: %s wrote offset %d of epoch %d, which Kafka never had": func(x *scene) {
		x.pos.LeaderEpoch = 99
		x.s.data(x.o, x.token, x.rec, x.pos)
	},
	"%s: %s wrote offset %d of another topic": func(x *scene) {
		x.again()
		x.s.line.topic = 99
		x.s.data(x.o, x.token, x.rec, x.pos)
	},
	"%s: %s wrote offset %d, which no consumer was shown": func(x *scene) {
		x.again()
		x.last.class = aborted
		x.s.data(x.o, x.token, x.rec, x.pos)
	},
	"%s: the open marker promised epoch %d, offset %d has %d": func(x *scene) {
		x.again()
		x.s.line.epoch = 77
		x.s.data(x.o, x.token, x.rec, x.pos)
	},
	"%s: offset %d is not as Kafka has it: %s": func(x *scene) {
		x.again()
		x.rec.Body = []byte("another")
		x.s.data(x.o, x.token, x.rec, x.pos)
	},
	"%s: %s goes on with a topic that is gone": func(x *scene) {
		x.p.topic++
		x.w.final()
	},
	"%s: %d fences for %d blows": func(x *scene) {
		x.p.fences = 1000
		x.p.thrifty()
	},
	"%s: offset %d was lost in silence": func(x *scene) {
		x.more().expired = true
		x.p.log = x.p.log[:len(x.p.log)-1]
		for _, e := range x.p.log {
			e.served = false // only this rule is left to break
		}
		x.w.final()
	},
	"%s: the stream ends with offset %d, which Kafka has no more, and %s is %s": func(x *scene) {
		x.last.cut, x.o.judged, x.p.points = 1, 1, []int64{x.last.rec.Offset}
		for _, e := range x.p.all {
			e.served = false // only this rule is left to break
		}
		x.w.final()
	},
}

// more has Kafka serve another record, which is in no stream.
func (x *scene) more() *entry { return x.p.append(mapping.Record{Value: []byte("more")}, data) }

// TestBreaks: each of these rules is broken by hand, and the oracle says so.
func TestBreaks(t *testing.T) {
	for format, do := range breaks {
		x := newScene(t)
		do(x)
		if !matches(format, x.w.broken) {
			t.Errorf("%q: it says %q", format, x.w.broken)
		}
	}
}

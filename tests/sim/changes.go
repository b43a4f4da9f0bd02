package sim

import (
	"bytes"
	"time"

	"kafka-s2-bridge/mapping"
)

// deleteGroup ends all members, and the group with its commits; the members
// come back to a group that counts from 1.
func (w *world) deleteGroup(d dice) {
	members := append([]*process(nil), w.group.members...)
	for _, m := range members {
		if !m.dead && d.chance(4) {
			m.pause() // a zombie that outlives its group
			w.hit("zombie-of-deleted-group")
			late := d.span(time.Second, 20*time.Second)
			w.in(late, func() {
				m.resume()
				m.soon(d.span(0, w.machineConfig.SessionTimeout), func() { m.loseAll(); m.soon(10*time.Second, m.crash) })
			})
			continue
		}
		m.crash()
	}
	w.disband()
	w.comeBack(d, members)
	for _, p := range w.partitions {
		p.damage.mark(deleteGroup)
	}
}

// disband forgets the group.
func (w *world) disband() {
	w.group.members = nil
	w.group.generation = 0
	for _, p := range w.partitions {
		p.commit, p.late = nil, false
		p.orphan()
	}
}

// orphan takes a partition from its owner's process, which is gone.
func (p *partition) orphan() {
	p.turn++
	p.owner, p.highOf, p.leaving = nil, -1, false
}

func (w *world) comeBack(d dice, members []*process) {
	for _, m := range members {
		w.in(d.span(10*time.Millisecond, 3*time.Second), func() { w.group.join(w.start(m.slot)) })
	}
}

// restore brings the Kafka cluster back under another id, with the same log:
// perhaps without its end, perhaps with other leader epochs, perhaps without
// the group. Nobody lives on: it would be another cluster's client.
func (w *world) restore(d dice) {
	w.restored++
	w.hit("restored")
	members := append([]*process(nil), w.processes...)
	for _, m := range members {
		m.crash()
	}
	for len(members) < w.shape.processes { // some are between two lives
		members = append(members, &process{slot: len(members)})
	}
	anew := d.chance(2)
	for _, p := range w.partitions {
		p.id.Cluster = w.cluster()
		p.damage.mark(restore)
		if d.chance(4) && p.end > p.start {
			low := max(p.start, p.end-4)
			p.truncate(low + d.Int64N(p.end-low))
			p.damage.mark(truncate)
		}
		if anew {
			p.leader, p.epochs = 0, []epochStart{{0, p.start}}
			for _, e := range p.log {
				e.before = append(e.before, e.rec.LeaderEpoch)
				e.rec.LeaderEpoch = 0
			}
		}
	}
	defer w.comeBack(d, members)
	if d.chance(2) {
		w.disband()
		return
	}
	w.group.members = nil
	for _, p := range w.partitions {
		p.late = false // the commits are another identity's
		p.orphan()
	}
	w.comeBack(d, members)
}

// moveCommit is a tool that moves the group's commit and keeps what stands beside
// it. Most take care that nobody is at work; what came meanwhile lies behind the
// position that the metadata count.
func (w *world) moveCommit(p *partition, d dice) bool {
	if p.ours() == nil {
		return false
	}
	move := func() {
		if p.ours() == nil {
			return
		}
		to := p.stable
		if d.chance(3) {
			to = p.start + d.Int64N(p.stable-p.start+1)
		}
		c := *p.commit
		if c.offset == to {
			return
		}
		if to > c.offset {
			w.hit("commit moved up")
		} else {
			w.hit("commit moved down")
		}
		if c.offset, c.lower = to, true; d.chance(2) {
			c.epoch = -1
		}
		w.say("tool", "commit moved", int64(p.index), to)
		p.commit, p.highOf, p.moved = &c, -1, to
		p.stream.jumped()
	}
	if d.chance(4) {
		move()
		return true
	}
	members := append([]*process(nil), w.processes...)
	for _, m := range members {
		m.crash()
	}
	for len(members) < w.shape.processes { // some are between two lives
		members = append(members, &process{slot: len(members)})
	}
	w.group.members = nil
	for _, p := range w.partitions {
		p.orphan()
	}
	for range d.IntN(6) {
		p.append(p.record(d), data)
	}
	w.in(d.span(0, time.Second), func() {
		move()
		w.comeBack(d, members)
	})
	return true
}

// addPartition makes the topic larger by one.
func (w *world) addPartition(d dice) bool {
	if len(w.partitions) >= 5 {
		return false
	}
	p := w.newPartition(len(w.partitions))
	if q := w.partitions[0]; q.id.TopicID == [16]byte{} {
		p.id = p.id.Anonymous()
	} else {
		p.id.TopicID = p.topicID()
	}
	p.late = p.parts() >= 0
	w.partitions = append(w.partitions, p)
	for range d.IntN(5) {
		p.append(p.record(d), data)
	}
	w.in(d.span(0, 2*time.Second), func() { p.produce(d, 20, w.shape.horizon) })
	w.in(d.span(time.Millisecond, 3*time.Second), func() {
		if p.owner == nil {
			w.group.bump()
			w.group.place(p)
		}
	})
	return true
}

// learnIDs gives the topic its id: the brokers were upgraded. Owners learn it
// when they are assigned anew.
func (w *world) learnIDs() bool {
	done := false
	for _, p := range w.partitions {
		if p.id.TopicID == [16]byte{} {
			p.id.TopicID = p.topicID()
			done = true
		}
	}
	return done
}

// outgrow is a newer version of the bridge that took the stream over for a
// while, and wrote what this one does not understand.
func (s *stream) outgrow(d dice) bool {
	if !s.usurp(d, 1000) {
		return false
	}
	id := s.p.id
	marker := decode(mapping.OpenMarker(mapping.Open{
		Cluster: id.Cluster, Topic: id.Topic, TopicID: id.TopicUUID(), Partition: id.Partition, Group: "sim", Bridge: "2", Resume: s.line.durable + 1, Epoch: -1,
	}).Bytes())
	marker[0].Body = bytes.Replace(marker[0].Body, []byte(`"v":1`), []byte(`"v":2`), 1)
	marker[0].hand = byOther
	if k := mapping.Classify(marker[0].Stored).Kind; k != mapping.Unsupported {
		panic("sim: the newer marker is understood")
	}
	_, _ = s.append(marker, conditions{})
	s.line.newer = s.tail()
	return true
}

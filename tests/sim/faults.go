package sim

import (
	"encoding/binary"
	"time"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
)

// strike carries a fault of the plan out.
func (w *world) strike(f *fault) {
	p := w.partitions[max(f.part, 0)]
	s, d := p.stream, f.dice
	if f.kind == staleTail || f.kind == epochUnknown {
		// What lasts longer is no lag any more, and holds a partition.
		if w.lag > 0 && w.now < w.lag {
			return
		}
		w.lag = w.now + 12*time.Second
	}
	w.say("fault", f.String())
	p.blow()
	if f.kind < weatherKinds {
		w.fronts = append(w.fronts, front{kind: f.kind, part: f.part, percent: f.percent, until: w.now + f.lasts})
		return
	}
	if f.point != "" {
		w.traps = append(w.traps, f)
		return
	}
	m := w.alive(f.slot)
	switch f.kind {
	case crash, staticCrash, pause, twin, evictAlive:
		if m == nil {
			return
		}
		w.hurt(m, f)
	case moveOne:
		if n := len(w.group.members); n > 1 {
			w.group.move(p, w.group.members[d.IntN(n)])
		}
	case deleteGroup:
		w.deleteGroup(d)
	case election:
		p.elect()
		p.kick()
	case compact:
		if p.compact(d) == 0 {
			return
		}
	case largeRecord:
		if !d.chance(4) && !w.policy.packer.NoChunks {
			return // they are slow
		}
		rec := p.record(d)
		from := p.unique * 7
		rec.Value = huge[from : from+mapping.MaxMetered+d.IntN(2*mapping.MaxMetered)]
		p.append(rec, data)
		p.kick()
	case falseAlarm:
		p.alarm = true
	case addPartition:
		if !w.addPartition(d) {
			return
		}
	case foreignCommit:
		// Another consumer, or a tool while nobody was there.
		metas := []string{"", "{}", "committed by mirror-maker", `{"v":1,"next":7,"last":4,"parts":1,"id":"D6HPc9zt"}`}
		p.commit = &committed{offset: p.start + d.Int64N(p.end-p.start+1), epoch: -1, meta: metas[d.IntN(len(metas))], lower: true}
		p.highOf = -1
		for _, q := range w.partitions {
			q.late = false // the commit that told it may be gone
		}
	case movedCommit:
		if !w.moveCommit(p, d) {
			return
		}
	case learnIDs:
		if !w.learnIDs() {
			return
		}
	case strayAnswer:
		if m == nil || m.ownerOf(p) == nil {
			return
		}
		o := m.ownerOf(p)
		o.put(handoff.Resume{Answer: allAnswers[d.IntN(len(allAnswers))]})
	default:
		if !w.hurtWorld(f, p, s, d) {
			return
		}
		p.damage.mark(f.kind)
	}
	w.hit(f.kind.String())
}

// hurtWorld is what other people do; false: there was nothing to do it to.
func (w *world) hurtWorld(f *fault, p *partition, s *stream, d dice) bool {
	switch f.kind {
	case truncate:
		if p.end == p.start {
			return false
		}
		low := max(p.start, p.end-8)
		p.truncate(low + d.Int64N(p.end-low))
		for range d.IntN(6) {
			p.append(p.record(d), data)
		}
		p.kick()
		return true
	case rewrite:
		c := p.ours()
		if c == nil || c.Last < 0 || c.Offset < c.Last+3 || c.Offset > p.stable || p.start > c.Last+1 {
			return false
		}
		p.truncate(c.Last + 1 + d.Int64N(c.Offset-c.Last-2))
		for range 1 + d.IntN(6) {
			p.append(p.record(d), data)
		}
		p.expire(c.Last + 2 + d.Int64N(c.Offset-c.Last-1))
		p.kick()
		return true
	case expire:
		if p.stable == p.start {
			return false
		}
		p.expire(p.start + 1 + d.Int64N(p.stable-p.start))
		p.kick()
		return true
	case recreateTopic:
		if w.policy.anonymous {
			return false // the machine does not compare records while the id is zero
		}
		p.recreate()
		for _, q := range w.partitions {
			q.late = false // the commits that told it may be gone
		}
		p.kick()
		return true
	case restore:
		w.restore(d)
		return true
	case bigRecord:
		p.append(mapping.Record{Key: huge[:mapping.MaxMetered]}, data)
		p.kick()
		return true
	}
	if !s.exists {
		return false
	}
	switch f.kind {
	case rollBack:
		if s.tail() == 0 {
			return false
		}
		s.rollBack(s.tail() - 1 - d.Uint64N(min(s.tail(), 12)))
	case newerFormat:
		return s.outgrow(d)
	case rivalWar:
		w.peace = max(w.peace, w.now+f.lasts)
		s.war(d, w.now+f.lasts)
	case deleteStream:
		s.remove()
		if d.chance(2) {
			s.create()
		}
	case trim:
		if s.tail() == 0 {
			return false
		}
		s.trim(1 + d.Uint64N(s.tail()))
	case foreignAppend:
		if s.tail() < s.longest {
			return false // what S2 lost, and what somebody else wrote since, could not be told apart
		}
		_, no := s.append([]stored{{mapping.Stored{Body: []byte("not yours")}, byOther}}, conditions{})
		if no == nil {
			s.line.foreign = s.tail()
		}
	case clearToken:
		_, _ = s.append([]stored{{fenceRecord("").Stored, byOther}}, conditions{})
	case changeToken:
		_, _ = s.append([]stored{{fenceRecord("somebody else").Stored, byOther}}, conditions{})
	case rivalToken:
		return s.usurp(d, d.Int64N(12))
	case tornChunk:
		return s.tear(d)
	}
	return true
}

// usurp fences as another bridge of the same identity would.
func (s *stream) usurp(d dice, generation int64) bool {
	t, _ := mapping.ParseToken(s.token)
	if !s.exists || s.line.topic != s.p.topic || t.ID != s.p.id.Hash() {
		return false // it would hold
	}
	random := binary.LittleEndian.AppendUint64(nil, d.Uint64())
	random = binary.LittleEndian.AppendUint64(random, d.Uint64())
	token := mapping.NewToken(s.p.id, generation, random)
	_, _ = s.append([]stored{{fenceRecord(token).Stored, byOther}}, conditions{})
	s.line.fencer = nil
	s.p.blow()
	s.w.say(s.name, "usurped", int64(s.tail()))
	s.rival = token
	return true
}

// war is a bridge of another group with the same stream: whenever it finds
// itself fenced out, it fences again.
func (s *stream) war(d dice, until time.Duration) {
	if t, _ := mapping.ParseToken(s.token); s.token != s.rival && t.ID == s.p.id.Hash() {
		s.usurp(d, 1000)
	}
	if s.w.now < until {
		s.w.in(d.span(200*time.Millisecond, 3*time.Second), func() { s.war(d, until) })
	}
}

// tear is what a bridge that cuts large records leaves when it dies between
// two chunks: the first chunk of the next record, under the token of the last
// owner, who is gone.
func (s *stream) tear(d dice) bool {
	if !s.line.begun || s.p.owner == nil || s.line.topic != s.p.topic || s.tail() < s.longest {
		return false
	}
	m := s.p.owner
	next := s.line.durable + 1
	position := []byte{1<<5 | 1<<1}
	position = binary.AppendUvarint(position, uint64(next))
	position = append(position, 0, 0) // leader epoch 0, timestamp 0
	position = append(position, 0, byte(d.between(2, 5)), 200, 1, 1, 2, 3, 4)
	chunk := mapping.Stored{Headers: []mapping.StoredHeader{{Name: []byte("~"), Value: position}}, Body: []byte("torn")}
	if k := mapping.Classify(chunk).Kind; k != mapping.Data {
		panic("sim: the torn chunk is no chunk")
	}
	// Only the owner could have written it: it dies with it.
	m.crash()
	s.w.afterCrash(m, false, d)
	_, no := s.append([]stored{{chunk, byOther}}, conditions{})
	return no == nil
}

// huge is what large values are cut from: no S2 record takes a whole MiB.
var huge = func() []byte {
	b := make([]byte, 4*mapping.MaxMetered)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}()

// hurt does to a process what a fault says.
func (w *world) hurt(m *process, f *fault) {
	switch f.kind {
	case crash, crashAt:
		m.crash()
		w.afterCrash(m, false, f.dice)
	case staticCrash, staticCrashAt:
		m.crash()
		w.afterCrash(m, true, f.dice)
	case pause, pauseAt:
		m.pause()
		w.in(f.lasts, m.resume)
		w.in(w.machineConfig.SessionTimeout, func() {
			if m.paused {
				w.group.evict(m, true)
			}
		})
	case evictAlive:
		w.group.evict(m, true)
	case twin:
		m.pause()
		w.in(f.dice.span(10*time.Millisecond, 2*time.Second), func() { w.replace(m, w.start(m.slot)) })
		w.in(f.lasts, m.resume)
	}
}

// afterCrash brings a process back. A static member takes its place again, a
// dynamic one is a newcomer, and the group misses the old one after the
// session time-out.
func (w *world) afterCrash(m *process, static bool, d dice) {
	w.in(d.span(10*time.Millisecond, 8*time.Second), func() {
		next := w.start(m.slot)
		if static && w.group.member(m) {
			w.replace(m, next)
			return
		}
		w.group.join(next)
	})
	w.in(w.machineConfig.SessionTimeout, func() { w.group.evict(m, false) })
}

// replace puts a process with the same static member id in another's place:
// no new generation. The other one, if it lives, hears late that it is out.
func (w *world) replace(old, next *process) {
	g := w.group
	if !g.member(old) {
		if !old.dead {
			next.crash()
			return
		}
		g.join(next)
		return
	}
	for i := range g.members {
		if g.members[i] == old {
			g.members[i] = next
		}
	}
	next.generation = g.generation
	for _, p := range w.partitions {
		if p.owner == old {
			p.leaving = false
			g.assign(p, next)
		}
	}
	if !old.dead {
		old.soon(w.dice.span(time.Millisecond, 1500*time.Millisecond), func() {
			old.loseAll()
			old.soon(10*time.Second, old.crash)
		})
	}
}

package sim

import (
	"fmt"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// what a log entry is to a read_committed consumer.
type class uint8

const (
	data    class = iota
	control       // a transaction's end: a consumer that asks for it sees it
	aborted       // never served
)

// entry is one offset of Kafka's log, and what the oracle knows of it.
type entry struct {
	rec   mapping.Record
	class class
	topic int // incarnation of the topic
	born  int // number of truncations before it was written
	cut   int // number of the truncation that removed it; 0: none did

	served    bool // below the last stable offset once: a consumer could see it
	compacted bool
	expired   bool // deleted by retention

	refusal refusalKind // what hinders it to be copied
	letters int         // times that it is in the dead letter topic
	before  []int32     // leader epochs that it had in another cluster

	stored bool   // was appended to a stream
	made   int    // incarnation of the stream that has it, 0: none has
	seq    uint64 // there: of its last chunk
}

// refusalKind is why a record may not be copied as it is.
type refusalKind uint8

const (
	takes    refusalKind = iota
	large                // goes in chunks only
	takesNot             // cannot be bridged at all
)

// due: the stream must have it, if it has anything behind it.
func (e *entry) due() bool {
	return e.class == data && e.served && !e.compacted
}

type epochStart struct {
	epoch int32
	start int64
}

// partition is one partition of the topic at Kafka. High watermark and log end
// are the same here.
type partition struct {
	w     *world
	index int
	name  string

	topic  int // incarnation
	id     mapping.Identity
	log    []*entry // ascending offsets; gaps are legal
	start  int64    // log start
	end    int64    // log end = high watermark
	stable int64    // last stable offset
	high   int64    // the highest that it ever was
	txn    bool     // a transaction is open
	txnAt  int      // index in log of its first record
	leader int32
	epochs []epochStart
	cuts   int
	unique int

	all    []*entry // every entry ever, all histories
	commit *committed
	highOf int64 // highest offset committed since the group exists
	moved  int64 // where a tool put the commit last; -1: nowhere

	late   bool    // it was added when the group had commits of its siblings
	points []int64 // where the truncations cut, by their number - 1

	stream  *stream
	owner   *process // by the group's word; nil: nobody (yet)
	owners  int      // that it had so far
	blows   int      // that may each cost an acquisition
	fences  int      // of ours that landed
	alarm   bool     // the next fetch meets a leader that is behind
	turn    int      // counts hand-overs
	leaving bool     // its owner was asked to let go
	damage  damage
	named   lineage       // its gaps: those of all streams that it ever had
	began   int64         // where the newest incarnation of the stream began
	firsts  map[int]int64 // the same of each
	hidden  int64         // where retention hid a truncation, -1: nowhere
	checks  checks
}

type committed struct {
	offset int64
	epoch  int32
	meta   string
	by     *process
	lower  bool // it may be below what its owner marked: set back, or somebody else's
}

func (w *world) newPartition(index int) *partition {
	p := &partition{w: w, index: index, name: fmt.Sprintf("p%d", index)}
	p.topic, p.hidden = -1, -1
	p.recreate()
	if w.policy.anonymous {
		p.id = p.id.Anonymous()
	}
	p.stream = &stream{w: w, p: p, name: p.name + "/s2"}
	p.stream.remove()
	return p
}

// recreate makes the topic anew, under another id. Commits of it are gone.
func (p *partition) recreate() {
	p.topic++
	p.id = mapping.Identity{Cluster: p.w.cluster(), Topic: "t", TopicID: p.topicID(), Partition: int32(p.index)}
	p.log, p.start, p.end, p.stable, p.txn, p.leader = nil, 0, 0, 0, false, 0
	p.epochs = []epochStart{{0, 0}}
	p.commit, p.highOf, p.high, p.moved, p.began, p.named, p.firsts = nil, -1, 0, -1, 0, lineage{}, map[int]int64{}
}

// topicID is that of the present incarnation.
func (p *partition) topicID() [16]byte { return [16]byte{1, byte(p.topic)} }

func (p *partition) append(rec mapping.Record, c class) *entry {
	rec.Offset, rec.LeaderEpoch = p.end, p.leader
	e := &entry{rec: rec, class: c, topic: p.topic, born: p.cuts}
	switch {
	case len(rec.Key) >= mapping.MaxMetered:
		e.refusal = takesNot
	case len(rec.Value) >= mapping.MaxMetered:
		e.refusal = large
	}
	p.log = append(p.log, e)
	p.all = append(p.all, e)
	p.end++
	if !p.txn {
		p.stabilize()
	}
	return e
}

// stabilize moves the last stable offset to the end.
func (p *partition) stabilize() {
	for i := len(p.log) - 1; i >= 0 && p.log[i].rec.Offset >= p.stable; i-- {
		p.log[i].served = true
	}
	p.stable = p.end
	p.high = max(p.high, p.stable)
}

// elect gives the partition a new leader, which begins a new epoch.
func (p *partition) elect() {
	p.leader++
	if n := len(p.epochs); p.epochs[n-1].start == p.end {
		p.epochs[n-1].epoch = p.leader
	} else {
		p.epochs = append(p.epochs, epochStart{p.leader, p.end})
	}
}

// epochEnd is Kafka's answer to OffsetForLeaderEpoch: the epoch itself, or the
// highest one below it that the log has, with its end. For an epoch below all
// that the log has, it is the one asked for, which ends where the log starts.
func (p *partition) epochEnd(epoch int32) (of int32, end int64) {
	if epoch == p.leader {
		return epoch, p.end
	}
	of = -1
	for _, e := range p.epochs {
		if e.epoch > epoch {
			if of < 0 {
				of = epoch
			}
			return of, e.start
		}
		of = e.epoch
	}
	return -1, -1
}

// truncate is an unclean election: the log loses its end from offset on, and a
// new epoch begins there.
func (p *partition) truncate(offset int64) {
	p.cuts++
	p.points = append(p.points, offset)
	kept := p.log[:0]
	for _, e := range p.log {
		if e.rec.Offset < offset {
			kept = append(kept, e)
		} else {
			e.cut = p.cuts
		}
	}
	p.log = kept
	for _, e := range p.all { // what compaction had removed is of the lost history, too
		if e.topic == p.topic && e.rec.Offset >= offset && e.cut == 0 {
			e.cut = p.cuts
		}
	}
	p.end, p.stable, p.txn = offset, min(p.stable, offset), false
	for len(p.epochs) > 1 && p.epochs[len(p.epochs)-1].start >= offset {
		p.epochs = p.epochs[:len(p.epochs)-1]
	}
	p.elect()
	p.stabilize()
}

// expire moves the log start: retention.
func (p *partition) expire(start int64) {
	start = min(start, p.stable)
	for len(p.log) > 0 && p.log[0].rec.Offset < start {
		p.log[0].expired = true
		p.log = p.log[1:]
		p.txnAt--
	}
	p.start = max(p.start, start)
	for len(p.epochs) > 1 && p.epochs[1].start <= p.start {
		p.epochs = p.epochs[1:]
	}
	p.epochs[0].start = max(p.epochs[0].start, p.start)
	p.stream.jumped()
}

// compact removes data records below the last one of the log.
func (p *partition) compact(d dice) int {
	removed := 0
	kept := p.log[:0]
	for i, e := range p.log {
		if e.class == data && e.rec.Offset < p.stable && i < len(p.log)-1 && d.chance(3) {
			e.compacted = true
			removed++
			continue
		}
		kept = append(kept, e)
	}
	p.log = kept
	if p.txn {
		p.txnAt -= removed
	}
	return removed
}

// fetch gives what a fetch at offset returns, at most n visible entries, and
// where the next one goes on, behind which epoch (-1: nothing was there).
func (p *partition) fetch(offset int64, n int) (recs []mapping.Record, next int64, epoch int32) {
	next, epoch = offset, -1
	for _, e := range p.log {
		if e.rec.Offset < offset {
			continue
		}
		if e.rec.Offset >= p.stable || len(recs) == n {
			break
		}
		next, epoch = e.rec.Offset+1, e.rec.LeaderEpoch
		if e.class == aborted {
			continue
		}
		rec := e.rec
		rec.Control = e.class == control
		recs = append(recs, rec)
	}
	return recs, next, epoch
}

// lastVisible is the offset of the last entry that a consumer is shown, -1:
// none.
func (p *partition) lastVisible() int64 {
	for i := len(p.log) - 1; i >= 0; i-- {
		if e := p.log[i]; e.class != aborted && e.rec.Offset < p.stable {
			return e.rec.Offset
		}
	}
	return -1
}

// ours reads the group's commit as package source does.
func (p *partition) ours() *offsets.Commit {
	c := p.commit
	if c == nil {
		return nil
	}
	meta, ok := offsets.ParseMeta(c.meta)
	if p.w.bug.is("any-commit") {
		return &offsets.Commit{Offset: c.offset, Epoch: c.epoch, Meta: offsets.Meta{Next: meta.Next, Last: max(meta.Last, c.offset-1), Parts: meta.Parts, ID: p.id.Hash()}}
	}
	if !ok || (meta.ID != p.id.Hash() && meta.ID != p.id.Anonymous().Hash()) {
		return nil
	}
	return &offsets.Commit{Offset: c.offset, Epoch: c.epoch, Meta: meta}
}

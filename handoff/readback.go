package handoff

import (
	"fmt"

	"kafka-s2-bridge/mapping"
)

// purpose is why a stream is read backwards.
type purpose uint8

const (
	lookForPosition purpose = iota // behind our own fence: the position to append from
	lookForStart                   // without a fence: only where reading Kafka may start
	lookForOpen                    // the newest open marker, to name whose stream it is
)

// readback reads a stream backwards, in stretches that grow, until it knows.
//
//	seq   0 ............................ F   top
//	                         [ 2nd ][1st ]
//	                          <---- examined from the newest to the oldest
//
// Commands, markers of unknown kind and torn chunks prove nothing and are
// passed over; the first complete record or marker of ours is the position.
type readback struct {
	why     purpose
	id      mapping.Identity
	token   string // lookForPosition: the body of the fence at top - 1
	adopt   bool   // what is not ours is passed over: an operator said so, and it was compared
	defect  Defect
	top     uint64 // nothing at or above it is wanted
	lo, hi  uint64 // the stretch
	at      uint64 // the next sequence number of it to read
	stretch []numbered
	read    int // records examined

	pos     position
	next    bool // pos.next is known
	gap     bool // that marker is a gap: any record below tells an epoch
	marker  bool // pos.durable is known from a marker; only the epoch is missing
	reached uint64
}

type numbered struct {
	seq   uint64
	entry mapping.Entry
	fence string // the token of a fence command
}

// firstStretch is small: most often the record just below the fence decides.
const (
	firstStretch = 4
	maxStretch   = 1000 // records of one page
	identifyMax  = 2000 // records read at most to name a stranger
)

func newReadback(why purpose, id mapping.Identity, top uint64, token string) readback {
	r := readback{why: why, id: id, token: token, top: top, hi: top, reached: top, pos: position{durable: -1, epoch: -1}}
	r.lo = below(top, firstStretch)
	r.at = r.lo
	return r
}

func below(seq, n uint64) uint64 {
	if seq < n {
		return 0
	}
	return seq - n
}

// want is the page to read next. The first stretch asks for one record more
// than it needs: whatever stands above our fence was not there by our leave.
func (r *readback) want() (from uint64, count int) {
	count = int(r.hi - r.at)
	if r.hi == r.top {
		count++
	}
	return r.at, count
}

// finding is what a page led to.
type finding uint8

const (
	readMore    finding = iota // want says what
	readBehind                 // the page does not reach our fence: read it again
	readAhead                  // something stands above our fence: ask again
	foundHere                  // pos is the position
	foundFresh                 // every record is there, and none was ever ours
	foundGone                  // the records that would tell are trimmed or expired
	foundAlien                 // a record that is not ours: why says which
	foundNewer                 // a record of ours in a format that this version does not know
	foundMarker                // lookForOpen: the marker (nil: none met)
)

// feed takes the page that want asked for.
func (r *readback) feed(page []mapping.Stored) (f finding, why string, open *mapping.Open) {
	first := r.hi == r.top
	for _, rec := range page {
		if rec.Seq < r.at {
			continue
		}
		if rec.Seq >= r.hi {
			if first && r.why == lookForPosition {
				return readAhead, fmt.Sprintf("record %d stands above our fence at %d", rec.Seq, r.top-1), nil
			}
			break
		}
		n := numbered{seq: rec.Seq, entry: mapping.Classify(rec)}
		if n.entry.Kind == mapping.Fence {
			n.fence = string(rec.Body)
		}
		r.stretch = append(r.stretch, n)
		r.at = rec.Seq + 1
	}
	complete := r.at == r.hi
	progressed := len(page) > 0 && page[len(page)-1].Seq < r.hi
	switch {
	case complete || (!progressed && !first):
		// Whole, or what is missing of it is gone: below a surviving record
		// only trims and retention take records away.
	case progressed:
		return readMore, "", nil
	case r.why == lookForPosition:
		return readBehind, "", nil
	case len(r.stretch) == 0:
		return r.nothingLeft()
	}
	return r.examine(first)
}

func (r *readback) examine(first bool) (finding, string, *mapping.Open) {
	if first && r.why == lookForPosition {
		if n := len(r.stretch); n == 0 || r.stretch[n-1].entry.Kind != mapping.Fence || r.stretch[n-1].fence != r.token {
			return readAhead, fmt.Sprintf("record %d is not the fence that was acknowledged there", r.top-1), nil
		}
	}
	for i := len(r.stretch) - 1; i >= 0; i-- {
		n := r.stretch[i]
		if n.seq+1 != r.reached {
			return r.nothingLeft() // a hole: what is below it proves nothing
		}
		r.reached = n.seq
		r.read++
		if f, why, open, done := r.look(n); done {
			return f, why, open
		}
	}
	if r.lo == 0 || len(r.stretch) == 0 || r.stretch[0].seq > r.lo {
		return r.nothingLeft()
	}
	if r.why == lookForOpen && r.read >= identifyMax {
		return foundMarker, "", nil
	}
	size := min((r.hi-r.lo)*8, maxStretch)
	r.hi = r.lo
	r.lo = below(r.hi, size)
	r.at, r.stretch = r.lo, r.stretch[:0]
	return readMore, "", nil
}

// look passes over one record, or decides.
func (r *readback) look(n numbered) (f finding, why string, open *mapping.Open, done bool) {
	if r.why == lookForOpen {
		if n.entry.Kind == mapping.OpenMark {
			return foundMarker, "", n.entry.Open, true
		}
		return 0, "", nil, false
	}
	switch e := n.entry; e.Kind {
	case mapping.Fence, mapping.Trim:
	case mapping.UnknownMark:
		r.behind(n.seq)
	case mapping.Data:
		if c := e.Position.Chunk; c != nil && c.Index != c.Count-1 && r.defect != TornCounts {
			return 0, "", nil, false // torn: its last chunk is not there
		}
		r.behind(n.seq)
		if !r.marker {
			r.pos.durable = e.Position.Offset
		}
		if r.gap || e.Position.Offset == r.pos.durable {
			r.pos.epoch, r.pos.base = e.Position.LeaderEpoch, e.Position.Offset
		}
		return foundHere, "", nil, true
	case mapping.OpenMark:
		r.behind(n.seq)
		switch {
		case r.adopt || ours(e.Open, r.id):
		case r.marker:
			return foundHere, "", nil, true // adopted, when our open marker was written
		default:
			return foundAlien, fmt.Sprintf("the open marker at sequence number %d is of %s", n.seq, describe(e.Open)), e.Open, true
		}
		if !r.marker {
			r.marker, r.pos.durable = true, e.Open.Resume-1 // read on for its epoch
		}
	case mapping.GapMark:
		if r.defect == GapOverread {
			return 0, "", nil, false
		}
		r.behind(n.seq)
		if !r.marker {
			r.pos.durable = e.Gap.To - 1
		}
		g := e.Gap
		switch {
		case g.Reason == mapping.ReasonTruncation && r.pos.durable == g.To-1:
			r.pos.covered, r.pos.since, r.pos.told = true, g.From, n.seq+1
		case g.Reason != mapping.ReasonTruncation && g.To > g.From:
			r.marker, r.gap = true, true
			return 0, "", nil, false // read on for the epoch of what is below
		}
		return foundHere, "", nil, true // whatever epoch stands below it is of another history
	case mapping.Unsupported:
		return foundNewer, fmt.Sprintf("record %d: %s", n.seq, e.Why), nil, true
	default:
		switch {
		case r.marker: // adopted, when our open marker was written
			return foundHere, "", nil, true
		case !r.adopt:
			return foundAlien, fmt.Sprintf("record %d: %s", n.seq, e.Why), nil, true
		}
	}
	return 0, "", nil, false
}

// behind notes the sequence number behind the newest record of ours.
func (r *readback) behind(seq uint64) {
	if !r.next {
		r.next, r.pos.next = true, seq+1
	}
}

func (r *readback) nothingLeft() (finding, string, *mapping.Open) {
	switch {
	case r.why == lookForOpen:
		return foundMarker, "", nil
	case r.marker:
		return foundHere, "", nil
	case r.reached == 0:
		return foundFresh, "", nil
	}
	return foundGone, "", nil
}

func ours(o *mapping.Open, id mapping.Identity) bool {
	if o.Cluster != id.Cluster || o.Topic != id.Topic || o.Partition != id.Partition {
		return false
	}
	return o.TopicID == id.TopicUUID() || o.TopicID == id.Anonymous().TopicUUID()
}

func describe(o *mapping.Open) string {
	return fmt.Sprintf("cluster %q, topic %q (id %s), partition %d, written for group %q", o.Cluster, o.Topic, o.TopicID, o.Partition, o.Group)
}

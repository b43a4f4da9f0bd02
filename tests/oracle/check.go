package oracle

import (
	"fmt"
	"iter"
	"regexp"
	"strings"
)

// Expect is what a check may take for granted. The zero value is the strictest.
type Expect struct {
	Start     int64  // records below are not asked for (where the bridge began); 0: all that Kafka serves
	Group     string // that the open markers must name; empty: any
	AllowGaps bool   // records that a gap marker names may be missing
	// PastBefore: client timestamps below this (ms; say, when the test began) cannot have been capped by S2, so S2's own
	// timestamps must be those that the format says. 0: they are not looked at. Needs S2's default timestamping.
	PastBefore int64
	// Planted says that the test itself put this record there; it is passed over. May be nil.
	Planted func(Stored) bool
	// Explain says what is known of an offset that Kafka does not serve, such as "aborted". May be nil.
	Explain func(offset int64) string
}

// Check compares a stream, from its first record to its tail, with what Kafka serves of its partition. An error
// means that the stream could not be read; what is wrong with it is in the report.
func Check(served *Served, stored iter.Seq2[Stored, error], want Expect) (Report, error) {
	c := &check{
		Report: Report{Stream: served.Name(), Last: -1}, served: served, want: want, print: newPrinter(),
		seen: make([]bool, served.Len()), high: -1,
	}
	for s, err := range stored {
		if err != nil {
			return c.Report, fmt.Errorf("read stream of %s: %w", served.Name(), err)
		}
		c.stored(s)
	}
	c.torn("at the end of the stream", true)
	c.missing()
	return c.Report, nil
}

// check is the state while one stream is read.
type check struct {
	Report
	served *Served
	want   Expect
	print  *printer
	seen   []bool // by index in served
	high   int64  // highest offset completed
	placed bool   // Last is known

	tenure    tenure
	openEpoch int32 // what the open marker says of the data record that follows; -1: nothing
	gaps      []GapMarker
	group     *chunkGroup
	index     uint64 // S2's timestamp of the record before
}

// tenure is where a stream stands between owners.
type tenure uint8

const (
	nobody tenure = iota // before the first fence
	fenced               // a fence, no open marker yet
	opened               // data may come
)

var tokenShape = regexp.MustCompile(`^kb1\.([A-Za-z0-9_-]{8})\.[0-9a-z]+\.[0-9a-z]{10,}$`)

func (c *check) stored(s Stored) {
	if s.Seq != c.Tail {
		c.violation(&c.Broken, "sequence number %d follows %d", s.Seq, int64(c.Tail)-1)
	}
	c.Tail = s.Seq + 1
	if c.want.Planted != nil && c.want.Planted(s) {
		c.index = s.Timestamp
		return
	}
	it := Decode(s)
	switch it.Kind {
	case Data:
		c.timestamp(s, Index(it.Record))
		c.data(s.Seq, &it)
	case Open, Gap:
		c.timestamp(s, 0)
		c.torn(fmt.Sprintf("by a marker at %d", s.Seq), false)
		c.Markers++
		if it.Kind == Open {
			c.open(s.Seq, it.Open)
		} else {
			c.gap(s.Seq, it.Gap)
		}
		c.Next = c.Tail
	case Fence:
		c.timestamp(s, 0)
		c.Fences++
		if m := tokenShape.FindStringSubmatch(it.Token); m == nil || len(it.Token) > 36 {
			c.violation(&c.Foreign, "fence at %d has the token %q, which no bridge minted", s.Seq, it.Token)
		} else if m[1] != c.served.Identity.Hash() {
			c.violation(&c.Foreign, "fence at %d has a token of another partition: %q", s.Seq, it.Token)
		}
		c.tenure = fenced
		if c.group != nil {
			c.group.fenced = true
		}
	case Trim:
		c.violation(&c.Foreign, "trim command at %d", s.Seq)
	case OtherMarker:
		c.violation(&c.Foreign, "marker of unknown kind %q at %d", it.Marker, s.Seq)
		c.Next = c.Tail
	case Foreign:
		c.violation(&c.Foreign, "record at %d is not of the format: %s", s.Seq, it.Why)
	}
}

// timestamp holds S2's own timestamp against the one that the format says was given: S2 keeps it, or raises it
// to the one before.
func (c *check) timestamp(s Stored, given uint64) {
	before := c.index
	c.index = s.Timestamp
	if c.want.PastBefore == 0 || given >= uint64(c.want.PastBefore) {
		return
	}
	if should := max(given, before); s.Timestamp != should {
		c.violation(&c.Altered, "record at %d has the S2 timestamp %d; %d was to be given, so it should be %d", s.Seq, s.Timestamp, given, should)
	}
}

func (c *check) open(seq uint64, m OpenMarker) {
	id := c.served.Identity
	switch {
	case m.Cluster != id.Cluster || m.Topic != id.Topic || m.TopicID != id.UUID() || m.Partition != id.Partition:
		c.violation(&c.Foreign, "open marker at %d is of another partition: %+v", seq, m)
	case c.want.Group != "" && m.Group != c.want.Group:
		c.violation(&c.Foreign, "open marker at %d is of group %q", seq, m.Group)
	}
	if c.tenure != fenced {
		c.violation(&c.Broken, "open marker at %d without a fence before it", seq)
	}
	if c.placed && m.Resume != c.Last+1 {
		c.violation(&c.Broken, "open marker at %d resumes at %d, but the stream stands at %d", seq, m.Resume, c.Last)
	}
	c.tenure, c.openEpoch = opened, m.Epoch
	c.Last, c.placed = m.Resume-1, true
}

func (c *check) gap(seq uint64, m GapMarker) {
	c.Gaps++
	c.gaps = append(c.gaps, m)
	if c.tenure != opened {
		c.violation(&c.Broken, "gap marker at %d before an open marker", seq)
	}
	switch m.Reason {
	case "truncation":
		if m.To != c.Last+1 {
			c.violation(&c.Broken, "truncation gap at %d ends at %d, but the stream stands at %d", seq, m.To, c.Last)
		}
	case "retention", "refused", "dead_letter", "operator":
		if m.From <= c.high {
			c.violation(&c.Broken, "gap at %d from %d, but offset %d is here", seq, m.From, c.high)
		}
	default:
		c.violation(&c.Broken, "gap at %d for the unknown reason %q", seq, m.Reason)
	}
	c.Last, c.placed = m.To-1, true
}

// complete judges a whole record that ended at seq.
func (c *check) complete(seq uint64, r *Record) {
	if c.tenure != opened {
		c.violation(&c.Broken, "data at %d (offset %d) before an open marker", seq, r.Offset)
	}
	if c.openEpoch >= 0 && c.openEpoch != r.Epoch {
		c.violation(&c.Broken, "data at %d (offset %d) has leader epoch %d, its open marker said %d", seq, r.Offset, r.Epoch, c.openEpoch)
	}
	c.openEpoch = -1
	for _, g := range c.gaps {
		if r.Offset < g.To && r.Offset >= g.From {
			c.violation(&c.Broken, "offset %d at %d lies in the gap from %d to %d", r.Offset, seq, g.From, g.To)
		}
	}
	i, ok := c.served.find(r.Offset)
	switch {
	case !ok:
		why := ""
		if c.want.Explain != nil {
			why = ": " + c.want.Explain(r.Offset)
		}
		c.violation(&c.Foreign, "offset %d at %d is not served by Kafka%s", r.Offset, seq, why)
	case c.seen[i]:
		c.violation(&c.Duplicates, "offset %d at %d is here already", r.Offset, seq)
	default:
		c.seen[i] = true
		c.Records++
		if r.Offset < c.high {
			c.violation(&c.Reordered, "offset %d at %d comes after %d", r.Offset, seq, c.high)
		}
		if d := c.print.of(r).differences(c.served.prints[i]); len(d) > 0 {
			c.violation(&c.Altered, "offset %d at %d differs from Kafka's in %s", r.Offset, seq, strings.Join(d, ", "))
		}
	}
	c.high = max(c.high, r.Offset)
	c.Last, c.Next, c.placed = r.Offset, seq+1, true
}

// missing counts what was not seen, and tells it as ranges.
func (c *check) missing() {
	from, count := -1, 0 // of the range at hand, as indexes
	tell := func(to int) {
		if count > 0 {
			c.tell("missing: %d records, offsets %d to %d", count, c.served.offsets[from], c.served.offsets[to])
		}
		count = 0
	}
	last := -1
	for i, seen := range c.seen {
		switch {
		case seen:
			tell(last)
		case c.served.offsets[i] < c.want.Start:
		case c.want.AllowGaps && c.excused(c.served.offsets[i]):
			c.Gapped++
		default:
			if count == 0 {
				from = i
			}
			count, last = count+1, i
			c.Missing++
		}
	}
	tell(last)
}

func (c *check) excused(offset int64) bool {
	for _, g := range c.gaps {
		if offset >= g.From && offset < g.To {
			return true
		}
	}
	return false
}

package mapping

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"unicode/utf8"
)

// Kinds of markers.
const (
	markerOpen = "open"
	markerGap  = "gap"
)

// Reasons of a gap. The list is closed.
const (
	ReasonRetention  = "retention"   // Kafka deleted them before they were read
	ReasonTruncation = "truncation"  // Kafka dropped a history that the stream holds
	ReasonRefused    = "refused"     // could not be bridged, skipped by policy
	ReasonDeadLetter = "dead_letter" // could not be bridged, put elsewhere by policy
	ReasonOperator   = "operator"    // an operator gave them up
)

// Open is the marker behind an acquisition's fence: who writes from here on,
// and from which Kafka offset. The order of the fields is the order in JSON.
type Open struct {
	V         int    `json:"v"` // always 1; OpenMarker sets it
	Cluster   string `json:"cluster"`
	Topic     string `json:"topic"`
	TopicID   string `json:"topic_id"` // as Identity.TopicUUID prints it
	Partition int32  `json:"partition"`
	Group     string `json:"group"`
	Bridge    string `json:"bridge"` // the bridge's version
	Resume    int64  `json:"resume"` // next Kafka offset
	Epoch     int32  `json:"epoch"`  // leader epoch of the data record that follows, -1: none yet
}

// Gap is the marker for Kafka offsets that a reader will never find here.
type Gap struct {
	V      int    `json:"v"` // always 1; GapMarker sets it
	From   int64  `json:"from"`
	To     int64  `json:"to"` // exclusive
	Reason string `json:"reason"`
	At     int64  `json:"at"` // milliseconds since 1970
}

// check returns what makes the marker senseless, or "".
func (m *Open) check() string {
	switch {
	case !isTopicUUID(m.TopicID):
		return "topic_id is not a Kafka topic id"
	case m.Partition < 0:
		return "partition is negative"
	case m.Resume < 0:
		return "resume is negative"
	case m.Epoch < noEpoch:
		return "epoch is below -1"
	}
	return ""
}

func (g *Gap) check() string {
	switch {
	case g.From < 0 || g.To < g.From:
		return fmt.Sprintf("from %d to %d is no range of offsets", g.From, g.To)
	}
	switch g.Reason {
	case ReasonRetention, ReasonTruncation, ReasonRefused, ReasonDeadLetter, ReasonOperator:
		return ""
	}
	return fmt.Sprintf("reason %.40q is none", g.Reason)
}

// OpenMarker returns a sealed batch with one open marker. It panics on a
// marker that readers would refuse (no topic id, negative offset): the bridge
// could not go on behind it.
func OpenMarker(m Open) *Batch {
	m.V = 1
	if why := m.check(); why != "" {
		panic("mapping: open marker: " + why)
	}
	return markerBatch(markerOpen, m, noOffset)
}

// GapMarker returns a sealed batch with one gap marker. It panics on a marker
// that readers would refuse (no range of offsets, unknown reason).
func GapMarker(g Gap) *Batch {
	g.V = 1
	if why := g.check(); why != "" {
		panic("mapping: gap marker: " + why)
	}
	b := markerBatch(markerGap, g, g.To-1)
	b.gap = &g
	return b
}

func markerBatch(kind string, v any, offset int64) *Batch {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // a reader should see names as they are
	if err := enc.Encode(v); err != nil {
		panic("mapping: " + err.Error()) // strings and integers always encode
	}
	body := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))

	s := measureMarker(kind, body)
	b := NewBatch(s.wire())
	b.store = b.store.grow(s.wire())
	b.store.buf = appendMarker(b.store.buf, kind, body, s)
	b.store.entries = append(b.store.entries, entry{
		offset: offset, epoch: noEpoch, last: offset != noOffset, end: int32(len(b.store.buf)), metered: int32(s.metered),
	})
	b.metered = s.metered
	b.Seal()
	return b
}

// parseMarker reads a marker's body. Fields must be those of the format, in
// its order; white space and string escapes are JSON's business.
func parseMarker(kind, body []byte) Entry {
	for _, c := range kind {
		if c <= ' ' || c > '~' {
			return foreign("marker kind is not plain ASCII")
		}
	}
	switch {
	case len(kind) == 0:
		return foreign("marker without a kind")
	case !utf8.Valid(body) || !json.Valid(body):
		return foreign("marker body is not JSON in UTF-8")
	}
	switch string(kind) {
	case markerOpen:
		return parseOpen(body)
	case markerGap:
		return parseGap(body)
	}
	return Entry{Kind: UnknownMark}
}

func parseOpen(body []byte) Entry {
	f := newFields(body)
	m := Open{V: f.version()}
	if m.V > version {
		return unsupportedMarker(markerOpen, m.V)
	}
	m.Cluster = f.text("cluster")
	m.Topic = f.text("topic")
	m.TopicID = f.text("topic_id")
	m.Partition = int32(f.integer("partition", 0, math.MaxInt32))
	m.Group = f.text("group")
	m.Bridge = f.text("bridge")
	m.Resume = f.integer("resume", 0, math.MaxInt64)
	m.Epoch = int32(f.integer("epoch", noEpoch, math.MaxInt32))
	f.end()
	if f.why == "" {
		f.why = m.check()
	}
	if f.why != "" {
		return foreign("open marker: " + f.why)
	}
	return Entry{Kind: OpenMark, Open: &m}
}

func parseGap(body []byte) Entry {
	f := newFields(body)
	g := Gap{V: f.version()}
	if g.V > version {
		return unsupportedMarker(markerGap, g.V)
	}
	g.From = f.integer("from", 0, math.MaxInt64)
	g.To = f.integer("to", 0, math.MaxInt64)
	g.Reason = f.text("reason")
	g.At = f.integer("at", math.MinInt64, math.MaxInt64)
	f.end()
	if f.why == "" {
		f.why = g.check()
	}
	if f.why != "" {
		return foreign("gap marker: " + f.why)
	}
	return Entry{Kind: GapMark, Gap: &g}
}

func unsupportedMarker(kind string, v int) Entry {
	return Entry{Kind: Unsupported, Why: fmt.Sprintf("%s marker has format version %d, this program reads version %d", kind, v, version)}
}

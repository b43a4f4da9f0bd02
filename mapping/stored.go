package mapping

import (
	"fmt"
	"unicode/utf8"
)

// Stored is a record as S2 returns it.
type Stored struct {
	Seq, Timestamp uint64
	Headers        []StoredHeader
	Body           []byte
}

// StoredHeader is a header of a stored record, any bytes.
type StoredHeader struct{ Name, Value []byte }

// Kind says what a stored record is. The zero Kind is none of them.
type Kind uint8

// Kinds of stored records.
const (
	Data        Kind = iota + 1 // a Kafka record, or a chunk of one
	OpenMark                    // our marker "open"
	GapMark                     // our marker "gap"
	UnknownMark                 // a marker of a kind that this version does not know: ignore it
	Fence                       // S2 command
	Trim                        // S2 command
	Foreign                     // not written by a bridge, or forged; Entry.Why says what is wrong
	Unsupported                 // written by a bridge, in another version of the format
)

var kindNames = [...]string{"none", "data", "open", "gap", "unknown marker", "fence", "trim", "foreign", "unsupported"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Entry is what Classify found.
type Entry struct {
	Kind     Kind
	Position Position // of Data
	Open     *Open    // of OpenMark
	Gap      *Gap     // of GapMark
	Why      string   // of Foreign and Unsupported
}

// Through returns how far the stream is behind this entry: the Kafka offset
// of the last record that is complete or never comes. It says false for an
// entry that does not tell: commands, unknown markers, foreign records, and
// every chunk but the last, which proves the chunks before it.
func (e Entry) Through() (offset int64, ok bool) {
	switch e.Kind {
	case Data:
		return e.Position.Offset, e.Position.Chunk.last()
	case OpenMark:
		return e.Open.Resume - 1, true
	case GapMark:
		return e.Gap.To - 1, true
	}
	return 0, false
}

func foreign(why string) Entry { return Entry{Kind: Foreign, Why: why} }

// Classify says what a stored record is. It is strict: what a bridge of this
// format version could not have written is Foreign, even where its meaning
// could be guessed. It shares no memory with s.
func Classify(s Stored) Entry {
	if len(s.Headers) == 0 {
		return foreign("record without headers")
	}
	first := s.Headers[0]
	switch string(first.Name) {
	case "":
		if len(s.Headers) > 1 {
			return foreign("empty header name beside other headers")
		}
		return classifyCommand(first.Value, s.Body)
	case nameMarker:
		if len(s.Headers) > 1 {
			return foreign("marker with more than one header")
		}
		return parseMarker(first.Value, s.Body)
	case namePosition:
		return classifyData(s)
	}
	return foreign(fmt.Sprintf("first header is %.40q", first.Name))
}

// classifyCommand knows the two commands of S2, which refuses all else.
func classifyCommand(command, body []byte) Entry {
	switch string(command) {
	case "fence":
		if len(body) > tokenMax || !utf8.Valid(body) {
			return foreign("fence command without a fencing token")
		}
		return Entry{Kind: Fence}
	case "trim":
		if len(body) != 8 {
			return foreign("trim command without a sequence number")
		}
		return Entry{Kind: Trim}
	}
	return foreign(fmt.Sprintf("unknown S2 command %.40q", command))
}

func classifyData(s Stored) Entry {
	p, kind, why := parsePosition(s.Headers[0].Value)
	if kind != Data {
		return Entry{Kind: kind, Why: why}
	}
	if p.NullValue && len(s.Body) > 0 {
		return foreign("null value with a body")
	}
	if c := p.Chunk; c != nil {
		switch {
		case uint64(len(s.Body)) > c.Total:
			return foreign("chunk is larger than the whole value")
		case c.Index == 0:
			// Each of the chunks behind it has a byte at least.
			if c.Total-uint64(len(s.Body)) < c.Count-1 {
				return foreign("first chunk leaves too little for the others")
			}
		case len(s.Headers) > 1:
			return foreign("chunk with headers behind the first chunk")
		case len(s.Body) == 0:
			return foreign("empty chunk behind the first chunk")
		}
	}
	for _, h := range s.Headers[kafkaHeaders(s):] {
		if why := checkHeader(h); why != "" {
			return foreign(why)
		}
	}
	return Entry{Kind: Data, Position: p}
}

// kafkaHeaders returns the index of the first Kafka header of a data record:
// behind the position, and behind the key if there is one.
func kafkaHeaders(s Stored) int {
	if len(s.Headers) > 1 && string(s.Headers[1].Name) == nameKey {
		return 2
	}
	return 1
}

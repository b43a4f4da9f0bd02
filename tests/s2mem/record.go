package s2mem

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// Position is a place in a stream: a sequence number, and the timestamp of the
// record there (of the one before it, where it is an end).
type Position struct {
	Seq       uint64 `json:"seq_num"`
	Timestamp uint64 `json:"timestamp"`
}

// Record is a record as the stream holds it.
type Record struct {
	Seq       uint64
	Timestamp uint64
	Headers   []Header
	Body      []byte
}

// Header is one of a record's ordered pairs.
type Header struct {
	Name, Value []byte
}

// Metered is what S2 charges for the record, and what its limits count: 8
// bytes, 2 for each header, names, values and body.
func (r Record) Metered() int { return metered(r.Headers, r.Body) }

// Command tells the name of a command record ("fence" or "trim"), else "".
func (r Record) Command() string {
	if !isCommand(r.Headers) {
		return ""
	}
	return string(r.Headers[0].Value)
}

// Clone copies the record with all its bytes.
func (r Record) Clone() Record {
	r.Body = slices.Clone(r.Body)
	r.Headers = slices.Clone(r.Headers)
	for i, h := range r.Headers {
		r.Headers[i] = Header{slices.Clone(h.Name), slices.Clone(h.Value)}
	}
	return r
}

func metered(headers []Header, body []byte) int {
	n := 8 + 2*len(headers) + len(body)
	for _, h := range headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

// isCommand tells whether S2 reads the record as a command: exactly one
// header, with an empty name.
func isCommand(headers []Header) bool {
	return len(headers) == 1 && len(headers[0].Name) == 0
}

// checkRecord is S2's check of one record: its headers, its command, its size.
func checkRecord(headers []Header, body []byte) *refusal {
	if isCommand(headers) {
		switch string(headers[0].Value) {
		case "fence":
			if !utf8.Valid(body) {
				return refuse("invalid", "invalid `fence` command: invalid UTF-8")
			}
			if len(body) > MaxTokenBytes {
				return refuse("invalid", "invalid `fence` command: fencing token must not exceed %d bytes in length", MaxTokenBytes)
			}
		case "trim":
			if len(body) != 8 {
				return refuse("invalid", "invalid `trim` command: earliest sequence number to trim to was %d bytes, must be 8", len(body))
			}
		default:
			return refuse("invalid", "unknown command")
		}
	} else {
		for _, h := range headers {
			if len(h.Name) == 0 {
				return refuse("invalid", "invalid header: empty name")
			}
		}
	}
	if metered(headers, body) > MaxBatchBytes {
		return refuse("invalid", "record must have metered size less than 1 MiB")
	}
	return nil
}

// inputRecord is a record of an append before it has a sequence number.
type inputRecord struct {
	timestamp    uint64
	hasTimestamp bool
	headers      []Header
	body         []byte
}

// input is one batch with its conditions. reset allows using it again.
type input struct {
	records  []inputRecord
	headers  []Header // arena that records' headers lie in
	metered  int
	match    uint64
	hasMatch bool
	token    string
	hasToken bool
	last     string // token of the batch before, to be used again
}

func (in *input) reset() {
	clear(in.records) // lets go of the bytes of the batch before
	*in = input{records: in.records[:0], headers: in.headers[:0], last: in.token}
}

// check is S2's check of a batch; the records were checked one by one.
func (in *input) check() *refusal {
	switch {
	case len(in.records) == 0:
		return refuse("invalid", "record batch must not be empty")
	case len(in.records) > MaxBatchRecords:
		return refuse("invalid", "record batch must not exceed %d records", MaxBatchRecords)
	case in.metered > MaxBatchBytes:
		return refuse("invalid", "record batch must not exceed a metered size of 1 MiB")
	case len(in.token) > MaxTokenBytes:
		return refuse("invalid", "fencing token must not exceed %d bytes in length", MaxTokenBytes)
	}
	return nil
}

// asks tells whether the append is the token question: match_seq_num so high
// that it can never land.
func (in *input) asks() bool { return in.hasMatch && in.match >= 1<<62 }

// trimPoint reads the body of a trim command.
func trimPoint(body []byte) uint64 { return binary.BigEndian.Uint64(body) }

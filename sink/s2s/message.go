package s2s

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of S2's messages (s2/v1/s2.proto).
const (
	inputRecords      protowire.Number = 1
	inputMatchSeqNum  protowire.Number = 2
	inputFencingToken protowire.Number = 3

	recordTimestamp protowire.Number = 1
	recordHeaders   protowire.Number = 2
	recordBody      protowire.Number = 3

	headerName  protowire.Number = 1
	headerValue protowire.Number = 2

	ackStart protowire.Number = 1
	ackEnd   protowire.Number = 2
	ackTail  protowire.Number = 3

	positionSeqNum    protowire.Number = 1
	positionTimestamp protowire.Number = 2

	sequencedSeqNum    protowire.Number = 1
	sequencedTimestamp protowire.Number = 2
	sequencedHeaders   protowire.Number = 3
	sequencedBody      protowire.Number = 4

	batchRecords protowire.Number = 1
	batchTail    protowire.Number = 2
)

// MaxRecords is how many records S2 takes in one append and gives in one page.
const MaxRecords = 1000

// MaxToken is the longest fencing token in bytes.
const MaxToken = 36

// MaxTrailer bounds what AppendTrailer writes for a token of MaxToken bytes.
const MaxTrailer = 1 + 10 + 1 + 1 + MaxToken

// ErrMessage is the root of every error about a protobuf message that is
// malformed or lacks what S2 always sends.
var ErrMessage = errors.New("malformed S2 message")

// Position is a place in a stream.
type Position struct {
	SeqNum, Timestamp uint64
}

// AppendAck says where a batch landed: its records have the sequence numbers
// Start.SeqNum to End.SeqNum - 1.
type AppendAck struct {
	Start, End, Tail Position
}

// Header is a header of a record. Names and values are free bytes; only the
// sole header of an S2 command has an empty name.
type Header struct {
	Name, Value []byte
}

// Record is a record as it is read from a stream.
type Record struct {
	SeqNum, Timestamp uint64
	Headers           []Header
	Body              []byte
}

// ReadBatch is one page of a stream. Tail is nil where S2 did not say it.
type ReadBatch struct {
	Records []Record
	Tail    *Position
}

// AppendTrailer appends the two conditions of an AppendInput to dst: the
// sequence number that its first record must get, and the fencing token. They
// are separate fields behind the records, so a resend changes only them. An
// empty token is a condition too: that the stream has none.
func AppendTrailer(dst []byte, matchSeqNum uint64, token string) []byte {
	dst = protowire.AppendTag(dst, inputMatchSeqNum, protowire.VarintType)
	dst = protowire.AppendVarint(dst, matchSeqNum)
	return AppendToken(dst, token)
}

// AppendToken appends the fencing token of an AppendInput to dst.
func AppendToken(dst []byte, token string) []byte {
	dst = protowire.AppendTag(dst, inputFencingToken, protowire.BytesType)
	return protowire.AppendString(dst, token)
}

// AppendRecord appends one record of an AppendInput to dst, with timestamp 0.
func AppendRecord(dst []byte, headers []Header, body []byte) []byte {
	rec := protowire.AppendTag(nil, recordTimestamp, protowire.VarintType)
	rec = protowire.AppendVarint(rec, 0)
	for _, h := range headers {
		hdr := protowire.AppendTag(nil, headerName, protowire.BytesType)
		hdr = protowire.AppendBytes(hdr, h.Name)
		hdr = protowire.AppendTag(hdr, headerValue, protowire.BytesType)
		hdr = protowire.AppendBytes(hdr, h.Value)
		rec = protowire.AppendTag(rec, recordHeaders, protowire.BytesType)
		rec = protowire.AppendBytes(rec, hdr)
	}
	rec = protowire.AppendTag(rec, recordBody, protowire.BytesType)
	rec = protowire.AppendBytes(rec, body)
	dst = protowire.AppendTag(dst, inputRecords, protowire.BytesType)
	return protowire.AppendBytes(dst, rec)
}

// ParseAppendAck reads an AppendAck. One without start or end is an error: S2
// always says both, and a guessed position would be a false ack.
func ParseAppendAck(b []byte) (AppendAck, error) {
	var ack AppendAck
	var start, end bool
	err := eachField(b, func(f field) (err error) {
		switch f.num {
		case ackStart:
			start = true
			ack.Start, err = f.position()
		case ackEnd:
			end = true
			ack.End, err = f.position()
		case ackTail:
			ack.Tail, err = f.position()
		}
		return err
	})
	switch {
	case err != nil:
		return AppendAck{}, fmt.Errorf("append ack: %w", err)
	case !start || !end:
		return AppendAck{}, fmt.Errorf("append ack without start or end: %w", ErrMessage)
	}
	return ack, nil
}

// ParseReadBatch reads a ReadBatch. Its records share the bytes of b.
func ParseReadBatch(b []byte) (ReadBatch, error) {
	var page ReadBatch
	err := eachField(b, func(f field) error {
		switch f.num {
		case batchRecords:
			if len(page.Records) == MaxRecords {
				return fmt.Errorf("more than %d records: %w", MaxRecords, ErrMessage)
			}
			rec, err := f.record()
			page.Records = append(page.Records, rec)
			return err
		case batchTail:
			tail, err := f.position()
			page.Tail = &tail
			return err
		}
		return nil
	})
	if err != nil {
		return ReadBatch{}, fmt.Errorf("read batch: %w", err)
	}
	return page, nil
}

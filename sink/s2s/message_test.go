package s2s

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	pb "github.com/s2-streamstore/s2-sdk-go/generated"
	"google.golang.org/protobuf/proto"
)

// The vendor's own generated code is the judge of every message.

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAppendInputIsWhatTheVendorReads(t *testing.T) {
	for _, c := range []struct {
		seq   uint64
		token string
	}{{0, ""}, {1 << 62, "kb1.?"}, {1<<64 - 1, strings.Repeat("t", MaxToken)}} {
		input := AppendRecord(nil, []Header{{nil, []byte("fence")}}, []byte("token"))
		input = AppendRecord(input, []Header{{[]byte("~!"), nil}, {[]byte("\x00\xff"), []byte{1}}}, nil)
		n := len(input)
		input = AppendTrailer(input, c.seq, c.token)
		if len(input)-n > MaxTrailer {
			t.Errorf("a trailer takes %d bytes, above MaxTrailer", len(input)-n)
		}
		var got pb.AppendInput
		if err := proto.Unmarshal(input, &got); err != nil {
			t.Fatal(err)
		}
		if got.MatchSeqNum == nil || *got.MatchSeqNum != c.seq || got.FencingToken == nil || *got.FencingToken != c.token {
			t.Errorf("the trailer of %d, %q is read as %v, %v", c.seq, c.token, got.MatchSeqNum, got.FencingToken)
		}
		if len(got.Records) != 2 {
			t.Fatalf("%d records", len(got.Records))
		}
		r := got.Records[0]
		if r.Timestamp == nil || *r.Timestamp != 0 || len(r.Headers) != 1 || len(r.Headers[0].Name) != 0 ||
			string(r.Headers[0].Value) != "fence" || string(r.Body) != "token" {
			t.Errorf("the command is read as %v", r)
		}
		r = got.Records[1]
		if len(r.Headers) != 2 || string(r.Headers[0].Name) != "~!" || string(r.Headers[1].Name) != "\x00\xff" || len(r.Body) != 0 {
			t.Errorf("the record is read as %v", r)
		}
	}
}

func TestAppendTokenLeavesTheSequenceNumberOut(t *testing.T) {
	var got pb.AppendInput
	if err := proto.Unmarshal(AppendToken(nil, "seen"), &got); err != nil {
		t.Fatal(err)
	}
	if got.MatchSeqNum != nil || got.GetFencingToken() != "seen" {
		t.Errorf("read as %v", &got)
	}
}

func TestParseAppendAck(t *testing.T) {
	b := marshal(t, &pb.AppendAck{
		Start: &pb.StreamPosition{SeqNum: 1 << 53, Timestamp: 5},
		End:   &pb.StreamPosition{SeqNum: 1<<53 + 1, Timestamp: 6},
		Tail:  &pb.StreamPosition{SeqNum: 1<<64 - 1, Timestamp: 7},
	})
	want := AppendAck{Position{1 << 53, 5}, Position{1<<53 + 1, 6}, Position{1<<64 - 1, 7}}
	// A newer server may say more.
	b = protowire.AppendTag(b, 15, protowire.BytesType)
	b = protowire.AppendString(b, "news")
	b = protowire.AppendTag(b, 16, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, 1)
	if got, err := ParseAppendAck(b); err != nil || got != want {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	// The first ack of a stream: zeros are left out, the messages are not.
	zero := marshal(t, &pb.AppendAck{Start: &pb.StreamPosition{}, End: &pb.StreamPosition{SeqNum: 1}})
	if got, err := ParseAppendAck(zero); err != nil || got.Start != (Position{}) || got.End.SeqNum != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestParseRefuses(t *testing.T) {
	position := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 5)
	start := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), position)
	for name, b := range map[string][]byte{
		"nothing":            nil,
		"no end":             start,
		"start as a number":  protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 5),
		"torn":               start[:len(start)-1],
		"varint without end": bytes.Repeat([]byte{0xff}, 20),
		"number as bytes":    protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), start),
	} {
		if ack, err := ParseAppendAck(b); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: ack %v, %v", name, ack, err)
		}
	}
	many := &pb.ReadBatch{}
	for range MaxRecords + 1 {
		many.Records = append(many.Records, &pb.SequencedRecord{})
	}
	if _, err := ParseReadBatch(marshal(t, many)); !errors.Is(err, ErrMessage) {
		t.Errorf("1,001 records: %v", err)
	}
}

func TestParseReadBatch(t *testing.T) {
	b := marshal(t, &pb.ReadBatch{
		Records: []*pb.SequencedRecord{
			{SeqNum: 7, Timestamp: 1 << 63, Headers: []*pb.Header{{Name: []byte("a"), Value: []byte("1")}, {Name: []byte("a")}}, Body: []byte("body")},
			{SeqNum: 8},
		},
		Tail: &pb.StreamPosition{SeqNum: 9, Timestamp: 1},
	})
	got, err := ParseReadBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	want := ReadBatch{
		Records: []Record{
			{SeqNum: 7, Timestamp: 1 << 63, Headers: []Header{{[]byte("a"), []byte("1")}, {[]byte("a"), nil}}, Body: []byte("body")},
			{SeqNum: 8},
		},
		Tail: &Position{9, 1},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, err := ParseReadBatch(nil); err != nil || len(got.Records) != 0 || got.Tail != nil {
		t.Errorf("an empty page is %+v, %v", got, err)
	}
}

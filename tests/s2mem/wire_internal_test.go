package s2mem

import (
	"bytes"
	"testing"

	pb "github.com/s2-streamstore/s2-sdk-go/generated"
	"google.golang.org/protobuf/proto"
)

// What we take for an AppendInput, the vendor's generated code reads alike.
func FuzzDecode(f *testing.F) {
	ts, match, token := uint64(5), uint64(1)<<63, "t"
	for _, in := range []*pb.AppendInput{
		{},
		{Records: []*pb.AppendRecord{{}}},
		{Records: []*pb.AppendRecord{{Timestamp: &ts, Headers: []*pb.Header{{Name: []byte("n")}, {Value: []byte("v")}}, Body: []byte("b")}}, MatchSeqNum: &match, FencingToken: &token},
		{Records: []*pb.AppendRecord{{Body: bytes.Repeat([]byte("x"), 300), Headers: []*pb.Header{{Name: bytes.Repeat([]byte("n"), 200)}}}}},
	} {
		b, err := proto.Marshal(in)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("\x0a\x02\x1a\x00\x20\x01\x2a\x01x"))
	f.Add([]byte("\x0a\x80\x00\x3b\x3c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := new(input)
		if _, err := in.decode(b); err != nil {
			return
		}
		var want pb.AppendInput
		if err := proto.Unmarshal(b, &want); err != nil {
			t.Fatalf("accepted what is not protobuf: %v", err)
		}
		if len(in.records) != len(want.Records) || in.hasMatch != (want.MatchSeqNum != nil) || in.match != want.GetMatchSeqNum() ||
			in.hasToken != (want.FencingToken != nil) || in.token != want.GetFencingToken() {
			t.Fatalf("read %+v, want %v", in, &want)
		}
		for i, r := range in.records {
			w := want.Records[i]
			if r.hasTimestamp != (w.Timestamp != nil) || r.timestamp != w.GetTimestamp() || !bytes.Equal(r.body, w.Body) || len(r.headers) != len(w.Headers) {
				t.Fatalf("record %d: read %+v, want %v", i, r, w)
			}
			for j, h := range r.headers {
				if !bytes.Equal(h.Name, w.Headers[j].Name) || !bytes.Equal(h.Value, w.Headers[j].Value) {
					t.Fatalf("record %d: header %d: read %q, want %v", i, j, h, w.Headers[j])
				}
			}
		}
	})
}

// What we send, the vendor's generated code reads as what we meant.
func TestEncode(t *testing.T) {
	records := []Record{
		{},
		{Seq: 1 << 63, Timestamp: 7, Headers: []Header{{[]byte("n"), []byte("v")}, {nil, []byte("v")}, {[]byte("n"), nil}}, Body: []byte("b")},
		{Seq: 3, Headers: []Header{{bytes.Repeat([]byte("n"), 200), bytes.Repeat([]byte("v"), 300)}}, Body: bytes.Repeat([]byte("b"), 70000)},
	}
	var got pb.ReadBatch
	if err := proto.Unmarshal(protoBatch(nil, records, &Position{9, 0}), &got); err != nil {
		t.Fatal(err)
	}
	if got.Tail.GetSeqNum() != 9 || got.Tail.GetTimestamp() != 0 || len(got.Records) != 3 {
		t.Fatalf("read %v", &got)
	}
	for i, r := range records {
		g := got.Records[i]
		if g.SeqNum != r.Seq || g.Timestamp != r.Timestamp || !bytes.Equal(g.Body, r.Body) || len(g.Headers) != len(r.Headers) {
			t.Fatalf("record %d: %v", i, g)
		}
		for j, h := range r.Headers {
			if !bytes.Equal(g.Headers[j].Name, h.Name) || !bytes.Equal(g.Headers[j].Value, h.Value) {
				t.Fatalf("record %d: header %d: %v", i, j, g.Headers[j])
			}
		}
	}
	var a pb.AppendAck
	if err := proto.Unmarshal(ack{Position{1, 2}, Position{3, 4}, Position{5, 6}}.proto(nil), &a); err != nil || a.Start.SeqNum != 1 || a.End.Timestamp != 4 || a.Tail.SeqNum != 5 {
		t.Fatal(&a, err)
	}
}

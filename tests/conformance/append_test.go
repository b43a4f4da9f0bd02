package conformance

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

var appendCases = []testCase{
	{name: "append answers positions", run: func(t *testing.T, p *peer) {
		a := wantAck(t, p.append(t, `{"records":[{"body":"a"},{"body":"b"}]}`), 0, 2, 2)
		if a.Start.Timestamp == 0 || a.End.Timestamp != a.Tail.Timestamp || a.End.Timestamp < a.Start.Timestamp {
			t.Fatalf("timestamps of %+v", a)
		}
		wantAck(t, p.append(t, `{"records":[{"body":"c"}]}`), 2, 3, 3)
	}},
	{name: "append to a missing stream", missing: true, run: func(t *testing.T, p *peer) {
		message := fmt.Sprintf("stream `%s` in basin `%s` not found", p.name, p.basin)
		wantCode(t, p.append(t, `{"records":[{}]}`), 404, "stream_not_found", message)
		wantCode(t, p.open(t).refused(t), 404, "stream_not_found", message)
	}},
	{name: "append creates the stream where the basin says so", missing: true, run: func(t *testing.T, p *peer) {
		p.basin = autoBasin
		wantAck(t, p.append(t, `{"records":[{}]}`), 0, 1, 1)
		p.name += "/session"
		s := p.open(t)
		p.wantTail(t, 0) // the opening alone creates it
		s.send(one("a"))
		s.wantAck(t, 0, 1)
	}},
	{name: "failed append creates the stream too", missing: true, run: func(t *testing.T, p *peer) {
		p.basin = autoBasin
		wantBody(t, p.append(t, `{"records":[{}],"fencing_token":"nope"}`), 412, `{"fencing_token_mismatch":""}`)
		p.wantTail(t, 0)
	}},
	{name: "configuration for an auto-created stream", missing: true, run: func(t *testing.T, p *peer) {
		const given = `{"retention_policy":{"infinite":{}},"storage_class":"standard"}`
		wantCode(t, p.append(t, `{"records":[{}]}`, "s2-stream-config", given), 404, "stream_not_found", "")
		p.basin = autoBasin
		wantAck(t, p.append(t, `{"records":[{}]}`, "s2-stream-config", given), 0, 1, 1)
		const config = `{"storage_class":"standard","retention_policy":{"infinite":{}},"timestamping":{"mode":"client-prefer","uncapped":false},"delete_on_empty":{"min_age_secs":0}}`
		wantBody(t, p.get(t, stream(p.name)), 200, config)
		wantAck(t, p.append(t, `{"records":[{}]}`, "s2-stream-config", `{"storage_class":"express"}`), 1, 2, 2)
		wantBody(t, p.get(t, stream(p.name)), 200, config)
	}},
	{name: "match_seq_num", run: func(t *testing.T, p *peer) {
		wantAck(t, p.append(t, `{"records":[{},{}],"match_seq_num":0}`), 0, 2, 2)
		for _, match := range []string{"0", "1", "3", "18446744073709551615"} {
			wantBody(t, p.append(t, `{"records":[{}],"match_seq_num":`+match+`}`), 412, `{"seq_num_mismatch":2}`)
		}
		wantAck(t, p.append(t, `{"records":[{}],"match_seq_num":2}`), 2, 3, 3)
		r := p.proto(t, one("x").at(7))
		wantBody(t, r, 412, `{"seq_num_mismatch":3}`) // JSON also to protobuf
		wantKind(t, r, "application/json")
	}},
	{name: "batch is atomic", run: func(t *testing.T, p *peer) {
		wantCode(t, p.append(t, `{"records":[{"body":"a"},{"body":"b","headers":[["",""],["x","y"]]}]}`), 422, "invalid", "invalid header: empty name")
		wantCode(t, p.proto(t, batch{records: []rec{{body: "a"}, {headers: [][2]string{{"", "nope"}}}}}), 422, "invalid", "unknown command")
		p.wantTail(t, 0)
	}},
	{name: "unary protobuf", run: func(t *testing.T, p *peer) {
		r := p.proto(t, batch{records: []rec{{headers: [][2]string{{"\x00\xff", "\xfe"}, {"d", ""}, {"d", "2"}}, body: "\x80"}}})
		want(t, r, http.StatusOK, nil)
		if a := decodeAck(t, []byte(r.body)); a.Start.Seq != 0 || a.End.Seq != 1 || a.Tail.Seq != 1 {
			t.Fatalf("ack %+v", a)
		}
		wantKind(t, r, "application/protobuf")
		r = p.post(t, stream(p.name)+"/records", string(one("b").encode()), "Content-Type", "application/protobuf")
		wantAck(t, r, 1, 2, 2) // JSON unless Accept says otherwise
		r = p.read(t, "seq_num=0", "Accept", "application/protobuf")
		wantKind(t, r, "application/protobuf")
		got, tail := decodeBatch(t, []byte(r.body))
		if len(got) != 2 || tail != nil || got[0].body != "\x80" || fmt.Sprintf("%q", got[0].headers) != `[["\x00\xff" "\xfe"] ["d" ""] ["d" "2"]]` || got[1].body != "b" {
			t.Fatalf("read %v, tail %v", got, tail)
		}
	}},
	{name: "empty record", run: func(t *testing.T, p *peer) {
		wantAck(t, p.append(t, `{"records":[{}]}`), 0, 1, 1)
		want(t, p.proto(t, batch{records: []rec{{}}}), 200, nil)
		var got page
		r := p.read(t, "seq_num=0")
		want(t, r, 200, &got)
		if len(got.Records) != 2 || strings.Contains(r.body, "body") || strings.Contains(r.body, "headers") {
			t.Fatalf("read %s", r.body)
		}
	}},
}

// wantKind checks the content type.
func wantKind(t *testing.T, r reply, kind string) {
	t.Helper()
	if got := r.header.Get("Content-Type"); got != kind {
		t.Fatalf("content type %s, want %s", got, kind)
	}
}

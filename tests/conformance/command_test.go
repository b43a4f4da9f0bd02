package conformance

import (
	"fmt"
	"testing"
)

var commandCases = []testCase{
	{name: "commands take sequence numbers and are read back", run: func(t *testing.T, p *peer) {
		want(t, p.proto(t, batch{records: []rec{{body: "a"}, fence("T1"), trim(0), {body: "b"}}}), 200, nil)
		r := p.read(t, "seq_num=0", "Accept", "application/protobuf")
		got, _ := decodeBatch(t, []byte(r.body))
		text := ""
		for _, g := range got {
			text += fmt.Sprintf("%d %q %q;", g.Seq, g.headers, g.body)
		}
		const all = `0 [] "a";1 [["" "fence"]] "T1";2 [["" "trim"]] "\x00\x00\x00\x00\x00\x00\x00\x00";3 [] "b";`
		if text != all {
			t.Fatalf("read %s, want %s", text, all)
		}
		var j page
		want(t, p.read(t, "seq_num=1&count=1"), 200, &j)
		if len(j.Records) != 1 || j.Records[0].Body != "T1" || j.Records[0].Headers[0] != [2]string{"", "fence"} {
			t.Fatalf("JSON of a fence: %+v", j)
		}
	}},
	{name: "fence by JSON", run: func(t *testing.T, p *peer) {
		wantAck(t, p.append(t, `{"records":[{"headers":[["","fence"]],"body":"T1"}]}`), 0, 1, 1)
		wantBody(t, p.append(t, `{"records":[{}],"fencing_token":"x"}`), 412, `{"fencing_token_mismatch":"T1"}`)
		wantAck(t, p.append(t, `{"records":[{"headers":[["","ZmVuY2U="]],"body":"VDI="}]}`, "s2-format", "base64"), 1, 2, 2)
		wantBody(t, p.append(t, `{"records":[{}],"fencing_token":"x"}`), 412, `{"fencing_token_mismatch":"T2"}`)
	}},
	{name: "unknown command", run: func(t *testing.T, p *peer) {
		for _, value := range []string{"", "fenc", "Fence", "trim ", "x"} {
			wantCode(t, p.proto(t, batch{records: []rec{{headers: [][2]string{{"", value}}}}}), 422, "invalid", "unknown command")
		}
	}},
	{name: "command with a bad payload", run: func(t *testing.T, p *peer) {
		for _, n := range []int{0, 7, 9} {
			r := rec{headers: [][2]string{{"", "trim"}}, body: string(make([]byte, n))}
			wantCode(t, p.proto(t, batch{records: []rec{r}}), 422, "invalid",
				fmt.Sprintf("invalid `trim` command: earliest sequence number to trim to was %d bytes, must be 8", n))
		}
		wantCode(t, p.proto(t, batch{records: []rec{fence("\xff")}}), 422, "invalid", "invalid `fence` command: invalid UTF-8")
		p.wantTail(t, 0)
	}},
	{name: "empty name beside another header", run: func(t *testing.T, p *peer) {
		for _, headers := range [][][2]string{
			{{"", "fence"}, {"a", "b"}}, {{"a", "b"}, {"", "fence"}}, {{"", "fence"}, {"", "fence"}}, {{"a", ""}, {"", ""}, {"b", ""}},
		} {
			wantCode(t, p.proto(t, batch{records: []rec{{headers: headers, body: "T1"}}}), 422, "invalid", "invalid header: empty name")
		}
		p.wantTail(t, 0)
	}},
	{name: "any other header name is data", run: func(t *testing.T, p *peer) {
		names := []string{"fence", "trim", "\x00", "\xff\xfe", " ", "~", string(make([]byte, 65<<10))}
		b := batch{}
		for _, n := range names {
			b.records = append(b.records, rec{headers: [][2]string{{n, n}}, body: n})
		}
		want(t, p.proto(t, b), 200, nil)
		got, _ := decodeBatch(t, []byte(p.read(t, "seq_num=0", "Accept", "application/protobuf").body))
		if len(got) != len(names) {
			t.Fatalf("%d records", len(got))
		}
		for i, n := range names {
			if got[i].headers[0] != [2]string{n, n} || got[i].body != n {
				t.Fatalf("record %d came back as %q", i, got[i].headers)
			}
		}
	}},
}

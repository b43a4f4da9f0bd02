package conformance

import (
	"strings"
	"testing"
)

var formatCases = []testCase{
	{name: "base64 both ways", run: func(t *testing.T, p *peer) {
		wantAck(t, p.append(t, `{"records":[{"headers":[["aw==","AP8="]],"body":"gIE="}]}`, "s2-format", "base64"), 0, 1, 1)
		got := wantPage(t, p.read(t, "seq_num=0", "s2-format", "base64"), "0:gIE=")
		if got.Records[0].Headers[0] != [2]string{"aw==", "AP8="} {
			t.Fatalf("headers %q", got.Records[0].Headers)
		}
		wantCode(t, p.append(t, `{"records":[{"body":"gIE"}]}`, "s2-format", "base64"), 422, "invalid", "invalid Base64 encoding")
		wantCode(t, p.append(t, `{"records":[{"body":"*"}]}`, "s2-format", "base64"), 422, "invalid", "invalid Base64 encoding")
		wantCode(t, p.append(t, `{"records":[{"headers":[["*",""]]}]}`, "s2-format", "base64"), 422, "invalid", "invalid Base64 encoding")
	}},
	{name: "raw text in UTF-8", run: func(t *testing.T, p *peer) {
		wantAck(t, p.append(t, "{\"records\":[{\"body\":\"\u20ac \\u0000 <&>\"}]}", "s2-format", "raw"), 0, 1, 1)
		wantPage(t, p.read(t, "seq_num=0"), "0:\u20ac \x00 <&>")
		wantPage(t, p.read(t, "seq_num=0", "s2-format", "base64"), "0:4oKsIAAgPCY+")
	}},
	{name: "raw destroys what is not UTF-8", run: func(t *testing.T, p *peer) {
		want(t, p.proto(t, one("a\xffb\xff\xfec\xe2\x82d\xed\xa0\x80e\xf0\x9f\x98f\xc0\xaf\xe2\x82")), 200, nil)
		wantPage(t, p.read(t, "seq_num=0"), strings.ReplaceAll("0:a?b??c?d???e?f???", "?", "\ufffd"))
	}},
	{name: "unknown format", run: func(t *testing.T, p *peer) {
		wantCode(t, p.append(t, `{"records":[{}]}`, "s2-format", "xx"), 400, "bad_header", "Invalid header `s2-format`: xx")
		wantCode(t, p.read(t, "seq_num=0", "s2-format", "xx"), 400, "bad_header", "Invalid header `s2-format`: xx")
	}},
	{name: "malformed JSON", run: func(t *testing.T, p *peer) {
		for _, body := range []string{
			``, `{`, `{}`, `[]`, `{"records":null}`, `{"records":[{"body":1}]}`, `{"records":[{"headers":[["a"]]}]}`,
			`{"records":[{}],"match_seq_num":-1}`, `{"records":[{}],"match_seq_num":"1"}`, `{"records":[{}],"match_seq_num":18446744073709551616}`,
			`{"records":[{"timestamp":-5}]}`, `{"records":[{}],"fencing_token":1}`, `{"records":[{"headers":[["a","b","c"]]}]}`, `{"records":[{}]} x`,
			`{"records":[{"body":null}]}`, `{"records":[{"headers":null}]}`, `{"records":[{"headers":[["a",null]]}]}`, `{"records":{}}`, `null`,
		} {
			wantCode(t, p.append(t, body), 400, "bad_json", "")
		}
		wantAck(t, p.append(t, `{"records":[{"timestamp":null}],"match_seq_num":null,"fencing_token":null,"other":1}`), 0, 1, 1)
	}},
	{name: "JSON needs its content type", run: func(t *testing.T, p *peer) {
		const message = "Expected request with `Content-Type: application/json`"
		for _, kind := range []string{"-", "text/plain", "application/x-www-form-urlencoded"} {
			wantCode(t, p.append(t, `{"records":[{}]}`, "Content-Type", kind), 400, "bad_json", message)
		}
		wantAck(t, p.append(t, `{"records":[{}]}`, "Content-Type", "application/json; charset=utf-8"), 0, 1, 1)
	}},
	{name: "malformed protobuf", run: func(t *testing.T, p *peer) {
		for _, body := range []string{
			"garbage", "\x0a\x05ab", "\x0d\x00\x00\x00\x00", "\x10", "\x1a\x01\xff", "\x0a\x02\x1d\x00", "\x00\x00",
		} {
			r := p.post(t, stream(p.name)+"/records", body, "Content-Type", "application/protobuf")
			wantCode(t, r, 400, "bad_proto", "")
		}
		r := p.post(t, stream(p.name)+"/records", "\x0a\x02\x1a\x00\x20\x01\x2a\x01x", "Content-Type", "application/protobuf")
		wantAck(t, r, 0, 1, 1) // unknown fields pass
	}},
}

package conformance

import (
	"strings"
	"testing"
)

var fencingCases = []testCase{
	{name: "token question on a stream never fenced", run: func(t *testing.T, p *peer) {
		wantBody(t, p.append(t, `{"records":[{}],"fencing_token":"nope","match_seq_num":4611686018427387904}`), 412, `{"fencing_token_mismatch":""}`)
		s := p.open(t)
		s.send(one("").with("nope").at(1 << 62))
		s.wantEnd(t, 412, `{"fencing_token_mismatch":""}`)
		p.wantTail(t, 0)
	}},
	{name: "token question on a fenced stream", run: func(t *testing.T, p *peer) {
		want(t, p.proto(t, batch{records: []rec{fence("T1")}}), 200, nil)
		wantBody(t, p.proto(t, one("").with("nope").at(1<<62)), 412, `{"fencing_token_mismatch":"T1"}`)
		s := p.open(t)
		s.send(one("").with("nope").at(1 << 62))
		s.wantEnd(t, 412, `{"fencing_token_mismatch":"T1"}`)
		p.wantTail(t, 1)
	}},
	{name: "token is checked before match_seq_num", run: func(t *testing.T, p *peer) {
		want(t, p.proto(t, batch{records: []rec{fence("T1")}}), 200, nil)
		wantBody(t, p.proto(t, one("").with("T1").at(7)), 412, `{"seq_num_mismatch":1}`)
		wantBody(t, p.proto(t, one("").with("nope").at(7)), 412, `{"fencing_token_mismatch":"T1"}`)
		wantBody(t, p.proto(t, one("").with("nope").at(1)), 412, `{"fencing_token_mismatch":"T1"}`)
		want(t, p.proto(t, one("").with("T1").at(1)), 200, nil)
	}},
	{name: "empty token is a condition", run: func(t *testing.T, p *peer) {
		want(t, p.proto(t, one("").with("")), 200, nil)
		want(t, p.proto(t, batch{records: []rec{fence("T1")}}.with("")), 200, nil)
		wantBody(t, p.proto(t, one("").with("")), 412, `{"fencing_token_mismatch":"T1"}`)
		wantAck(t, p.append(t, `{"records":[{}]}`), 2, 3, 3) // no token: not checked
	}},
	{name: "fence cleared", run: func(t *testing.T, p *peer) {
		want(t, p.proto(t, batch{records: []rec{fence("T1")}}), 200, nil)
		want(t, p.proto(t, batch{records: []rec{fence("")}}.with("T1")), 200, nil)
		wantBody(t, p.proto(t, one("").with("T1")), 412, `{"fencing_token_mismatch":""}`)
		want(t, p.proto(t, one("").with("")), 200, nil)
	}},
	{name: "fence by anybody without condition", run: func(t *testing.T, p *peer) {
		want(t, p.proto(t, batch{records: []rec{fence("T1")}}), 200, nil)
		want(t, p.proto(t, batch{records: []rec{fence("T2")}}), 200, nil)
		wantBody(t, p.proto(t, one("").with("T1")), 412, `{"fencing_token_mismatch":"T2"}`)
	}},
	{name: "fence in the middle of a batch", run: func(t *testing.T, p *peer) {
		want(t, p.proto(t, batch{records: []rec{fence("T2")}}), 200, nil)
		mixed := batch{records: []rec{{body: "a"}, fence("T3"), {body: "b"}}}
		wantBody(t, p.proto(t, mixed.with("T3")), 412, `{"fencing_token_mismatch":"T2"}`)
		want(t, p.proto(t, mixed.with("T2").at(1)), 200, nil) // the token before the batch
		wantBody(t, p.proto(t, one("").with("T2")), 412, `{"fencing_token_mismatch":"T3"}`)
		want(t, p.proto(t, batch{records: []rec{fence("T4"), fence("T5")}}.with("T3")), 200, nil)
		wantBody(t, p.proto(t, one("").with("T4")), 412, `{"fencing_token_mismatch":"T5"}`) // the last holds
		p.wantTail(t, 6)
	}},
	{name: "token of 36 bytes and of 37", run: func(t *testing.T, p *peer) {
		long := strings.Repeat("x", 36)
		want(t, p.proto(t, batch{records: []rec{fence(long)}}), 200, nil)
		wantBody(t, p.append(t, `{"records":[{}],"fencing_token":"a"}`), 412, `{"fencing_token_mismatch":"`+long+`"}`)
		wantAck(t, p.append(t, `{"records":[{}],"fencing_token":"`+long+`"}`), 1, 2, 2)
		wantCode(t, p.append(t, `{"records":[{}],"fencing_token":"y`+long+`"}`), 400, "bad_json", "")
		const tooLong = "fencing token must not exceed 36 bytes in length"
		wantCode(t, p.proto(t, one("").with("y"+long)), 422, "invalid", tooLong)
		wantCode(t, p.proto(t, batch{records: []rec{fence("y" + long)}}), 422, "invalid", "invalid `fence` command: "+tooLong)
		s := p.open(t)
		s.send(one("").with("y" + long))
		s.wantEnd(t, 422, `{"code":"invalid","message":"`+tooLong+`"}`)
	}},
	{name: "token of other characters", run: func(t *testing.T, p *peer) {
		const token = "\"<>&\\ \u00e9\u20ac\t"
		want(t, p.proto(t, batch{records: []rec{fence(token)}}), 200, nil)
		wantBody(t, p.proto(t, one("").with("a")), 412, "{\"fencing_token_mismatch\":\"\\\"<>&\\\\ \u00e9\u20ac\\t\"}")
		want(t, p.proto(t, one("").with(token)), 200, nil)
	}},
	{name: "empty batch with a wrong token", run: func(t *testing.T, p *peer) {
		const empty = "record batch must not be empty"
		wantCode(t, p.append(t, `{"records":[],"fencing_token":"nope"}`), 422, "invalid", empty)
		wantCode(t, p.proto(t, batch{}.with("nope")), 422, "invalid", empty)
	}},
	{name: "fence in a session binds what follows", run: func(t *testing.T, p *peer) {
		s := p.open(t)
		s.send(batch{records: []rec{fence("T1")}}.with("").at(0), one("a").with("T1").at(1), one("b").with("").at(2))
		s.wantAck(t, 0, 1)
		s.wantAck(t, 1, 2)
		s.wantEnd(t, 412, `{"fencing_token_mismatch":"T1"}`)
	}},
	{name: "rival fence shows at the next append", run: func(t *testing.T, p *peer) {
		s := p.open(t)
		s.send(batch{records: []rec{fence("T1")}}, one("a").with("T1"))
		s.wantAck(t, 0, 1)
		s.wantAck(t, 1, 2)
		want(t, p.proto(t, batch{records: []rec{fence("T2")}}.with("T1")), 200, nil)
		s.send(one("b").with("T1").at(3))
		s.wantEnd(t, 412, `{"fencing_token_mismatch":"T2"}`)
		p.wantTail(t, 3)
	}},
	{name: "token survives the trim of its record", run: func(t *testing.T, p *peer) {
		want(t, p.proto(t, batch{records: []rec{fence("T1")}}), 200, nil)
		want(t, p.proto(t, batch{records: []rec{trim(2)}}), 200, nil)
		p.awaitTrim(t, "")
		wantBody(t, p.proto(t, one("").with("nope")), 412, `{"fencing_token_mismatch":"T1"}`)
	}},
}

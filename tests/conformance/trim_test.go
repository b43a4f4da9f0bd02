package conformance

import (
	"fmt"
	"strings"
	"testing"
)

// awaitTrim waits until a read from 0 returns the given records: a trim takes
// effect a little later.
func (p *peer) awaitTrim(t *testing.T, records string) {
	t.Helper()
	p.await(t, fmt.Sprintf("records are not trimmed to %q", records), func() bool {
		var got page
		want(t, p.read(t, "seq_num=0"), 200, &got)
		return words(got) == records
	})
}

var trimCases = []testCase{
	{name: "trim", run: func(t *testing.T, p *peer) {
		p.fill(t, "a", "b", "c", "d")
		r := p.append(t, `{"records":[{"headers":[["","dHJpbQ=="]],"body":"AAAAAAAAAAI="}]}`, "s2-format", "base64")
		wantAck(t, r, 4, 5, 5)
		const rest = "2:c 3:d 4:\x00\x00\x00\x00\x00\x00\x00\x02"
		p.awaitTrim(t, rest)
		for _, q := range []string{"seq_num=0", "seq_num=1", "tail_offset=99", "timestamp=0"} {
			wantPage(t, p.read(t, q), rest)
		}
		wantPage(t, p.read(t, "seq_num=0&count=1"), "2:c")
		p.wantTail(t, 5)
		s := p.follow(t, "seq_num=0&count=2")
		s.wantBatch(t, "2:c 3:d", -1)
		s.wantEOF(t)
	}},
	{name: "trim everything", run: func(t *testing.T, p *peer) {
		p.fill(t, "a", "b")
		want(t, p.proto(t, batch{records: []rec{trim(99)}}), 200, nil) // no more than up to itself
		p.awaitTrim(t, "")
		for _, q := range []string{"seq_num=0", "seq_num=2", "tail_offset=1", "tail_offset=9"} {
			wantBody(t, p.read(t, q), 200, `{"records":[]}`)
		}
		want416(t, p.read(t, "seq_num=3"), 3)
		want416(t, p.read(t, ""), 3)
		want416(t, p.read(t, "timestamp=0"), 3) // no record has one: the tail
		p.wantTail(t, 3)
		wantBody(t, p.append(t, `{"records":[{}],"match_seq_num":0}`), 412, `{"seq_num_mismatch":3}`)
		wantAck(t, p.append(t, `{"records":[{"body":"e"}],"match_seq_num":3}`), 3, 4, 4)
		wantPage(t, p.read(t, "seq_num=0"), "3:e")
	}},
	{name: "trim never goes back", run: func(t *testing.T, p *peer) {
		p.fill(t, "a", "b", "c")
		want(t, p.proto(t, batch{records: []rec{trim(3)}}), 200, nil)
		p.awaitTrim(t, "3:"+trim(3).body)
		want(t, p.proto(t, batch{records: []rec{trim(1)}}), 200, nil)
		wantPage(t, p.read(t, "seq_num=0"), fmt.Sprintf("3:%s 4:%s", trim(3).body, trim(1).body))
	}},
}

var deleteCases = []testCase{
	{name: "delete and create again", run: func(t *testing.T, p *peer) {
		want(t, p.proto(t, batch{records: []rec{fence("T1"), {body: "a"}}}), 200, nil)
		r := p.do(t, "DELETE", stream(p.name), "")
		if r.status != 202 || r.body != "" {
			t.Fatalf("delete: %v", r)
		}
		p.awaitCreate(t)
		p.wantTail(t, 0)
		wantBody(t, p.proto(t, one("").with("T1")), 412, `{"fencing_token_mismatch":""}`)
		want416(t, p.read(t, "seq_num=0"), 0)
		wantAck(t, p.append(t, `{"records":[{}],"match_seq_num":0}`), 0, 1, 1)
	}},
	{name: "session on a deleted stream", run: func(t *testing.T, p *peer) {
		s := p.open(t)
		s.send(one("a"))
		s.wantAck(t, 0, 1)
		if r := p.do(t, "DELETE", stream(p.name), ""); r.status != 202 {
			t.Fatalf("delete: %v", r)
		}
		s.send(one("b"))
		s.wantEnd(t, 503, `{"code":"unavailable","message":"streamer missing in action"}`)
	}},
	{name: "read session on a deleted stream", run: func(t *testing.T, p *peer) {
		p.fill(t, "a")
		s := p.follow(t, "seq_num=0")
		s.wantBatch(t, "0:a", -1)
		s.wantBatch(t, "", 1)
		if r := p.do(t, "DELETE", stream(p.name), ""); r.status != 202 {
			t.Fatalf("delete: %v", r)
		}
		s.wantBatch(t, "1:"+strings.Repeat("\xff", 8), 2) // the trim that deletes
		s.wantEnd(t, 503, `{"code":"unavailable","message":"streamer missing in action"}`)
	}},
	{name: "deleted stream is missing", run: func(t *testing.T, p *peer) {
		p.fill(t, "a")
		if r := p.do(t, "DELETE", stream(p.name), ""); r.status != 202 {
			t.Fatalf("delete: %v", r)
		}
		// While the deletion goes on, 409 is an answer too.
		message := fmt.Sprintf("stream `%s` in basin `%s` not found", p.name, p.basin)
		p.await(t, "the deletion does not end", func() bool {
			for _, r := range []reply{p.get(t, stream(p.name)+"/records/tail"), p.read(t, "seq_num=0"), p.append(t, `{"records":[{}]}`)} {
				if r.status == 409 {
					wantCode(t, r, 409, "stream_deletion_pending", "stream deletion pending")
					return false
				}
				wantCode(t, r, 404, "stream_not_found", message)
			}
			return true
		})
		wantCode(t, p.get(t, stream(p.name)), 404, "stream_not_found", message)
	}},
	{name: "delete a missing stream", missing: true, run: func(t *testing.T, p *peer) {
		wantCode(t, p.do(t, "DELETE", stream(p.name), ""), 404, "stream_not_found", fmt.Sprintf("stream `%s` in basin `%s` not found", p.name, p.basin))
	}},
}

// awaitCreate creates the case's stream as soon as its deletion allows.
func (p *peer) awaitCreate(t *testing.T) {
	t.Helper()
	p.await(t, "the deletion does not end", func() bool {
		r := p.post(t, "/v1/streams", fmt.Sprintf(`{"stream":%q}`, p.name))
		if r.status == 409 {
			wantCode(t, r, 409, "stream_deletion_pending", "")
		}
		return r.status == 201
	})
}

// await tries until it is so. Between the tries a waiting read on a stream of
// its own passes a second on the server.
func (p *peer) await(t *testing.T, otherwise string, so func() bool) {
	t.Helper()
	pause := *p
	pause.name += "/pause"
	for i := range 15 {
		if so() {
			return
		}
		if i == 0 {
			pause.create(t, pause.name, "")
		}
		want(t, pause.read(t, "wait=1"), 200, nil)
	}
	t.Fatal(otherwise)
}

package conformance

import (
	"strings"
	"testing"
)

const (
	mebibyte    = 1 << 20
	recordLimit = "record must have metered size less than 1 MiB"
	bytesLimit  = "record batch must not exceed a metered size of 1 MiB"
	countLimit  = "record batch must not exceed 1000 records"
)

func bodies(n, size int) batch {
	b := batch{}
	for range n {
		b.records = append(b.records, rec{body: strings.Repeat("x", size)})
	}
	return b
}

var limitCases = []testCase{
	{name: "1000 records and 1001", run: func(t *testing.T, p *peer) {
		want(t, p.proto(t, bodies(1000, 1)), 200, nil)
		wantCode(t, p.proto(t, bodies(1001, 1)), 422, "invalid", countLimit)
		s := p.open(t)
		s.send(bodies(1000, 0), bodies(1001, 0), one("behind"))
		s.wantAck(t, 1000, 2000)
		s.wantEnd(t, 422, `{"code":"invalid","message":"`+countLimit+`"}`)
		p.wantTail(t, 2000)
	}},
	{name: "record of 1 MiB metered and one byte more", run: func(t *testing.T, p *peer) {
		want(t, p.proto(t, bodies(1, mebibyte-8)), 200, nil)
		wantCode(t, p.proto(t, bodies(1, mebibyte-7)), 422, "invalid", recordLimit)
		headed := func(n int) batch {
			return batch{records: []rec{{headers: [][2]string{{"ab", "cde"}}, body: strings.Repeat("x", n)}}}
		}
		want(t, p.proto(t, headed(mebibyte-8-2-5)), 200, nil)
		wantCode(t, p.proto(t, headed(mebibyte-8-2-5+1)), 422, "invalid", recordLimit)
		s := p.open(t)
		s.send(bodies(1, mebibyte-8), bodies(1, mebibyte-7))
		s.wantAck(t, 2, 3)
		s.wantEnd(t, 422, `{"code":"invalid","message":"`+recordLimit+`"}`)
	}},
	{name: "batch of 1 MiB metered and one byte more", run: func(t *testing.T, p *peer) {
		want(t, p.proto(t, bodies(2, mebibyte/2-8)), 200, nil)
		b := bodies(2, mebibyte/2-8)
		b.records[1].body += "x"
		wantCode(t, p.proto(t, b), 422, "invalid", bytesLimit)
		s := p.open(t)
		s.send(b)
		s.wantEnd(t, 422, `{"code":"invalid","message":"`+bytesLimit+`"}`)
	}},
	{name: "order of the checks", run: func(t *testing.T, p *peer) {
		b := bodies(1001, 1)
		b.records[1000].headers = [][2]string{{"", "x"}}
		wantCode(t, p.proto(t, b), 422, "invalid", "unknown command")
		b.records[1000].headers = nil
		b.records[0].body = strings.Repeat("x", mebibyte)
		wantCode(t, p.proto(t, b), 422, "invalid", recordLimit)
		b.records[0].body = strings.Repeat("x", mebibyte-8)
		wantCode(t, p.proto(t, b), 422, "invalid", countLimit)
		wantCode(t, p.proto(t, bodies(2, mebibyte-8).with(strings.Repeat("t", 37))), 400, "bad_proto", "") // 2 MiB body
		wantCode(t, p.proto(t, bodies(2, mebibyte/2).with(strings.Repeat("t", 37))), 422, "invalid", bytesLimit)
	}},
	{name: "unary body above 2 MiB", run: func(t *testing.T, p *peer) {
		wantCode(t, p.append(t, `{"records":[{"body":"`+strings.Repeat("x", 2*mebibyte)+`"}]}`), 400, "bad_json", "Failed to buffer the request body: length limit exceeded")
		wantCode(t, p.proto(t, bodies(2, mebibyte)), 400, "bad_proto", "Failed to buffer the request body: length limit exceeded")
	}},
	{name: "many tiny headers", run: func(t *testing.T, p *peer) {
		// A header of a 1-byte name and a 1-byte value is 4 metered bytes and 8
		// encoded ones. A full record of them just fits a frame, but not together
		// with a token.
		flood := batch{records: []rec{{headers: make([][2]string, (mebibyte-8)/4)}}}
		for i := range flood.records[0].headers {
			flood.records[0].headers[i] = [2]string{"a", "b"}
		}
		s := p.open(t)
		s.send(flood)
		s.wantAck(t, 0, 1)
		// The head is enough; HTTP/1.1 would not take the rest of it.
		s.w.Write(frame(0, flood.at(1).with(strings.Repeat("t", 36)).encode())[:64])
		s.wantEnd(t, 400, `{"code":"bad_frame","message":"frame exceeds decode limit"}`)
	}},
}

package conformance

import (
	"fmt"
	"strings"
	"testing"
)

var readCases = []testCase{
	{name: "read of an empty stream", run: func(t *testing.T, p *peer) {
		for _, q := range []string{"", "seq_num=0", "seq_num=5", "tail_offset=0", "tail_offset=3", "seq_num=5&clamp=true", "timestamp=0", "timestamp=9"} {
			wantBody(t, p.read(t, q), 416, `{"tail":{"seq_num":0,"timestamp":0}}`)
		}
		wantBody(t, p.get(t, stream(p.name)+"/records/tail"), 200, `{"tail":{"seq_num":0,"timestamp":0}}`)
	}},
	{name: "read by sequence number", run: func(t *testing.T, p *peer) {
		p.fill(t, "a", "b", "c")
		wantPage(t, p.read(t, "seq_num=0"), "0:a 1:b 2:c")
		wantPage(t, p.read(t, "seq_num=2"), "2:c")
		for _, q := range []string{"seq_num=3", "seq_num=4", "seq_num=18446744073709551615", "seq_num=3&clamp=true", "seq_num=9&clamp=true", ""} {
			want416(t, p.read(t, q), 3)
		}
	}},
	{name: "read by offset from the tail", run: func(t *testing.T, p *peer) {
		p.fill(t, "a", "b", "c")
		wantPage(t, p.read(t, "tail_offset=1"), "2:c")
		wantPage(t, p.read(t, "tail_offset=2&count=1"), "1:b")
		wantPage(t, p.read(t, "tail_offset=3"), "0:a 1:b 2:c")
		wantPage(t, p.read(t, "tail_offset=100"), "0:a 1:b 2:c")
		want416(t, p.read(t, "tail_offset=0"), 3)
	}},
	{name: "read by timestamp", run: func(t *testing.T, p *peer) {
		b := batch{}
		for _, ts := range []uint64{10, 20, 20, 30} {
			b.records = append(b.records, rec{timestamp: at(ts), body: fmt.Sprint(ts)})
		}
		want(t, p.proto(t, b), 200, nil)
		for q, words := range map[string]string{
			"timestamp=0": "0:10 1:20 2:20 3:30", "timestamp=10": "0:10 1:20 2:20 3:30", "timestamp=11": "1:20 2:20 3:30",
			"timestamp=20&count=1": "1:20", "timestamp=30": "3:30", "timestamp=10&until=20": "0:10", "seq_num=0&until=30": "0:10 1:20 2:20",
			"seq_num=0&until=10": "", "seq_num=1&until=20": "", "timestamp=11&until=31": "1:20 2:20 3:30",
		} {
			wantPage(t, p.read(t, q), words)
		}
		want416(t, p.read(t, "timestamp=31"), 4)
		want416(t, p.read(t, "timestamp=31&clamp=true"), 4)
		wantCode(t, p.read(t, "timestamp=20&until=20"), 422, "invalid", "start `timestamp` exceeds or equal to `until`")
	}},
	{name: "read of a missing stream", missing: true, run: func(t *testing.T, p *peer) {
		message := fmt.Sprintf("stream `%s` in basin `%s` not found", p.name, p.basin)
		wantCode(t, p.read(t, "seq_num=0"), 404, "stream_not_found", message)
		wantCode(t, p.get(t, stream(p.name)+"/records/tail"), 404, "stream_not_found", message)
		wantCode(t, p.follow(t, "seq_num=0").refused(t), 404, "stream_not_found", message)
		wantCode(t, p.read(t, "count=0"), 404, "stream_not_found", message)
		p.basin = autoBasin
		wantCode(t, p.read(t, "seq_num=0"), 404, "stream_not_found", "") // reading creates nothing
		wantCode(t, p.get(t, stream(p.name)+"/records/tail"), 404, "stream_not_found", "")
	}},
	{name: "bad queries", run: func(t *testing.T, p *peer) {
		p.fill(t, "a", "b")
		const prefix = "Failed to deserialize query string: "
		for q, message := range map[string]string{
			"seq_num=x": prefix + "seq_num: invalid digit found in string", "seq_num=-1": "", "seq_num=": "", "seq_num=1.0": "",
			"seq_num=18446744073709551616": "", "wait=4294967296": "", "clamp=1": "", "count=-1": "", "bytes=x": "", "until=x": "",
			"timestamp=x": "", "tail_offset=-1": "", "seq_num=0&seq_num=1": prefix + "duplicate field `seq_num`",
		} {
			wantCode(t, p.read(t, q), 400, "bad_query", message)
		}
		const only = "only one of seq_num, timestamp, or tail_offset can be provided"
		for _, q := range []string{"seq_num=0&timestamp=0", "seq_num=0&tail_offset=1", "timestamp=0&tail_offset=1"} {
			wantCode(t, p.read(t, q), 422, "invalid", only)
		}
		wantPage(t, p.read(t, "seq_num=1&unknown=x"), "1:b")
	}},
	{name: "tail has the last timestamp", run: func(t *testing.T, p *peer) {
		want(t, p.proto(t, batch{records: []rec{{timestamp: at(5)}, {timestamp: at(9)}}}), 200, nil)
		wantBody(t, p.get(t, stream(p.name)+"/records/tail"), 200, `{"tail":{"seq_num":2,"timestamp":9}}`)
		wantBody(t, p.read(t, "seq_num=2"), 416, `{"tail":{"seq_num":2,"timestamp":9}}`)
	}},
}

var pageCases = []testCase{
	{name: "read limited by count", run: func(t *testing.T, p *peer) {
		p.fill(t, "a", "b", "c")
		wantPage(t, p.read(t, "seq_num=0&count=2"), "0:a 1:b")
		wantPage(t, p.read(t, "seq_num=0&count=0"), "")
		wantPage(t, p.read(t, "seq_num=1&count=99999"), "1:b 2:c")
		for _, q := range []string{"seq_num=3&count=0", "seq_num=9&count=0", "count=0", "timestamp=0&bytes=0", "wait=1&count=0"} {
			wantBody(t, p.read(t, q), 200, `{"records":[]}`) // nothing asked for: never refused
		}
		want416(t, p.read(t, "seq_num=3&count=1"), 3)
		want416(t, p.read(t, "seq_num=3&until=0"), 3)
		s := p.follow(t, "seq_num=9&count=0")
		s.wantEOF(t)
	}},
	{name: "read limited by bytes", run: func(t *testing.T, p *peer) {
		p.fill(t, "a", "bb", "c") // 9, 10 and 9 metered bytes
		for q, words := range map[string]string{
			"bytes=8": "", "bytes=9": "0:a", "bytes=18": "0:a", "bytes=19": "0:a 1:bb", "bytes=27": "0:a 1:bb", "bytes=28": "0:a 1:bb 2:c", "bytes=0": "",
			"bytes=28&count=1": "0:a", "bytes=9&count=3": "0:a",
		} {
			wantPage(t, p.read(t, "seq_num=0&"+q), words)
		}
	}},
	{name: "page of 1000 records", run: func(t *testing.T, p *peer) {
		want(t, p.proto(t, bodies(1000, 1)), 200, nil)
		want(t, p.proto(t, bodies(500, 1)), 200, nil)
		for _, q := range []string{"seq_num=0", "seq_num=0&count=1200", "tail_offset=1500"} {
			var got page
			want(t, p.read(t, q), 200, &got)
			if len(got.Records) != 1000 || got.Records[999].Seq != 999 {
				t.Fatalf("%s: %d records", q, len(got.Records))
			}
		}
		var got page
		want(t, p.read(t, "seq_num=1000"), 200, &got)
		if len(got.Records) != 500 || got.Tail != nil {
			t.Fatalf("%d records, tail %v", len(got.Records), got.Tail)
		}
	}},
	{name: "page of 1 MiB", run: func(t *testing.T, p *peer) {
		for range 4 {
			want(t, p.proto(t, bodies(1, mebibyte/2-8)), 200, nil)
		}
		for q, n := range map[string]int{"seq_num=0": 2, "seq_num=0&bytes=1048575": 1, "seq_num=0&bytes=9999999": 2, "seq_num=3": 1} {
			got, _ := decodeBatch(t, []byte(p.read(t, q, "Accept", "application/protobuf").body))
			if len(got) != n {
				t.Fatalf("%s: %d records, want %d", q, len(got), n)
			}
		}
		want(t, p.proto(t, bodies(1, mebibyte-8)), 200, nil)
		got, _ := decodeBatch(t, []byte(p.read(t, "seq_num=4", "Accept", "application/protobuf").body))
		if len(got) != 1 || len(got[0].body) != mebibyte-8 {
			t.Fatalf("%d records", len(got))
		}
	}},
	{name: "pages follow each other without a hole", run: func(t *testing.T, p *peer) {
		for range 3 {
			want(t, p.proto(t, bodies(700, 900)), 200, nil)
		}
		next, pages := uint64(0), 0
		for next < 2100 {
			got, _ := decodeBatch(t, []byte(p.read(t, fmt.Sprint("seq_num=", next), "Accept", "application/protobuf").body))
			if len(got) == 0 || got[0].Seq != next {
				t.Fatalf("page at %d has %d records", next, len(got))
			}
			next = got[len(got)-1].Seq + 1
			pages++
		}
		if next != 2100 || pages != 3 {
			t.Fatalf("%d records in %d pages", next, pages)
		}
	}},
	{name: "accept decides the answer", run: func(t *testing.T, p *peer) {
		p.fill(t, "a")
		for accept, kind := range map[string]string{
			"-": "application/json", "*/*": "application/json", "application/json": "application/json", "text/html": "application/json",
			"application/protobuf": "application/protobuf", "application/x-protobuf": "application/protobuf", "application/protobuf, */*": "application/protobuf",
		} {
			wantKind(t, p.read(t, "seq_num=0", "Accept", accept), kind)
		}
		r := p.read(t, "seq_num=9", "Accept", "application/protobuf")
		want416(t, r, 1) // refusals are JSON
		if !strings.HasPrefix(r.body, `{"tail":`) {
			t.Fatalf("answer %v", r)
		}
	}},
}

package conformance

import (
	"fmt"
	"net/http"
	"testing"
)

var requestCases = []testCase{
	{name: "health", run: func(t *testing.T, p *peer) {
		wantBody(t, p.get(t, "/health"), 200, "OK")
		wantBody(t, p.get(t, "/ping"), 200, "OK")
	}},
	{name: "basin header", run: func(t *testing.T, p *peer) {
		const missing = "Missing header `s2-basin`"
		wantCode(t, p.get(t, "/v1/streams", "s2-basin", "-"), 400, "bad_header", missing)
		wantCode(t, p.post(t, "/v1/streams", `{"stream":"x"}`, "s2-basin", "-"), 400, "bad_header", missing)
		wantCode(t, p.append(t, `{"records":[{}]}`, "s2-basin", "-"), 400, "bad_header", missing)
		wantCode(t, p.get(t, stream(p.name)+"/records/tail", "s2-basin", "-"), 400, "bad_header", missing)
		wantCode(t, p.append(t, `{}`, "s2-basin", "short"), 400, "bad_header", "Invalid header `s2-basin`: basin name should be at least 8 bytes in length")
		for _, bad := range []string{"UPPERCASE", "under_score", "-hyphen-first", "hyphen-last-", "a12345678901234567890123456789012345678901234567890"} {
			wantCode(t, p.get(t, stream(p.name)+"/records/tail", "s2-basin", bad), 400, "bad_header", "")
		}
	}},
	{name: "missing basin", run: func(t *testing.T, p *peer) {
		const none = "basin `missing-basin` not found"
		wantCode(t, p.get(t, "/v1/streams", "s2-basin", "missing-basin"), 404, "basin_not_found", none)
		wantCode(t, p.post(t, "/v1/streams", `{"stream":"x"}`, "s2-basin", "missing-basin"), 404, "basin_not_found", none)
		wantCode(t, p.append(t, `{"records":[{}]}`, "s2-basin", "missing-basin"), 404, "basin_not_found", none)
		wantCode(t, p.get(t, stream(p.name)+"/records/tail", "s2-basin", "missing-basin"), 404, "basin_not_found", none)
		wantCode(t, p.read(t, "seq_num=0", "s2-basin", "missing-basin"), 404, "basin_not_found", none)
		p.basin = "missing-basin"
		wantCode(t, p.open(t).refused(t), 404, "basin_not_found", none)
		wantCode(t, p.get(t, stream("x")), 404, "stream_not_found", "stream `x` in basin `missing-basin` not found")
		wantCode(t, p.do(t, http.MethodDelete, stream("x"), ""), 404, "stream_not_found", "stream `x` in basin `missing-basin` not found")
	}},
	{name: "a bad request is refused before the stream is looked for", missing: true, run: func(t *testing.T, p *peer) {
		wantCode(t, p.append(t, `{`), 400, "bad_json", "")
		wantCode(t, p.append(t, `{"records":[]}`), 422, "invalid", "")
		wantCode(t, p.read(t, "seq_num=x"), 400, "bad_query", "")
		wantCode(t, p.read(t, "seq_num=0&timestamp=0"), 422, "invalid", "")
	}},
	{name: "basins are apart", run: func(t *testing.T, p *peer) {
		p.fill(t, "a")
		other := *p
		other.basin = autoBasin
		other.create(t, p.name, "")
		other.wantTail(t, 0)
		p.wantTail(t, 1)
	}},
	{name: "basins", run: func(t *testing.T, p *peer) {
		name := fmt.Sprintf("made-by-%s", p.version)
		body := fmt.Sprintf(`{"basin":%q}`, name)
		r := p.post(t, "/v1/basins", body, "s2-basin", "-")
		if r.status != 201 || r.header.Get("s2-provision-result") != "created" {
			t.Fatalf("answer %v", r)
		}
		wantCode(t, p.post(t, "/v1/basins", body, "s2-basin", "-"), 409, "resource_already_exists", "basin `"+name+"` already exists")
		wantCode(t, p.post(t, "/v1/basins", `{"basin":"x"}`), 400, "bad_json", "")
		wantCode(t, p.post(t, "/v1/basins", `{}`), 400, "bad_json", "")
		var config struct {
			CreateStreamOnAppend bool `json:"create_stream_on_append"`
		}
		want(t, p.get(t, "/v1/basins/"+autoBasin, "s2-basin", "-"), 200, &config)
		if !config.CreateStreamOnAppend {
			t.Fatal("create_stream_on_append was not kept")
		}
		wantCode(t, p.get(t, "/v1/basins/missing-basin"), 404, "basin_not_found", "basin `missing-basin` not found")
	}},
	{name: "basin defaults", missing: true, run: func(t *testing.T, p *peer) {
		p.basin = "defaults-" + p.version
		body := fmt.Sprintf(`{"basin":%q,"config":{"default_stream_config":{"storage_class":"standard","retention_policy":{"infinite":{}}}}}`, p.basin)
		want(t, p.post(t, "/v1/basins", body), 201, nil)
		p.create(t, p.name, `{"timestamping":{"mode":"arrival"}}`)
		wantBody(t, p.get(t, stream(p.name)), 200,
			`{"storage_class":"standard","retention_policy":{"infinite":{}},"timestamping":{"mode":"arrival","uncapped":false},"delete_on_empty":{"min_age_secs":0}}`)
	}},
	{name: "paths and methods that are not there", run: func(t *testing.T, p *peer) {
		for _, path := range []string{"/v1/nope", "/v1", "/v1/streams/a/b/c", stream(p.name) + "/records/tail/x", "/v2/streams"} {
			wantBody(t, p.get(t, path), 404, "")
		}
		for _, c := range [][2]string{{"POST", stream(p.name) + "/records/tail"}, {"DELETE", stream(p.name) + "/records"}, {"POST", stream(p.name)}, {"DELETE", "/v1/streams"}} {
			wantBody(t, p.do(t, c[0], c[1], ""), 405, "")
		}
		wantCode(t, p.get(t, "/v1/access-tokens"), 501, "not_implemented", "Not implemented")
	}},
}

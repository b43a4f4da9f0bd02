package conformance

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const defaultConfig = `{"storage_class":"express","retention_policy":{"age":604800},"timestamping":{"mode":"client-prefer","uncapped":false},"delete_on_empty":{"min_age_secs":0}}`

var streamCases = []testCase{
	{name: "create", missing: true, run: func(t *testing.T, p *peer) {
		r := p.create(t, p.name, "")
		var info struct {
			Name      string  `json:"name"`
			CreatedAt string  `json:"created_at"`
			DeletedAt *string `json:"deleted_at"`
			Cipher    *string `json:"cipher"`
		}
		want(t, r, 201, &info)
		if info.Name != p.name || info.CreatedAt == "" || info.DeletedAt != nil || info.Cipher != nil || r.header.Get("s2-provision-result") != "created" {
			t.Fatalf("answer %v %v", r, r.header)
		}
		wantBody(t, p.get(t, stream(p.name)), 200, defaultConfig)
	}},
	{name: "create again", run: func(t *testing.T, p *peer) {
		message := fmt.Sprintf("stream `%s` in basin `%s` already exists", p.name, p.basin)
		wantCode(t, p.post(t, "/v1/streams", fmt.Sprintf(`{"stream":%q}`, p.name)), 409, "resource_already_exists", message)
		wantCode(t, p.post(t, "/v1/streams", fmt.Sprintf(`{"stream":%q}`, p.name), "s2-request-token", "t"), 409, "resource_already_exists", message)
	}},
	{name: "create with a request token", missing: true, run: func(t *testing.T, p *peer) {
		create := func(config, token string) reply {
			return p.post(t, "/v1/streams", fmt.Sprintf(`{"stream":%q,"config":%s}`, p.name, config), "s2-request-token", token)
		}
		if r := create(`{}`, "t1"); r.status != 201 || r.header.Get("s2-provision-result") != "created" {
			t.Fatalf("answer %v", r)
		}
		for _, same := range []string{`{}`, `null`, `{"timestamping":{}}`} {
			if r := create(same, "t1"); r.status != 201 || r.header.Get("s2-provision-result") != "noop" {
				t.Fatalf("again with %s: %v", same, r)
			}
		}
		wantCode(t, create(`{"storage_class":"express"}`, "t1"), 409, "resource_already_exists", "")
		wantCode(t, create(`{}`, "t2"), 409, "resource_already_exists", "")
		wantCode(t, create(`{}`, strings.Repeat("x", 37)), 400, "bad_header",
			"Invalid header `s2-request-token`: request token was longer than 36 bytes in length: 37")
	}},
	{name: "create with a configuration", missing: true, run: func(t *testing.T, p *peer) {
		for i, c := range [][2]string{
			{`{"storage_class":"standard","retention_policy":{"age":86400},"timestamping":{"mode":"arrival","uncapped":true},"delete_on_empty":{"min_age_secs":60}}`, ""},
			{`{"retention_policy":{"infinite":{}}}`, strings.Replace(defaultConfig, `{"age":604800}`, `{"infinite":{}}`, 1)},
			{`{"timestamping":{"mode":"client-require"}}`, strings.Replace(defaultConfig, "client-prefer", "client-require", 1)},
			{`{"retention_policy":{"age":9999999999}}`, strings.Replace(defaultConfig, "604800", "9999999999", 1)},
			{`{"storage_class":"bogus"}`, strings.Replace(defaultConfig, "express", "bogus", 1)}, // no check at all
			{`{"unknown":1}`, defaultConfig},
			{`{"timestamping":{"mode":null},"delete_on_empty":{}}`, defaultConfig},
			{`{"retention_policy":{"infinite":{"unknown":1}}}`, strings.Replace(defaultConfig, `{"age":604800}`, `{"infinite":{}}`, 1)},
			{`{"storage_class":null,"retention_policy":null,"timestamping":null,"delete_on_empty":null}`, defaultConfig},
		} {
			name := fmt.Sprint(p.name, "/", i)
			p.create(t, name, c[0])
			if c[1] == "" {
				c[1] = c[0]
			}
			wantBody(t, p.get(t, stream(name)), 200, c[1])
		}
	}},
	{name: "create with a bad configuration", missing: true, run: func(t *testing.T, p *peer) {
		create := func(config string) reply {
			return p.post(t, "/v1/streams", fmt.Sprintf(`{"stream":%q,"config":%s}`, p.name, config))
		}
		wantCode(t, create(`{"retention_policy":{"age":0}}`), 422, "invalid", "age must be greater than 0 seconds")
		for _, bad := range []string{
			`{"timestamping":{"mode":"bogus"}}`, `{"retention_policy":{"age":-1}}`, `{"retention_policy":{"age":"1d"}}`, `{"storage_class":1}`,
			`{"timestamping":{"uncapped":1}}`, `{"delete_on_empty":{"min_age_secs":-1}}`, `1`,
			`{"retention_policy":{}}`, `{"retention_policy":"infinite"}`, `{"retention_policy":{"infinite":null}}`, `{"retention_policy":{"age":null}}`,
			`{"retention_policy":{"age":5,"infinite":{}}}`, `{"retention_policy":{"bogus":1}}`,
		} {
			wantCode(t, create(bad), 400, "bad_json", "")
		}
		wantCode(t, p.get(t, stream(p.name)), 404, "stream_not_found", "")
	}},
	{name: "stream names", missing: true, run: func(t *testing.T, p *peer) {
		create := func(name string) reply { return p.post(t, "/v1/streams", fmt.Sprintf(`{"stream":%q}`, name)) }
		long := p.version + strings.Repeat("n", 512-len(p.version))
		for _, good := range []string{p.name + "/a b", p.name + "/\u20ac%2F?#", p.name + "//", p.name + "/..", long, p.version + ".", p.version + "..."} {
			want(t, create(good), 201, nil)
			p.name = good
			p.wantTail(t, 0)
			p.fill(t, "x")
			p.wantTail(t, 1)
		}
		for _, bad := range []string{"", ".", "..", long + "n"} {
			wantCode(t, create(bad), 400, "bad_json", "")
		}
		for _, bad := range []string{"%2e", "%2E%2e", long + "n"} {
			wantCode(t, p.get(t, "/v1/streams/"+bad+"/records/tail"), 400, "bad_path", "")
		}
	}},
	{name: "create with a bad body", missing: true, run: func(t *testing.T, p *peer) {
		for _, bad := range []string{``, `{`, `{}`, `[]`, `{"stream":1}`, `{"stream":null}`} {
			wantCode(t, p.post(t, "/v1/streams", bad), 400, "bad_json", "")
		}
		wantCode(t, p.post(t, "/v1/streams", `{"stream":"q"}`, "Content-Type", "text/plain"), 400, "bad_json", "Expected request with `Content-Type: application/json`")
	}},
	{name: "list", missing: true, run: func(t *testing.T, p *peer) {
		prefix := p.name + "/"
		for _, n := range []string{"b", "a", "c", "B"} {
			p.create(t, prefix+n, "")
		}
		list := func(query, names string, more bool) {
			t.Helper()
			var got struct {
				Streams []struct{ Name string }
				HasMore *bool `json:"has_more"`
			}
			r := p.get(t, "/v1/streams?"+query)
			want(t, r, 200, &got)
			var found []string
			for _, s := range got.Streams {
				found = append(found, strings.TrimPrefix(s.Name, prefix))
			}
			if strings.Join(found, " ") != names || got.HasMore == nil || *got.HasMore != more || got.Streams == nil {
				t.Fatalf("list %s: %v, want %s", query, r, names)
			}
		}
		list("prefix="+prefix, "B a b c", false)
		list("limit=4&prefix="+prefix, "B a b c", false)
		list("limit=3&prefix="+prefix, "B a b", true)
		list("limit=0&prefix="+prefix, "B a b c", false)
		list("limit=5000&prefix="+prefix, "B a b c", false)
		list("prefix="+prefix+"&start_after="+prefix+"a", "b c", false)
		list("prefix="+prefix+"&limit=1&start_after="+prefix+"a", "b", true)
		list("prefix="+prefix+"&start_after="+prefix+"c", "", false)
		list("prefix="+prefix+"&start_after="+prefix, "B a b c", false)
		list("prefix="+prefix+"&start_after=", "B a b c", false)
		list("prefix="+prefix+"x", "", false)
		wantCode(t, p.get(t, "/v1/streams?limit=x"), 400, "bad_query", "Failed to deserialize query string: limit: invalid digit found in string")
	}},
	{name: "reconfigure", missing: true, run: func(t *testing.T, p *peer) {
		p.create(t, p.name, `{"storage_class":"standard","retention_policy":{"infinite":{}},"timestamping":{"mode":"client-require","uncapped":true}}`)
		patch := func(body, config string) {
			t.Helper()
			wantBody(t, p.do(t, http.MethodPatch, stream(p.name), body, "Content-Type", "application/json"), 200, config)
			wantBody(t, p.get(t, stream(p.name)), 200, config)
		}
		const empty = `"delete_on_empty":{"min_age_secs":0}}`
		patch(`{}`, `{"storage_class":"standard","retention_policy":{"infinite":{}},"timestamping":{"mode":"client-require","uncapped":true},`+empty)
		patch(`{"retention_policy":{"age":60}}`, `{"storage_class":"standard","retention_policy":{"age":60},"timestamping":{"mode":"client-require","uncapped":true},`+empty)
		patch(`{"timestamping":{"mode":"arrival"}}`, `{"storage_class":"standard","retention_policy":{"age":60},"timestamping":{"mode":"arrival","uncapped":true},`+empty)
		patch(`{"timestamping":{"uncapped":null}}`, `{"storage_class":"standard","retention_policy":{"age":60},"timestamping":{"mode":"arrival","uncapped":false},`+empty)
		patch(`{"storage_class":null,"retention_policy":null,"timestamping":null}`, defaultConfig)
		r := p.do(t, http.MethodPatch, stream(p.name+"x"), `{}`, "Content-Type", "application/json")
		wantCode(t, r, 404, "stream_not_found", fmt.Sprintf("stream `%sx` in basin `%s` not found", p.name, p.basin))
		wantCode(t, p.do(t, http.MethodPatch, stream(p.name), `{"retention_policy":{"age":0}}`, "Content-Type", "application/json"), 422, "invalid", "")
		wantCode(t, p.do(t, http.MethodPatch, stream(p.name), `{"timestamping":{"mode":"x"}}`, "Content-Type", "application/json"), 400, "bad_json", "")
	}},
	{name: "reconfigured timestamps take effect", run: func(t *testing.T, p *peer) {
		p.fill(t, "a")
		want(t, p.do(t, http.MethodPatch, stream(p.name), `{"timestamping":{"mode":"client-require"}}`, "Content-Type", "application/json"), 200, nil)
		wantCode(t, p.append(t, `{"records":[{}]}`), 422, "invalid", "record timestamp was required but was missing")
	}},
	{name: "ensure", missing: true, run: func(t *testing.T, p *peer) {
		ensure := func(body string, status int, result string) {
			t.Helper()
			header := []string{"Content-Type", "application/json"}
			if body == "" {
				header = nil
			}
			r := p.do(t, http.MethodPut, stream(p.name), body, header...)
			if r.status != status || r.header.Get("s2-provision-result") != result {
				t.Fatalf("ensure %s: %v %s, want %d %s", body, r, r.header.Get("s2-provision-result"), status, result)
			}
		}
		const given = `{"storage_class":"standard","retention_policy":{"age":3600}}`
		ensure(given, 201, "created")
		ensure(given, 200, "noop")
		wantBody(t, p.get(t, stream(p.name)), 200, strings.NewReplacer("express", "standard", "604800", "3600").Replace(defaultConfig))
		ensure("", 200, "updated") // what is not said goes to the defaults
		wantBody(t, p.get(t, stream(p.name)), 200, defaultConfig)
		ensure(`{}`, 200, "noop")
	}},
}

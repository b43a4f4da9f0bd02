package sink

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestConfigValidate(t *testing.T) {
	good := Config{Basin: testBasin, AccessToken: "x"}
	for name, change := range map[string]struct {
		with func(c *Config)
		want []string // parts of the error; none: valid
	}{
		"cloud":                  {func(c *Config) {}, nil},
		"defaults":               {func(c *Config) { *c = Defaults(); c.Basin, c.AccessTokenFile = testBasin, "f" }, nil},
		"own endpoint, no token": {func(c *Config) { c.Endpoint, c.AccessToken = "http://127.0.0.1:8080", "" }, nil},
		"certificates":           {func(c *Config) { c.TLS = TLS{CAFile: "a", CertFile: "b", KeyFile: "c"} }, nil},
		"cloud without a token":  {func(c *Config) { c.AccessToken = "" }, []string{"access_token: S2's cloud needs one"}},
		"two tokens":             {func(c *Config) { c.AccessTokenFile = "f" }, []string{"access_token: set it or access_token_file"}},
		"bad token":              {func(c *Config) { c.AccessToken = "planted\n" }, []string{"access_token: has a character"}},
		"no basin":               {func(c *Config) { c.Basin = "" }, []string{"basin: "}},
		"long basin":             {func(c *Config) { c.Basin = strings.Repeat("a", 49) }, []string{"basin: "}},
		"basin's letters":        {func(c *Config) { c.Basin = "Upper-Case" }, []string{"basin: "}},
		"basin's edge":           {func(c *Config) { c.Basin = "trailing-" }, []string{"basin: "}},
		"scheme":                 {func(c *Config) { c.Endpoint = "127.0.0.1:8080" }, []string{"endpoint: "}},
		"other scheme":           {func(c *Config) { c.Endpoint = "ftp://x" }, []string{"endpoint: must begin"}},
		"no host":                {func(c *Config) { c.Endpoint = "http://:80" }, []string{"endpoint: names no host"}},
		"user":                   {func(c *Config) { c.Endpoint = "https://planted:planted@x" }, []string{"endpoint: must not have a user"}},
		"query":                  {func(c *Config) { c.Endpoint = "https://x/?planted" }, []string{"endpoint: must not have a user, a query"}},
		"half a certificate":     {func(c *Config) { c.TLS.CertFile = "x" }, []string{"tls: cert_file and key_file"}},
		"certificates for http":  {func(c *Config) { c.Endpoint, c.TLS.CAFile = "http://x", "x" }, []string{"tls: the endpoint is http://"}},
		"connections":            {func(c *Config) { c.Connections = 65 }, []string{"connections: 65"}},
		"timeout":                {func(c *Config) { c.RequestTimeout = -1 }, []string{"request_timeout: "}},
		"rate":                   {func(c *Config) { c.BatchesPerSecond = math.NaN() }, []string{"batches_per_second: "}},
		"all at once":            {func(c *Config) { *c = Config{Connections: -1, BatchesPerSecond: -1} }, []string{"basin: ", "access_token: ", "connections: ", "batches_per_second: "}},
	} {
		c := good
		change.with(&c)
		err := c.Validate()
		if (err == nil) != (change.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
		for _, part := range change.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q is not in: %v", name, part, err)
			}
		}
		if err != nil && strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: a secret is in: %v", name, err)
		}
		if _, made := New(c); err != nil && made == nil {
			t.Errorf("%s: New takes it", name)
		}
	}
}

func TestEndpoints(t *testing.T) {
	for _, c := range []struct{ endpoint, stream, want string }{
		{"", "a", "https://sink-test-basin.b.s2.dev/v1/streams/a/records"},
		{"http://127.0.0.1:8080", "orders/0", "http://127.0.0.1:8080/v1/streams/orders%2F0/records"},
		{"http://127.0.0.1:8080/", "a b", "http://127.0.0.1:8080/v1/streams/a%20b/records"},
		{"https://s2.example:9/proxy/v1/", "ä%?#", "https://s2.example:9/proxy/v1/streams/%C3%A4%25%3F%23/records"},
		{"https://s2.example/a%20b", "x..y", "https://s2.example/a%20b/streams/x..y/records"},
	} {
		client := newClient(t, Config{Endpoint: c.endpoint, AccessToken: "x"})
		s := client.Stream(c.stream, StreamSettings{})
		if got := s.records.String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.endpoint, got, c.want)
		}
		if got := s.tail.String(); got != c.want+"/tail" {
			t.Errorf("%s: %s", c.endpoint, got)
		}
		req, _, err := client.request(t.Context(), "GET", s.tail, nil)
		if err != nil {
			t.Fatal(err)
		}
		if basin := req.Header.Get("s2-basin"); (basin != "") != (c.endpoint != "") {
			t.Errorf("%s: s2-basin %q", c.endpoint, basin)
		}
	}
}

// The governor gives a second's permits in a second, after a short burst, to
// all who ask; without a limit it never makes anybody wait.
func TestGovernor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := NewGovernor(0)
		for range 10_000 {
			if d := free.Reserve(); d != 0 {
				t.Fatalf("without a limit: wait %v", d)
			}
		}
		g := NewGovernor(200)
		for i := range 1000 {
			want := max(0, time.Duration(i+1-20)*5*time.Millisecond)
			if d := g.Reserve(); (d - want).Abs() > time.Millisecond {
				t.Fatalf("permit %d: wait %v, want %v", i, d, want)
			}
		}
		<-time.After(time.Minute)
		if d := g.Reserve(); d != 0 {
			t.Errorf("after a minute: wait %v", d)
		}
		slow := NewGovernor(0.5)
		if a, b := slow.Reserve(), slow.Reserve(); a != 0 || (b-2*time.Second).Abs() > time.Millisecond {
			t.Errorf("one in two seconds: %v, %v", a, b)
		}
	})
}

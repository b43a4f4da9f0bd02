package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-multierror"

	"kafka-s2-bridge/handoff"
)

const exampleFile = "../../config.example.toml"

// working is the shortest configuration that is right.
const working = `
kafka = { brokers = ["k:9092"], group = "g", topics = ["orders"] }
s2 = { endpoint = "http://s:8080", basin = "basin-one" }
`

// The example is the manual: it has every key, each explained right above it with
// its default, and what it says is what the code does.
func TestExampleIsTheManual(t *testing.T) {
	cfg, err := Load(exampleFile, []string{"S2_ACCESS_TOKEN=token"})
	if err != nil {
		t.Fatal(err)
	}
	// These have no default. The file's are examples.
	want := Defaults()
	want.Kafka.Brokers, want.Kafka.Group, want.Kafka.Topics = cfg.Kafka.Brokers, cfg.Kafka.Group, cfg.Kafka.Topics
	want.S2.Basin, want.S2.AccessToken = cfg.S2.Basin, cfg.S2.AccessToken
	// Written as [], which is the same.
	want.Kafka.TopicsRegex, want.Kafka.TopicsExclude = []string{}, []string{}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("config.example.toml and Defaults differ:\n%+v\n%+v", cfg, want)
	}

	file, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]string{} // key -> the comment above it
	table, comment := "", ""
	for line := range strings.Lines(string(file)) {
		line = strings.TrimSpace(line)
		word, _, isKey := strings.Cut(line, " = ")
		switch {
		case strings.HasPrefix(line, "#"):
			comment += strings.TrimPrefix(line, "#")
		case strings.HasPrefix(line, "["):
			table, comment = strings.Trim(line, "[]"), ""
		case isKey:
			explained[table+"."+word] = comment
			comment = ""
		default:
			comment = ""
		}
	}
	for _, k := range new(Config).keys() {
		comment, there := explained[k.name]
		switch {
		case !there:
			t.Errorf("config.example.toml lacks %s", k.name)
		case !strings.Contains(comment, "Default:") && !strings.Contains(comment, "Required"):
			t.Errorf("config.example.toml does not say the default of %s, or that it is required", k.name)
		}
	}
}

// Every field of Config is a key, and every key has a field of its own.
func TestTableOfKeysIsComplete(t *testing.T) {
	var cfg Config
	fields := 0
	var count func(reflect.Type)
	count = func(typ reflect.Type) {
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[Retention]() || typ == reflect.TypeFor[handoff.StartPolicy]() {
			fields++
			return
		}
		for i := range typ.NumField() {
			count(typ.Field(i).Type)
		}
	}
	count(reflect.TypeOf(cfg))

	samples := []any{"1m", int64(7), true, []any{"x"}, "latest"}
	seen := map[string]bool{}
	for _, k := range cfg.keys() {
		if seen[k.name] {
			t.Errorf("%s is in the table twice", k.name)
		}
		seen[k.name] = true
		before := cfg
		if !slices.ContainsFunc(samples, k.set) || reflect.DeepEqual(before, cfg) {
			t.Errorf("%s: nothing that it takes changes a field that no other key has changed", k.name)
		}
	}
	// S2's TLS has no enabled: the scheme of the endpoint says it. Overrides are
	// tables, not a key.
	if got := len(seen) + 2; got != fields {
		t.Errorf("%d keys (and s2.tls without enabled, and overrides) for %d fields of Config", got, fields)
	}
}

// All mistakes come in one go, each with its key, in the order of the table.
func TestEveryMistakeAtOnce(t *testing.T) {
	const file = `
kafak = 1
"kafka.group" = "quoted: another key to TOML"
http = 9464
[kafka]
brokers = ["a:1", "b", "https://x:1"]
topics = ["ok", "no good", "ok"]
topics_regex = ["a(", ""]
topics_exclude = ["o."]
isolaton = "x"
isolation = "x"
session_timeout = "1s"
instance_id = 5
[kafka.tls]
ca_file = "/nonexistent"
[kafka.sasl]
password_file = "/nonexistent"
[s2]
endpoint = "ftp://host"
access_token_file = "/dev/null"
linger = 5
[s2.tls]
cert_file = "a"
[stream]
name = "{topic}"
retention = "1ms"
[memory]
budget = "512MB"
[log]
level = ["info"]
`
	_, err := parse("my.toml", []byte(file), []string{
		"BRIDGE_KAFKA_GROUP=x", "BRIDGE_S2__CONNECTIONS=four", "BRIDGE_S2__BATCHES_PER_SECOND=-1", "BRIDGE_DRAIN__TIMEOUT=2h",
		"BRIDGE_S2__ACCES_TOKEN=x", "BRIDGE_KAFKA__TLS__INSECURE_SKIP_VERIFY=yes",
	})
	want := []string{
		"http must be a table, written [http]",
		"kafak is not a key of the bridge; did you mean kafka?",
		"kafka.isolaton is not a key of the bridge; did you mean kafka.isolation?",
		"my.toml has a key that must be quoted",
		"BRIDGE_KAFKA_GROUP is not a variable of the bridge; did you mean BRIDGE_KAFKA__GROUP?",
		"BRIDGE_S2__ACCES_TOKEN is not a variable of the bridge; did you mean BRIDGE_S2__ACCESS_TOKEN?",
		`kafka.brokers[1] must be host:port, such as "localhost:9092"`,
		"kafka.brokers[2] must be host:port",
		"kafka.group must be set",
		"kafka.topics[1] must be a topic's name",
		"kafka.topics[2] is the same as [0]",
		"kafka.topics[0] is excluded by kafka.topics_exclude[0]",
		"kafka.topics[2] is excluded by kafka.topics_exclude[0]",
		"kafka.topics_regex[0] must be a regular expression (RE2); this one has: missing closing )",
		"kafka.topics_regex[1] must not be empty",
		`kafka.isolation must be "read_committed" or "read_uncommitted"`,
		"kafka.instance_id must be empty, or a name",
		`kafka.session_timeout must be a duration from "6s" to "30m"`,
		"kafka.tls.enabled must be true for",
		"kafka.tls.ca_file must be the path of a file with PEM certificates: no such file or directory",
		"kafka.tls.insecure_skip_verify (BRIDGE_KAFKA__TLS__INSECURE_SKIP_VERIFY) must be true or false; this is text",
		"kafka.sasl.mechanism must say how to log in",
		"kafka.sasl.password_file must be the path of a file that holds the password: no such file or directory",
		"s2.endpoint must be empty (S2's cloud) or a URL",
		"s2.basin must be set",
		"s2.access_token_file names a file that is empty",
		"s2.tls.key_file must be set, as cert_file is",
		"s2.connections (BRIDGE_S2__CONNECTIONS) must be a whole number from 1 to 256; this is text",
		"s2.batches_per_second (BRIDGE_S2__BATCHES_PER_SECOND) must be a number",
		`s2.linger must be a duration from "0s" to "1s"; this is a whole number`,
		"stream.name cannot be used: ",
		`stream.retention must be "topic", "infinite" or a duration`,
		"memory.budget must be a size",
		`log.level must be "debug", "info", "warn" or "error"; this is a list`,
		`drain.timeout (BRIDGE_DRAIN__TIMEOUT) must be a duration from "1s" to "50s"`,
	}
	var merr *multierror.Error
	if !errors.As(err, &merr) {
		t.Fatalf("no list of mistakes: %v", err)
	}
	for i := range max(len(want), len(merr.Errors)) {
		var got, expected string
		if i < len(merr.Errors) {
			got = merr.Errors[i].Error()
		}
		if i < len(want) {
			expected = want[i]
		}
		if expected == "" || !strings.HasPrefix(got, expected) {
			t.Errorf("mistake %d:\n got  %s\n want %s", i, got, expected)
		}
	}
}

// What is right in each half may be impossible together.
func TestImpossibleTogether(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"nothing to bridge", `[kafka]
topics = []`, "kafka.topics must be set, or kafka.topics_regex"},
		{"secret twice", `[s2]
access_token = "a"
access_token_file = "b"`, "s2.access_token and s2.access_token_file are both set"},
		{"login without a user", `[kafka.sasl]
mechanism = "PLAIN"
password = "p"`, "kafka.sasl.username must be set"},
		{"login without a password", `[kafka.sasl]
mechanism = "PLAIN"
username = "u"`, "kafka.sasl.password must be set"},
		{"cloud without a token", `[s2]
endpoint = ""`, "s2.access_token must be set for S2's cloud"},
		{"TLS settings for plain HTTP", `[s2.tls]
server_name = "x"`, "must begin with https:// for the keys of s2.tls"},
		{"more under way than there is memory", `[memory]
budget = "32MiB"
[s2]
max_inflight_bytes = "33MiB"`, "s2.max_inflight_bytes must not be above memory.budget"},
		{"token with a line end", `[s2]
access_token = "a\nb"`, "s2.access_token must be text in quotes: one line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			environ := []string{
				"BRIDGE_KAFKA__BROKERS=k:9092", "BRIDGE_KAFKA__GROUP=g", "BRIDGE_S2__BASIN=basin-one",
			}
			if !strings.Contains(c.file, "endpoint") {
				environ = append(environ, "BRIDGE_S2__ENDPOINT=http://s:80")
			}
			if !strings.Contains(c.file, "topics") {
				environ = append(environ, "BRIDGE_KAFKA__TOPICS=orders")
			}
			_, err := parse("f", []byte(c.file), environ)
			var merr *multierror.Error
			if !errors.As(err, &merr) || len(merr.Errors) != 1 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant only: %s", err, c.want)
			}
		})
	}
}

func TestNotTOML(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"[kafka]\ngroup = \"open", "f is not TOML: line 2, column "},
		{"[kafka]\ngroup = 1\ngroup = 2", `f is not TOML: "group" is there twice`},
		{"x = 1\nx = 2", "f is not TOML: a key or table is there twice"},
		{"[kafka.sasl]\npassword = 99999999999999999999", "f is not TOML: line 2, column 12: couldn't parse decimal number"},
	} {
		_, err := parse("f", []byte(c.file), []string{"BRIDGE_TYPO=1"})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "9999") {
			t.Errorf("%q: %v\nwant %s", c.file, err, c.want)
		}
		// Nothing is said to be missing in a file that could not be read, but
		// what is wrong elsewhere is.
		if err == nil || strings.Contains(err.Error(), "must be set") || !strings.Contains(err.Error(), "BRIDGE_TYPO") {
			t.Errorf("%q: %v", c.file, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("  from-the-file\r\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := parse("f", []byte(working), []string{
		"PATH=/bin", "BRIDGE_KAFKA__GROUP=blue", "BRIDGE_KAFKA__TOPICS=orders, payments",
		`BRIDGE_KAFKA__TOPICS_REGEX=x{1\,3},y`, "BRIDGE_KAFKA__TOPICS_EXCLUDE=", "BRIDGE_KAFKA__TLS__ENABLED=true",
		"BRIDGE_S2__CONNECTIONS=2", "BRIDGE_S2__BATCHES_PER_SECOND=12.5", "BRIDGE_MEMORY__BUDGET=1GiB", "BRIDGE_STREAM__RETENTION=1w",
		"BRIDGE_S2__ENDPOINT=https://s/", "BRIDGE_KAFKA__SASL__MECHANISM=PLAIN", "BRIDGE_KAFKA__SASL__USERNAME=u",
		"BRIDGE_KAFKA__SASL__PASSWORD_FILE=" + secret, "S2_ACCESS_TOKEN=s2s-own",
		// Kubernetes puts these there for Services named bridge and bridge-metrics.
		"BRIDGE_SERVICE_HOST=10.0.0.1", "BRIDGE_SERVICE_PORT=9464", "BRIDGE_SERVICE_PORT_HTTP=9464", "BRIDGE_PORT=tcp://10.0.0.1:9464",
		"BRIDGE_PORT_9464_TCP=tcp://10.0.0.1:9464", "BRIDGE_PORT_9464_TCP_PROTO=tcp", "BRIDGE_METRICS_PORT_9464_TCP_ADDR=10.0.0.1",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Kafka.Brokers, want.Kafka.Group = []string{"k:9092"}, "blue"
	want.Kafka.Topics, want.Kafka.TopicsRegex, want.Kafka.TopicsExclude = []string{"orders", "payments"}, []string{"x{1,3}", "y"}, []string{}
	want.Kafka.TLS.Enabled = true
	want.Kafka.SASL = SASLConfig{Mechanism: "PLAIN", Username: "u", Password: "from-the-file", PasswordFile: secret}
	want.S2.Endpoint, want.S2.Basin, want.S2.AccessToken, want.S2.Connections, want.S2.BatchesPerSecond = "https://s", "basin-one", "s2s-own", 2, 12.5
	want.Memory.Budget = 1 << 30
	want.Stream.Retention = Retention{Age: 7 * 24 * time.Hour}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got  %#v\nwant %#v", cfg, want)
	}
}

// S2_ACCESS_TOKEN may be set for other programs: everything of ours wins over it.
func TestPrecedenceOfTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		toml, want string
		environ    []string
	}{
		{"", "s2s-own", nil},
		{`access_token = "in-toml"`, "in-toml", nil},
		{`access_token_file = "` + file + `"`, "from-file", nil},
		{"", "from-file", []string{"BRIDGE_S2__ACCESS_TOKEN_FILE=" + file}},
		{`access_token = "in-toml"`, "in-env", []string{"BRIDGE_S2__ACCESS_TOKEN=in-env"}},
	} {
		toml := "[kafka]\nbrokers = ['k:1']\ngroup = 'g'\ntopics = ['t']\n[s2]\nbasin = 'basin-one'\n" + c.toml
		cfg, err := parse("f", []byte(toml), append(c.environ, "S2_ACCESS_TOKEN=s2s-own"))
		if err != nil || cfg.S2.AccessToken.Reveal() != c.want {
			t.Errorf("%q %v: %q, %v; want %q", c.toml, c.environ, cfg.S2.AccessToken.Reveal(), err, c.want)
		}
	}
}

func TestConfigHidesItsSecrets(t *testing.T) {
	cfg := Defaults()
	cfg.S2.AccessToken, cfg.Kafka.SASL.Password = planted, planted
	encoded, err := json.Marshal(cfg)
	if err != nil || strings.Contains(string(encoded), planted) {
		t.Errorf("JSON: %s, %v", encoded, err)
	}
}

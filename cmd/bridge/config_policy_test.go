package main

import (
	"errors"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-multierror"

	"kafka-s2-bridge/handoff"
)

// every is a configuration for all topics, without policies.
const every = `
kafka = { brokers = ["k:9092"], group = "g", topics = ["orders", "payments"], topics_regex = ["logs[.].*"], topics_exclude = ["logs[.]x"] }
s2 = { endpoint = "http://s:8080", basin = "basin-one" }
`

func mustParse(t *testing.T, file string, environ ...string) Config {
	t.Helper()
	cfg, err := parse("f", []byte(file), environ)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestPolicyOfAPartition(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	cfg := mustParse(t, every+`
stream = { name = "{topic}/{topic_id}/{partition}" }
[policy]
start = "2026-01-02T13:00:00+01:00"
truncated = "gap"
dead_letter_topic = "dead"
refused_records = "dead_letter"

[[topic]]
name = "orders"
start = "latest"
start_offsets = { "0" = 1200, 3 = 0 }
large_records = "hold"
truncated = "hold"
s2_behind = "replay"
topic_recreated = "new_stream"

[[topic]]
match = "logs[.](a|b)"
start = "offset:7"
large_records = "dead_letter"
dead_letter_topic = "dead.logs"
refused_records = "skip"
retention_lost = "gap"
s2_behind = "gap"

[[topic]]
match = "logs.*"
start = 2026-01-02T12:00:00Z
large_records = "skip"
refused_records = "hold"
`)
	type standing = map[handoff.Reason]handoff.Answer
	at := handoff.StartPolicy{From: handoff.FromTime, At: noon}
	for _, c := range []struct {
		topic     string
		partition int32
		want      handoff.Policy
		chunks    bool
		dead      string
	}{
		{"payments", 0, handoff.Policy{Start: at, Refused: handoff.DeadLetterRecord, Standing: standing{handoff.Truncated: handoff.AnswerGap}}, true, "dead"},
		{"orders", 0, handoff.Policy{Start: handoff.StartPolicy{From: handoff.FromOffset, Offset: 1200}, Refused: handoff.DeadLetterRecord,
			Standing: standing{handoff.S2Behind: handoff.AnswerReplay, handoff.Recreated: handoff.AnswerNewStream}}, false, "dead"},
		{"orders", 3, handoff.Policy{Start: handoff.StartPolicy{From: handoff.FromOffset}, Refused: handoff.DeadLetterRecord,
			Standing: standing{handoff.S2Behind: handoff.AnswerReplay, handoff.Recreated: handoff.AnswerNewStream}}, false, "dead"},
		{"orders", 1, handoff.Policy{Start: handoff.StartPolicy{From: handoff.FromLatest}, Refused: handoff.DeadLetterRecord,
			Standing: standing{handoff.S2Behind: handoff.AnswerReplay, handoff.Recreated: handoff.AnswerNewStream}}, false, "dead"},
		// The first table counts, and nothing of the second one.
		{"logs.a", 9, handoff.Policy{Start: handoff.StartPolicy{From: handoff.FromOffset, Offset: 7}, Large: handoff.DeadLetterRecord, Refused: handoff.SkipRecord,
			Standing: standing{handoff.Truncated: handoff.AnswerGap, handoff.RetentionLost: handoff.AnswerGap, handoff.S2Behind: handoff.AnswerGap}}, false, "dead.logs"},
		// A whole name must match.
		{"logs.ab", 0, handoff.Policy{Start: at, Large: handoff.SkipRecord, Standing: standing{handoff.Truncated: handoff.AnswerGap}}, false, "dead"},
	} {
		got, chunks := cfg.policyOf(c.topic, c.partition)
		if !reflect.DeepEqual(got, c.want) || chunks != c.chunks {
			t.Errorf("%s/%d: %+v, chunks %v\nwant %+v, %v", c.topic, c.partition, got, chunks, c.want, c.chunks)
		}
		if dead := cfg.policyFor(c.topic).DeadLetterTopic; dead != c.dead {
			t.Errorf("%s: dead letters go to %q, want %q", c.topic, dead, c.dead)
		}
	}
	if got := cfg.deadLetterTopics(); !slices.Equal(got, []string{"dead", "dead.logs"}) {
		t.Errorf("dead letter topics: %q", got)
	}
}

// Whoever says nothing gives nothing up.
func TestDefaultPolicy(t *testing.T) {
	got, chunks := Defaults().policyOf("any", 5)
	if want := (handoff.Policy{Standing: map[handoff.Reason]handoff.Answer{}}); !reflect.DeepEqual(got, want) || !chunks {
		t.Errorf("%+v, chunks %v", got, chunks)
	}
	if got := Defaults().deadLetterTopics(); got != nil {
		t.Errorf("%q", got)
	}
}

// The environment sets [policy]; a table of the file wins over it for its topic.
func TestPolicyFromTheEnvironment(t *testing.T) {
	cfg := mustParse(t, every+"[[topic]]\nname = 'orders'\ntruncated = 'hold'", "BRIDGE_POLICY__START=latest", "BRIDGE_POLICY__TRUNCATED=gap")
	for topic, want := range map[string]int{"orders": 0, "payments": 1} {
		got, _ := cfg.policyOf(topic, 0)
		if got.Start.From != handoff.FromLatest || len(got.Standing) != want {
			t.Errorf("%s: %+v", topic, got)
		}
	}
}

func TestStarts(t *testing.T) {
	for text, want := range map[string]*handoff.StartPolicy{
		`"earliest"`:                   {},
		`"offset:0"`:                   {From: handoff.FromOffset},
		`"offset:9223372036854775807"`: {From: handoff.FromOffset, Offset: 1<<63 - 1},
		`"1970-01-01T00:00:00Z"`:       {From: handoff.FromTime, At: time.Unix(0, 0).UTC()},
		`1970-01-01T01:00:00+01:00`:    {From: handoff.FromTime, At: time.Unix(0, 0).UTC()},
		// Kafka would take -1 ms for "the end".
		`"1969-12-31T23:59:59.999Z"`:   nil,
		`"offset:9223372036854775808"`: nil,
		`"offset:-1"`:                  nil,
		`"offset:+1"`:                  nil,
		`"offset:007"`:                 nil,
		`"offset:"`:                    nil,
		`"Earliest"`:                   nil,
		`"end"`:                        nil,
		`""`:                           nil,
		`"2026-01-02"`:                 nil,
		`"2026-01-02T15:04:05"`:        nil, // of which zone?
		`2026-01-02T15:04:05`:          nil,
		`2026-01-02`:                   nil,
		`1200`:                         nil,
	} {
		cfg, err := parse("f", []byte(every+"[policy]\nstart = "+text), nil)
		switch {
		case want == nil && (err == nil || !strings.Contains(err.Error(), `policy.start must be "earliest", "latest", "offset:" with a number`)):
			t.Errorf("%s was taken, or refused without a word: %v", text, err)
		case want != nil && (err != nil || !reflect.DeepEqual(cfg.Policy.Start, *want)):
			t.Errorf("%s: %+v, %v", text, cfg.Policy.Start, err)
		}
	}
}

func TestStartOffsets(t *testing.T) {
	cfg := mustParse(t, every+"[[topic]]\nname = 'orders'\nstart_offsets = { 2147483647 = 9223372036854775807, '0' = 0 }")
	if got := cfg.Overrides[0].StartOffsets; !maps.Equal(got, map[int32]int64{1<<31 - 1: 1<<63 - 1, 0: 0}) {
		t.Errorf("%v", got)
	}
	for _, text := range []string{"{ a = 1 }", "{ 2147483648 = 1 }", "{ '-1' = 1 }", "{ '01' = 1 }", "{ 0 = -1 }", "{ 0 = '1' }", "{ 0 = 1.0 }", "[1]", "1"} {
		_, err := parse("f", []byte(every+"[[topic]]\nname = 'orders'\nstart_offsets = "+text), nil)
		if err == nil || !strings.Contains(err.Error(), "topic[0].start_offsets must be a table of partitions and offsets") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// All that is wrong with policies comes in one go, each with its key; what a
// table only takes over from [policy] is reported once.
func TestMistakesInPolicies(t *testing.T) {
	for _, c := range []struct {
		name, file string
		environ    []string
		want       []string
	}{
		{"wrong words", `[policy]
start = "begin"
large_records = "cut"
refused_records = "chunk"
retention_lost = "skip"
truncated = "replay"
s2_behind = "new_stream"
topic_recreated = "new-stream"
dead_letter_topic = "no good"
lost = "gap"
[[topic]]
name = "orders"
truncated = true
refused = "skip"
[[topic]]
match = "logs("
`, nil, []string{
			"policy.lost is not a key of the bridge",
			"topic[0].refused is not a key of the bridge",
			`policy.start must be "earliest"`,
			`policy.large_records must be "chunk", "hold", "dead_letter" or "skip"`,
			`policy.refused_records must be "hold", "dead_letter" or "skip"`,
			`policy.retention_lost must be "hold" or "gap"`,
			`policy.truncated must be "hold" or "gap"`,
			`policy.s2_behind must be "hold", "replay" or "gap"`,
			`policy.topic_recreated must be "hold" or "new_stream"`,
			"policy.dead_letter_topic must be empty, or a topic's name",
			`topic[0].truncated must be "hold" or "gap"; this is true or false`,
			"topic[1].match must be a regular expression (RE2); this one has: missing closing )",
		}},
		{"a misspelled key", "[[topic]]\nname = 'orders'\nretention_losst = 'gap'", nil, []string{"topic[0].retention_losst is not a key of the bridge; did you mean topic[0].retention_lost?"}},
		{"dead letters without a topic", "[policy]\nlarge_records = 'dead_letter'\nrefused_records = 'dead_letter'\n[[topic]]\nname = 'orders'", nil,
			[]string{`policy.dead_letter_topic must be set, as a policy says "dead_letter"`}},
		{"dead letters of one topic without a topic", "[[topic]]\nname = 'orders'\nrefused_records = 'dead_letter'", nil,
			[]string{`topic[0].dead_letter_topic must be set`}},
		{"dead letters whose topic is taken away", "[policy]\nlarge_records = 'dead_letter'\ndead_letter_topic = 'dead'\n[[topic]]\nname = 'orders'\ndead_letter_topic = ''", nil,
			[]string{`topic[0].dead_letter_topic must be set`}},
		{"dead letters that would be bridged", "[policy]\nlarge_records = 'dead_letter'\ndead_letter_topic = 'payments'\n[[topic]]\nname = 'orders'\ndead_letter_topic = 'orders'", nil,
			[]string{"policy.dead_letter_topic must not be one of kafka.topics", "topic[0].dead_letter_topic must not be one of kafka.topics"}},
		{"a topic for dead letters that never come", "[policy]\ndead_letter_topic = 'dead'\n[[topic]]\nname = 'orders'\ndead_letter_topic = 'dead2'", nil,
			[]string{"policy.dead_letter_topic means nothing", "topic[0].dead_letter_topic means nothing"}},
		{"a stream for two topics", "[policy]\ntopic_recreated = 'new_stream'\n[[topic]]\nname = 'orders'\n[[topic]]\nname = 'payments'\ntopic_recreated = 'new_stream'", nil,
			[]string{`policy.topic_recreated cannot be "new_stream" while stream.name has no {topic_id}`, `topic[1].topic_recreated cannot be "new_stream"`}},
		{"for which topics", "[[topic]]\nstart = 'latest'\n[[topic]]\nname = 'orders'\nmatch = 'orders'", nil,
			[]string{"topic[0].name must be set, or match", "topic[1].name and match exclude each other"}},
		{"a topic that is not bridged", "[[topic]]\nname = 'order'\n[[topic]]\nname = 'logs.x'\n[[topic]]\nname = 'logs.y'", nil,
			[]string{"topic[0].name is no topic that is bridged", "topic[1].name is no topic that is bridged"}},
		{"a topic that an earlier table has", "[[topic]]\nmatch = 'o.*'\n[[topic]]\nname = 'orders'\n[[topic]]\nname = 'payments'\n[[topic]]\nname = 'payments'", nil,
			[]string{"topic[1].name is matched by topic[0], which comes before", "topic[3].name is matched by topic[2]"}},
		{"empty names", "[[topic]]\nname = ''\n[[topic]]\nmatch = ''", nil,
			[]string{"topic[0].name must be a topic's name", "topic[1].match must not be empty"}},
		{"one table", "[topic]\nname = 'orders'", nil, []string{"topic must be tables, each written [[topic]]"}},
		{"a list of names", "topic = ['orders']", nil, []string{"topic must be tables, each written [[topic]]"}},
		{"a quoted key", "[[topic]]\nname = 'orders'\n'a b' = 1", nil, []string{"topic[0] has a key that must be quoted"}},
		{"tables in the environment", "", []string{"BRIDGE_TOPIC__NAME=orders", "BRIDGE_POLICY__START=now"},
			[]string{"BRIDGE_TOPIC__NAME is not a variable of the bridge; tables [[topic]] can only be in the file, the environment sets BRIDGE_POLICY__START",
				"policy.start (BRIDGE_POLICY__START) must be"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := every + c.file
			if strings.HasPrefix(c.file, "topic =") {
				file = c.file + every
			}
			_, err := parse("f", []byte(file), c.environ)
			var merr *multierror.Error
			if !errors.As(err, &merr) {
				t.Fatalf("no list of mistakes: %v", err)
			}
			for i := range max(len(c.want), len(merr.Errors)) {
				if i >= len(c.want) || i >= len(merr.Errors) || !strings.HasPrefix(merr.Errors[i].Error(), c.want[i]) {
					t.Errorf("mistake %d differs, got:\n%v\nwant:\n%s", i, err, strings.Join(c.want, "\n"))
					break
				}
			}
		})
	}
}

// An expression may be about topics that do not exist yet; without expressions in
// kafka.topics_regex all names are known.
func TestMatchOfNoTopic(t *testing.T) {
	mustParse(t, every+"[[topic]]\nmatch = 'new.*'")
	_, err := parse("f", []byte(working+"[[topic]]\nmatch = 'new.*'\n[[topic]]\nmatch = 'ord.*'"), nil)
	if err == nil || !strings.Contains(err.Error(), "1 mistake ") || !strings.Contains(err.Error(), "topic[0].match matches none of kafka.topics") {
		t.Errorf("%v", err)
	}
}

// `bridge read` needs no topics, and so no policies that fit them.
func TestReadingNeedsNoPolicies(t *testing.T) {
	p := place{file: t.TempDir() + "/c.toml", address: "s2://basin-one/orders/0"}
	writeFile(t, p.file, "[s2]\nendpoint = 'http://s:1'\n[policy]\nstart = 'x'\n[[topic]]\nname = 'orders'\ntruncated = 'x'")
	if _, err := p.load(nil); err != nil {
		t.Error(err)
	}
}

// The example's tables are comments there, since they are no defaults. They are
// right nevertheless.
func TestExampleTables(t *testing.T) {
	file, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	var tables []string
	for line := range strings.Lines(string(file)) {
		if rest, ok := strings.CutPrefix(line, "# "); ok && (strings.HasPrefix(rest, "[[") || len(tables) > 0) {
			tables = append(tables, rest)
		} else if len(tables) > 0 && strings.TrimSpace(line) != "#" {
			break
		}
	}
	cfg := mustParse(t, every+strings.Join(tables, ""))
	if len(cfg.Overrides) != 2 || len(cfg.Overrides[0].StartOffsets) != 2 || cfg.Overrides[1].RetentionLost != policyGap {
		t.Errorf("%+v of\n%s", cfg.Overrides, tables)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

package mapping

import (
	"strings"
	"testing"
)

type templateCase struct {
	Template string `json:"template"`
	Name     string `json:"name,omitempty"`    // of testIdentity
	Refused  string `json:"refused,omitempty"` // a part of the reason
}

var templateCases = []templateCase{
	{"{topic}/{partition}", "orders/258", ""},
	{"{topic}-{partition}", "orders-258", ""},
	{"{topic}.{partition}", "orders.258", ""},
	{"{topic}_p{partition}", "orders_p258", ""},
	{"{topic}1/{partition}", "orders1/258", ""},
	{"kafka/{cluster}/{topic}/{partition}/v1", "kafka/kafka-1/orders/258/v1", ""},
	{"{partition}-{topic}", "258-orders", ""},
	{"7{partition}p{topic}7", "7258porders7", ""},
	{"{partition}/{topic}/{cluster}", "258/orders/kafka-1", ""},
	{"{topic}/{cluster}:{partition}", "orders/kafka-1:258", ""},
	{"{topic}/1{cluster}0:0{partition}", "orders/1kafka-10:0258", ""},
	{"{topic_id}{partition}", "-_8CAwQFBgcICQoLDA0ODw258", ""},
	{"{partition}{topic_id}", "258-_8CAwQFBgcICQoLDA0ODw", ""},
	{"{topic}{topic_id}-{partition}", "orders-_8CAwQFBgcICQoLDA0ODw-258", ""},
	{"{cluster}/{topic_id}{partition}", "kafka-1/-_8CAwQFBgcICQoLDA0ODw258", ""},
	{"{cluster}{topic_id}/{partition}", "kafka-1-_8CAwQFBgcICQoLDA0ODw/258", ""},
	{"\u00fc {topic}\u2192{partition}", "\u00fc orders\u2192258", ""},

	{"", "", "without {partition}"},
	{"stream", "", "without {partition}"},
	{"{topic}", "", "without {partition}"},
	{"{partition}", "", "without {topic}"},
	{"{cluster}/{partition}", "", "without {topic}"},
	{"{topic}{partition}", "", "digit"},
	{"{partition}{topic}", "", "digit"},
	{"{topic}-1{partition}", "", "digit"},
	{"{topic}0{partition}", "", "digit"},
	{"{partition}1-{topic}", "", "digit"},
	{"{topic}-{topic_id}{partition}", "", "digit"},
	{"{partition}{topic_id}-{topic}", "", "digit"},
	{"{cluster}{topic}/{partition}", "", "such as /"},
	{"{cluster}-{topic}/{partition}", "", "such as /"},
	{"{cluster}-{partition}/{topic}", "", "such as /"},
	{"{topic}/{cluster}-{partition}", "", "such as /"},
	{"{topic}-{cluster}/{partition}", "", "such as /"},
	{"{topic}/{partition}.{cluster}", "", "such as /"},
	{"{cluster}{topic_id}{partition}", "", "such as /"},
	{"{topic}/{partition}/{topic}", "", "twice"},
	{"{topic}/{partition}{partition}", "", "twice"},
	{"{topic}/{Partition}", "", "none of"},
	{"{topic}/{partition}/{}", "", "none of"},
	{"{topic}/{partition}/{group}", "", "none of"},
	{"{{topic}}/{partition}", "", "none of"},
	{"{topic/{partition}", "", "none of"},
	{"{topic}/{partition", "", "brace"},
	{"{topic}}/{partition}", "", "brace"},
	{"}{topic}/{partition}", "", "brace"},
	{"{topic}\n{partition}", "", "control"},
	{"{topic}\x00{partition}", "", "control"},
	{"{topic}\u0085{partition}", "", "control"},
	{"{topic}\xff{partition}", "", "UTF-8"},
}

func TestTemplate(t *testing.T) {
	for _, tt := range templateCases {
		tpl, err := ParseTemplate(tt.Template)
		if tt.Refused != "" {
			if err == nil || !strings.Contains(err.Error(), tt.Refused) || len(tpl.parts) > 0 {
				t.Errorf("%q: error %v, want ...%s...", tt.Template, err, tt.Refused)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.Template, err)
			continue
		}
		if name, err := tpl.Name(testIdentity); err != nil || name != tt.Name {
			t.Errorf("%q gives %q, error %v", tt.Template, name, err)
		}
	}
}

func TestTemplateNames(t *testing.T) {
	with := func(change func(id *Identity)) Identity {
		id := testIdentity
		change(&id)
		return id
	}
	tests := []struct {
		name, template string
		id             Identity
		want           string // a part of the error; "": none
	}{
		{"longest topic", "{topic}/{partition}", with(func(id *Identity) { id.Topic = strings.Repeat("t", 249) }), ""},
		{"topic too long", "{topic}/{partition}", with(func(id *Identity) { id.Topic = strings.Repeat("t", 250) }), "no name"},
		{"topic empty", "{topic}/{partition}", with(func(id *Identity) { id.Topic = "" }), "no name"},
		{"topic with a slash", "{topic}/{partition}", with(func(id *Identity) { id.Topic = "a/b" }), "no name"},
		{"partition", "{topic}/{partition}", with(func(id *Identity) { id.Partition = -1 }), "negative"},
		{"cluster unknown", "{cluster}/{topic}/{partition}", with(func(id *Identity) { id.Cluster = "" }), "cluster id"},
		{"cluster with a slash", "{cluster}/{topic}/{partition}", with(func(id *Identity) { id.Cluster = "a/b" }), "cluster id"},
		{"cluster not used", "{topic}/{partition}", with(func(id *Identity) { id.Cluster = "a/b" }), ""},
		{"no topic id", "{topic_id}/{partition}", testIdentity.Anonymous(), "topic id"},
		{"topic id not used", "{topic}/{partition}", testIdentity.Anonymous(), ""},
		{"512 bytes", strings.Repeat("x", 502) + "{topic}/{partition}", testIdentity, ""},
		{"513 bytes", strings.Repeat("x", 503) + "{topic}/{partition}", testIdentity, "513 bytes"},
	}
	for _, tt := range tests {
		tpl, err := ParseTemplate(tt.template)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		name, err := tpl.Name(tt.id)
		if tt.want == "" && (err != nil || name == "") || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || name != "") {
			t.Errorf("%s: %q, error %v", tt.name, name, err)
		}
	}
	if _, err := (Template{}).Name(testIdentity); err == nil {
		t.Error("the zero template makes names")
	}
}

// Every template over a small alphabet that is accepted gives every partition
// over a small alphabet a name of its own.
func TestTemplatesKeepPartitionsApart(t *testing.T) {
	pieces := []string{"{topic}", "{partition}", "{cluster}", "{topic_id}", "/", "1", "-", "1/", "/1", "a"}
	words := []string{"a", "1", "a1", "11", "1a", "-", "a-1", "1-1", "a1-1"}
	var ids []Identity
	for i, topic := range words {
		for _, partition := range []int32{0, 1, 11, 111} {
			for _, cluster := range words {
				// A topic has one id, whatever the partition.
				id := Identity{Cluster: cluster, Topic: topic, Partition: partition}
				id.TopicID[15] = byte(i + 1)
				copy(id.TopicID[:], cluster)
				ids = append(ids, id)
			}
		}
	}
	accepted := 0
	var try func(s string, depth int)
	try = func(s string, depth int) {
		if tpl, err := ParseTemplate(s); err == nil {
			accepted++
			checkApart(t, s, tpl, ids)
		}
		if depth > 0 {
			for _, p := range pieces {
				try(s+p, depth-1)
			}
		}
	}
	depth := 5
	if testing.Short() || raceEnabled {
		depth = 4
	}
	try("", depth)
	if accepted < 100 {
		t.Errorf("only %d templates were accepted", accepted)
	}
}

func checkApart(t *testing.T, s string, tpl Template, ids []Identity) {
	t.Helper()
	names := make(map[string]Identity, len(ids))
	for _, id := range ids {
		if !tpl.has(fieldCluster) && id.Cluster != "a" {
			continue // one cluster only
		}
		name, err := tpl.Name(id)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if other, ok := names[name]; ok {
			t.Fatalf("%q gives %q to %+v and to %+v", s, name, id, other)
		}
		names[name] = id
	}
}

package mapping

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

var (
	testTopicID = [16]byte{0xfb, 0xff, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	testOpen    = Open{
		V: 1, Cluster: "kafka-1", Topic: "orders", TopicID: "-_8CAwQFBgcICQoLDA0ODw", Partition: 3,
		Group: "bridge", Bridge: "v1.2.3", Resume: 1000, Epoch: 7,
	}
	testGap = Gap{V: 1, From: 10, To: 20, Reason: ReasonRetention, At: 1764000000000}
)

const (
	openBody = `{"v":1,"cluster":"kafka-1","topic":"orders","topic_id":"-_8CAwQFBgcICQoLDA0ODw","partition":3,` +
		`"group":"bridge","bridge":"v1.2.3","resume":1000,"epoch":7}`
	gapBody = `{"v":1,"from":10,"to":20,"reason":"retention","at":1764000000000}`
)

func one(t testing.TB, b *Batch) Stored {
	t.Helper()
	all, err := decode(b.Bytes())
	if err != nil || len(all) != 1 || b.Count() != 1 || b.Metered() != meteredOf(all[0]) {
		t.Fatalf("%d records, %d metered, error %v", len(all), b.Metered(), err)
	}
	return all[0]
}

func TestMarkers(t *testing.T) {
	s := one(t, OpenMarker(testOpen))
	if string(s.Body) != openBody || s.Timestamp != 0 || !reflect.DeepEqual(s.Headers, h("~!", "open")) {
		t.Errorf("open is %s in %q", s.Body, s.Headers)
	}
	e := Classify(s)
	if through, ok := e.Through(); e.Kind != OpenMark || *e.Open != testOpen || !ok || through != 999 {
		t.Errorf("open is read as %+v", e)
	}
	s = one(t, GapMarker(testGap))
	if string(s.Body) != gapBody || s.Timestamp != 0 || !reflect.DeepEqual(s.Headers, h("~!", "gap")) {
		t.Errorf("gap is %s in %q", s.Body, s.Headers)
	}
	e = Classify(s)
	if through, ok := e.Through(); e.Kind != GapMark || *e.Gap != testGap || !ok || through != 19 {
		t.Errorf("gap is read as %+v", e)
	}

	for _, m := range []Open{
		{TopicID: Identity{}.TopicUUID()},
		{TopicID: Identity{}.TopicUUID(), Cluster: "a\"\\\n\x00<>&\u2028", Group: strings.Repeat("\x01", 32767), Partition: math.MaxInt32, Resume: math.MaxInt64, Epoch: -1},
		{TopicID: Identity{}.TopicUUID(), Topic: "\xff"},
	} {
		e := Classify(one(t, OpenMarker(m)))
		m.V = 1
		m.Topic = strings.ToValidUTF8(m.Topic, "\ufffd")
		if e.Kind != OpenMark || *e.Open != m {
			t.Errorf("%.200v is read as %v, %s", m, e.Kind, e.Why)
		}
	}
}

func TestMarkersThatNobodyCouldReadPanic(t *testing.T) {
	id := Identity{}.TopicUUID()
	for name, write := range map[string]func(){
		"no topic id":        func() { OpenMarker(Open{}) },
		"topic id as hex":    func() { OpenMarker(Open{TopicID: strings.Repeat("0", 32)}) },
		"topic id spare bit": func() { OpenMarker(Open{TopicID: id[:21] + "B"}) },
		"partition":          func() { OpenMarker(Open{TopicID: id, Partition: -1}) },
		"resume":             func() { OpenMarker(Open{TopicID: id, Resume: -1}) },
		"epoch":              func() { OpenMarker(Open{TopicID: id, Epoch: -2}) },
		"reason":             func() { GapMarker(Gap{From: 1, To: 2, Reason: "Retention"}) },
		"from":               func() { GapMarker(Gap{From: -1, To: 2, Reason: ReasonRefused}) },
		"to":                 func() { GapMarker(Gap{From: 2, To: 1, Reason: ReasonRefused}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			write()
		})
	}
}

func TestMarkerBodies(t *testing.T) {
	// Each replaces a part of a good body.
	tests := []struct {
		name, body, old, new string
		kind                 Kind
		why                  string
	}{
		{"as it is", openBody, "", "", OpenMark, ""},
		{"white space", openBody, `,"`, " ,\n\t\"", OpenMark, ""},
		{"escapes", openBody, `"orders"`, `"\u006frders"`, OpenMark, ""},
		{"version 2", openBody, `"v":1`, `"v":2,"more":{}`, Unsupported, "version 2"},
		{"version 0", openBody, `"v":1`, `"v":0`, Foreign, "field v"},
		{"version huge", openBody, `"v":1`, `"v":99999999999999999999`, Foreign, "field v"},
		{"version as string", openBody, `"v":1`, `"v":"1"`, Foreign, "field v"},
		{"no version", openBody, `"v":1,`, ``, Foreign, "field v"},
		{"field twice", openBody, `"v":1`, `"v":1,"v":1`, Foreign, "cluster"},
		{"field missing", openBody, `"group":"bridge",`, ``, Foreign, "group"},
		{"field more", openBody, `"epoch":7`, `"epoch":7,"x":1`, Foreign, "beyond"},
		{"fields swapped", openBody, `"resume":1000,"epoch":7`, `"epoch":7,"resume":1000`, Foreign, "resume"},
		{"name in capitals", openBody, `"topic"`, `"Topic"`, Foreign, "topic"},
		{"null", openBody, `"bridge":"v1.2.3"`, `"bridge":null`, Foreign, "bridge"},
		{"object", openBody, `"bridge":"v1.2.3"`, `"bridge":{"v":1}`, Foreign, "bridge"},
		{"float", openBody, `1000`, `1000.0`, Foreign, "resume"},
		{"exponent", openBody, `1000`, `1e3`, Foreign, "resume"},
		{"negative resume", openBody, `1000`, `-1`, Foreign, "resume"},
		{"resume of 64 bits", openBody, `1000`, `9223372036854775808`, Foreign, "resume"},
		{"partition of 32 bits", openBody, `"partition":3`, `"partition":2147483648`, Foreign, "partition"},
		{"epoch below", openBody, `"epoch":7`, `"epoch":-2`, Foreign, "epoch"},
		{"topic id", openBody, `"-_8C`, `"+/8C`, Foreign, "topic_id"},
		{"array", openBody, openBody, `[]`, Foreign, "object"},
		{"two objects", openBody, openBody, openBody + openBody, Foreign, "JSON"},
		{"cut", openBody, `}`, ``, Foreign, "JSON"},
		{"gap", gapBody, "", "", GapMark, ""},
		{"gap of nothing", gapBody, `"to":20`, `"to":10`, GapMark, ""},
		{"gap before 1970", gapBody, `1764000000000`, `-1`, GapMark, ""},
		{"gap backwards", gapBody, `"to":20`, `"to":9`, Foreign, "range"},
		{"gap from below", gapBody, `"from":10`, `"from":-1`, Foreign, "from"},
		{"gap reason", gapBody, `retention`, `reasons`, Foreign, "reason"},
		{"gap version 3", gapBody, `"v":1`, `"v":3`, Unsupported, "version 3"},
		{"gap and more", gapBody, `}`, `,"x":[]}`, Foreign, "beyond"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kind := "open"
			if tt.body == gapBody {
				kind = "gap"
			}
			body := tt.body
			if tt.old != "" {
				if body = strings.ReplaceAll(body, tt.old, tt.new); body == tt.body {
					t.Fatal("nothing replaced")
				}
			}
			e := Classify(Stored{Headers: h("~!", kind), Body: []byte(body)})
			if e.Kind != tt.kind || !strings.Contains(e.Why, tt.why) {
				t.Fatalf("got %v, %q; want %v, ...%s...", e.Kind, e.Why, tt.kind, tt.why)
			}
		})
	}
}

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kafka-s2-bridge/handoff"
)

func TestPartitionsCommand(t *testing.T) {
	b := threePartitions()
	e := startEndpoint(t, b)
	got := bridge(t, "partitions", "--http", e.Addr())
	want := strings.ReplaceAll(`partition        state    lag  durable  stream           
orders/0         flowing  0    1,233    orders/0         a transaction is open since 12:00
orders/1         held     20   9        orders/1         retention-lost
pay.ments_v-2/7  held     20   9        pay.ments_v-2/7  rival

orders/1 is held: retention-lost
  what  Kafka's log begins at offset 20; [redacted]
  lost  offsets 10 to 19 (10), unless they are brought back
  next  NEXT0
  type  bridge resume orders/1 --accept gap --http ADDR    goes on at what Kafka still has; gives up what it deleted
        bridge resume orders/1 --accept retry --http ADDR  looks again; gives nothing up

pay.ments_v-2/7 is held: rival
  what  somebody took it over 3 times
  next  NEXT1
  type  bridge resume pay.ments_v-2/7 --accept retry --http ADDR  looks again; gives nothing up
`, "ADDR", e.Addr())
	want = strings.NewReplacer("NEXT0", handoff.RetentionLost.Next(), "NEXT1", handoff.Rival.Next()).Replace(want)
	if got.code != exitFailed || got.out != want || !strings.Contains(got.err, "2 of 3 partitions are held") {
		t.Errorf("code %d, %s\ngot:\n%s\nwant:\n%s", got.code, got.err, got.out, want)
	}
	for _, c := range []struct {
		args []string
		code int
		out  []string // the partitions
		err  string
	}{
		{[]string{"orders"}, exitFailed, []string{"orders/0", "orders/1"}, "1 of 2 partitions are held"},
		{[]string{"orders/0"}, exitDone, []string{"orders/0"}, ""},
		{[]string{"pay.ments_v-2", "orders/0"}, exitFailed, []string{"pay.ments_v-2/7", "orders/0"}, "1 of 2"},
		{[]string{"payments"}, exitUnknown, nil, "no partition of topic payments is assigned to the bridge at " + e.Addr() + ": ask the other members"},
		{[]string{"orders/2"}, exitUnknown, nil, "orders/2 is not assigned"},
	} {
		got := bridge(t, append([]string{"partitions", "--json", "--http", e.Addr()}, c.args...)...)
		var list []partition
		if got.out != "" {
			if err := json.Unmarshal([]byte(got.out), &list); err != nil {
				t.Fatalf("%q: %v", got.out, err)
			}
		}
		var ids []string
		for _, p := range list {
			ids = append(ids, p.id())
		}
		if got.code != c.code || !slices.Equal(ids, c.out) || !strings.Contains(got.err, c.err) {
			t.Errorf("%v: code %d, %q, %s", c.args, got.code, ids, got.err)
		}
	}

	none := startEndpoint(t, &operatedBridge{})
	if got := bridge(t, "partitions", "--http", none.Addr()); got.code != exitDone || !strings.Contains(got.out, "no partitions") {
		t.Errorf("%+v", got)
	}
	if got := bridge(t, "partitions", "--json", "--http", none.Addr()); got.code != exitDone || got.out != "[]\n" {
		t.Errorf("%+v", got)
	}
}

// What a bridge quotes of strangers must not move the cursor.
func TestPartitionsOnOneLine(t *testing.T) {
	e := startEndpoint(t, &operatedBridge{list: []partition{heldPartition("orders", 1, handoff.Hold{Reason: handoff.Rival, Detail: "a\x1b[2J\nb"})}})
	if got := bridge(t, "partitions", "--http", e.Addr()); strings.Contains(got.out, "\x1b") || !strings.Contains(got.out, "a [2J b\n") {
		t.Errorf("%q", got.out)
	}
}

func TestResumeCommand(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		code int
		out  string
		err  string
		took string
	}{
		{"one partition", []string{"orders/1", "--accept", "gap"}, exitDone,
			"orders/1: gap accepted (was retention-lost): it goes on at what Kafka still has; gives up what it deleted: offsets 10 to 19 (10)\n", "", "orders/1 gap"},
		{"nothing is given up", []string{"orders/1", "--accept", "retry"}, exitDone, "orders/1: retry accepted (was retention-lost): it looks again; gives nothing up\n", "", "orders/1 retry"},
		{"a topic", []string{"orders", "--accept", "gap"}, exitDone, "orders/1: gap accepted", "", "orders/1 gap"},
		{"what does not fit", []string{"pay.ments_v-2", "--accept", "gap"}, exitFailed, "pay.ments_v-2/7: not accepted: gap does not fit the hold", "gap was not accepted by 1 of 1 partition", ""},
		{"not held", []string{"orders/0", "--accept", "gap"}, exitFailed, "orders/0: not accepted: orders/0 is not held", "not accepted", ""},
		{"not here", []string{"orders/5", "--accept", "gap"}, exitFailed, "", "orders/5 is not assigned to the bridge at ", ""},
		{"no such topic", []string{"order", "--accept", "gap"}, exitFailed, "", "no partition of topic order is assigned", ""},
		{"without an answer", []string{"orders"}, exitUsage, "", "what fits:\n  bridge resume orders/1 --accept gap --http ", ""},
		{"without an answer, not held", []string{"orders/0"}, exitUsage, "", "bridge partitions lists what is held", ""},
		{"as JSON", []string{"orders/1", "--accept", "gap", "--json"}, exitDone,
			`[{"topic":"orders","partition":1,"accepted":"gap","was":"retention-lost","lost":{"from":10,"to":20}}]` + "\n", "", "orders/1 gap"},
		{"as JSON, not accepted", []string{"pay.ments_v-2/7", "--accept", "adopt", "--json"}, exitFailed,
			`[{"topic":"pay.ments_v-2","partition":7,"was":"rival","error":"adopt does not fit the hold of pay.ments_v-2/7 (rival): it takes retry","accepts":["retry"]}]` + "\n", "not accepted", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := threePartitions()
			e := startEndpoint(t, b)
			got := bridge(t, append([]string{"resume", "--http", e.Addr()}, c.args...)...)
			if got.code != c.code || !strings.Contains(got.out, c.out) || !strings.Contains(got.err, c.err) || (c.out == "") != (got.out == "") {
				t.Errorf("code %d, want %d\nstdout, want %q:\n%s\nstderr, want %q:\n%s", got.code, c.code, c.out, got.out, c.err, got.err)
			}
			if took := strings.Join(b.answers(), ", "); took != c.took {
				t.Errorf("the bridge took %q, want %q", took, c.took)
			}
		})
	}
}

// Half of a topic's partitions may take an answer, and half may not.
func TestResumeOfATopicSaysItForEach(t *testing.T) {
	b := &operatedBridge{list: []partition{
		heldPartition("orders", 0, handoff.Hold{Reason: handoff.RecordRefused, From: 5, To: 6}),
		heldPartition("orders", 1, handoff.Hold{Reason: handoff.Unauthorized}),
		heldPartition("orders", 2, handoff.Hold{Reason: handoff.Truncated}),
	}}
	e := startEndpoint(t, b)
	got := bridge(t, "resume", "orders", "--accept", "gap", "--http", e.Addr())
	want := `orders/0: gap accepted (was record-refused): it goes on behind the record; gives it up: offset 5
orders/1: not accepted: gap does not fit the hold of orders/1 (unauthorized): it takes retry
orders/2: gap accepted (was truncated): it goes on behind the history that Kafka dropped`
	if got.code != exitFailed || !strings.HasPrefix(got.out, want) || !strings.Contains(got.err, "by 1 of 3 partitions") {
		t.Errorf("code %d, %s\n%s", got.code, got.err, got.out)
	}
}

// A new stream for one partition is one for all of its topic: the others have new
// owners by the time they would be asked for.
func TestResumeOfATopicThatIsCopiedAnew(t *testing.T) {
	b := &operatedBridge{list: []partition{heldPartition("orders", 0, handoff.Hold{}), heldPartition("orders", 1, handoff.Hold{})}, fails: map[string]error{}}
	for i := range b.list {
		b.list[i].holdOf(handoff.Hold{Reason: handoff.Recreated}, true)
	}
	b.meant = func(string, any) { b.fails["orders/1"] = errNotAssigned }
	e := startEndpoint(t, b)
	got := bridge(t, "resume", "orders", "--accept", "new-stream", "--http", e.Addr())
	if got.code != exitDone || strings.Count(got.out, "new-stream accepted (was topic-recreated)") != 2 || !slices.Equal(b.answers(), []string{"orders/0 new-stream"}) {
		t.Errorf("code %d, %v, %s\n%s", got.code, b.answers(), got.err, got.out)
	}
	if got = bridge(t, "resume", "orders/1", "--accept", "new-stream", "--http", e.Addr()); got.code != exitFailed {
		t.Errorf("code %d\n%s", got.code, got.out)
	}
}

// The hold that was shown is the one that is answered: the bridge is told which.
func TestResumeNamesTheHold(t *testing.T) {
	b := threePartitions()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hide := newRedactor(planted)
		if r.Method == http.MethodPost { // it changes in between
			b.mu.Lock()
			b.list[1] = heldPartition("orders", 1, handoff.Hold{Reason: handoff.Truncated})
			b.mu.Unlock()
			serveResume(b, nil, hide)(w, withPath(r, "orders", "1"))
			return
		}
		servePartitions(b, hide)(w, r)
	}))
	defer srv.Close()
	got := bridge(t, "resume", "orders/1", "--accept", "gap", "--http", srv.Listener.Addr().String())
	if got.code != exitFailed || !strings.Contains(got.out, "held for another reason by now, truncated") || len(b.answers()) != 0 {
		t.Errorf("%+v, %v", got, b.answers())
	}
}

func withPath(r *http.Request, topic, number string) *http.Request {
	r.SetPathValue("topic", topic)
	r.SetPathValue("partition", number)
	return r
}

// Something else may listen there, or answer strangely.
func TestAskingAStranger(t *testing.T) {
	status, text := http.StatusNotFound, "404 page not found"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && status == http.StatusForbidden {
			servePartitions(threePartitions(), redactor{})(w, r)
			return
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	}))
	defer srv.Close()
	at := srv.Listener.Addr().String()
	for _, args := range [][]string{{"partitions"}, {"resume", "orders", "--accept", "gap"}, {"health"}} {
		if got := bridge(t, append(args, "--http", at)...); got.code != exitUnknown || !strings.Contains(got.err, "is that a bridge of this version?") {
			t.Errorf("%v: %+v", args, got)
		}
	}
	status = http.StatusOK
	if got := bridge(t, "partitions", "--http", at); got.code != exitUnknown {
		t.Errorf("text instead of a list: %+v", got)
	}
	status, text = http.StatusForbidden, `{"error":"over loopback only"}`
	if got := bridge(t, "resume", "orders/1", "--accept", "gap", "--http", at); got.code != exitFailed || !strings.Contains(got.err, "over loopback only") || got.out != "" {
		t.Errorf("refused: %+v", got)
	}
}

// Where the bridge is, is in its configuration; what else is wrong there is not
// the asker's concern.
func TestWhereTheBridgeIs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.toml")
	for _, c := range []struct {
		name, listen string
		environ      []string
		want, err    string
	}{
		{"nobody says it", "", nil, defaultListen, ""},
		{"the file", "http.listen = '127.0.0.1:7'\nlog.level = 'x'", nil, "127.0.0.1:7", ""},
		{"the environment wins", "http.listen = '127.0.0.1:7'", []string{"BRIDGE_HTTP__LISTEN=10.0.0.1:8", "BRIDGE_NONSENSE=1"}, "10.0.0.1:8", ""},
		{"every interface", "http.listen = ':7'", nil, "127.0.0.1:7", ""},
		{"every IPv4 interface", "http.listen = '0.0.0.0:7'", nil, "127.0.0.1:7", ""},
		{"every IPv6 interface", "http.listen = '[::]:7'", nil, "127.0.0.1:7", ""},
		{"IPv6", "http.listen = '[::1]:7'", nil, "[::1]:7", ""},
		{"none", "http.listen = ''", nil, "", "http.listen is empty: this bridge cannot be asked"},
		{"any port", "http.listen = ':0'", nil, "", "with a port other than 0"},
		{"nonsense", "http.listen = 'x'", nil, "", "http.listen must be host:port"},
		{"not text", "http.listen = 5", nil, "", "http.listen must be host:port"},
		{"not TOML", "http.listen = ", nil, "", "is not TOML"},
	} {
		t.Run(c.name, func(t *testing.T) {
			writeFile(t, file, c.listen)
			r := remote{file: file}
			got, err := r.at(c.environ)
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	if got := (&remote{file: "my config.toml", address: "x"}).flags(); got != " -c 'my config.toml'" {
		t.Errorf("%q", got)
	}
	if got := bridge(t, "partitions", "-c", "no-such.toml"); got.code != exitUsage || !strings.Contains(got.err, "no-such.toml") {
		t.Errorf("%+v", got)
	}
}

var _ Operated = (*operatedBridge)(nil)

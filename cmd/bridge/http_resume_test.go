package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"kafka-s2-bridge/handoff"
)

// asked is one request to the pages, as the server sees it.
type asked struct {
	method, path, body string
	from, host         string
	header             http.Header
}

func (a asked) of(t *testing.T, b Operated, log *bytes.Buffer) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), a.method, a.path, strings.NewReader(a.body))
	r.RemoteAddr, r.Host = a.from, a.host
	r.Header = a.header.Clone()
	hide := newRedactor(planted)
	w := httptest.NewRecorder()
	pages(prometheus.NewRegistry(), b, newLogger(log, LogConfig{Level: "info", Format: "text"}, hide), hide).ServeHTTP(w, r)
	assertHidden(t, w.Body.String())
	assertHidden(t, log.String())
	return w
}

// proper is a question that nothing is wrong with.
func proper(path, body string) asked {
	return asked{"POST", path, body, "127.0.0.1:5555", "127.0.0.1:9464", http.Header{"Content-Type": {"application/json"}}}
}

// The names are a promise to scripts.
func TestPartitionsAsJSON(t *testing.T) {
	var log bytes.Buffer
	w := asked{"GET", "/api/v1/partitions", "", "10.0.0.1:5555", "bridge.example", nil}.of(t, threePartitions(), &log)
	const want = `[{"topic":"orders","partition":0,"stream":"orders/0","state":"flowing","reason":"","detail":"","next":"","accepts":[],"trouble":"",` +
		`"durable_offset":1233,"position":1234,"sequence_number":1300,"last_stable_offset":1234,"high_watermark":1240,"lag":0,"blocked":"a transaction is open since 12:00","held_bytes":77},` +
		`{"topic":"orders","partition":1,"stream":"orders/1","state":"held","reason":"retention-lost","detail":"Kafka's log begins at offset 20; [redacted]",` +
		`"next":NEXT0,"lost":{"from":10,"to":20},"accepts":["gap","retry"],"trouble":"",` +
		`"durable_offset":9,"position":10,"sequence_number":12,"last_stable_offset":30,"high_watermark":30,"lag":20,"blocked":"","held_bytes":0},` +
		`{"topic":"pay.ments_v-2","partition":7,"stream":"pay.ments_v-2/7","state":"held","reason":"rival","detail":"somebody took it over 3 times",` +
		`"next":NEXT1,"accepts":["retry"],"trouble":"",` +
		`"durable_offset":9,"position":10,"sequence_number":12,"last_stable_offset":30,"high_watermark":30,"lag":20,"blocked":"","held_bytes":0}]` + "\n"
	expected := want
	for i, r := range []handoff.Reason{handoff.RetentionLost, handoff.Rival} {
		next, err := json.Marshal(r.Next())
		if err != nil {
			t.Fatal(err)
		}
		expected = strings.Replace(expected, []string{"NEXT0", "NEXT1"}[i], string(next), 1)
	}
	if w.Code != 200 || w.Body.String() != expected || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %v\ngot  %s\nwant %s", w.Code, w.Header(), w.Body, expected)
	}
}

func TestResumeOverHTTP(t *testing.T) {
	const lost, rival = "/api/v1/partitions/orders/1/resume", "/api/v1/partitions/pay.ments_v-2/7/resume"
	gap := `{"accept":"gap"}`
	for _, c := range []struct {
		name  string
		asked asked
		code  int
		want  string // in the body
		took  string
	}{
		{"accepted", proper(lost, gap), 200, `{"topic":"orders","partition":1,"accepted":"gap","was":"retention-lost"}`, "orders/1 gap"},
		{"with the hold that is meant", proper(lost, `{"accept":"gap","reason":"retention-lost"}`), 200, `"accepted":"gap"`, "orders/1 gap"},
		{"a name in escapes", proper("/api/v1/partitions/pay%2Ements%5Fv-2/7/resume", `{"accept":"retry"}`), 200, `"was":"rival"`, "pay.ments_v-2/7 retry"},
		{"JSON with a charset", asked{"POST", lost, gap, "[::1]:1", "localhost", http.Header{"Content-Type": {"application/json; charset=utf-8"}}}, 200, `"gap"`, "orders/1 gap"},
		{"mapped loopback", asked{"POST", lost, gap, "[::ffff:127.0.0.1]:1", "[::1]:80", http.Header{"Content-Type": {"Application/JSON"}}}, 200, `"gap"`, "orders/1 gap"},

		{"another answer than fits", proper(rival, gap), 409, `{"error":"gap does not fit the hold of pay.ments_v-2/7 (rival): it takes retry","reason":"rival","accepts":["retry"]}`, ""},
		{"another hold than is meant", proper(lost, `{"accept":"gap","reason":"truncated"}`), 409, `"reason":"retention-lost","accepts":["gap","retry"]`, ""},
		{"not held", proper("/api/v1/partitions/orders/0/resume", gap), 409, `orders/0 is not held`, ""},
		{"not here", proper("/api/v1/partitions/orders/2/resume", gap), 404, `ask the other members of the group`, ""},

		{"no JSON", proper(lost, "accept=gap"), 400, `the body must be JSON`, ""},
		{"no body", proper(lost, ""), 400, `the body must be JSON`, ""},
		{"no answer", proper(lost, "{}"), 400, `must be one of adopt, gap, new-stream, replay, retry`, ""},
		{"unknown answer", proper(lost, `{"accept":"`+`pl@nted$ecret!7`+`"}`), 400, `must be one of adopt`, ""},
		{"unknown reason", proper(lost, `{"accept":"gap","reason":"x"}`), 400, `\"reason\" must be`, ""},
		{"unknown key", proper(lost, `{"accept":"gap","force":true}`), 400, `the body must be JSON`, ""},
		{"two objects", proper(lost, gap+gap), 400, `one JSON object`, ""},
		{"endless body", proper(lost, `{"accept":"`+strings.Repeat("x", maxResumeBody)), 400, `the body must be JSON`, ""},
		{"no number", proper("/api/v1/partitions/orders/one/resume", gap), 400, `the path must be`, ""},
		{"negative number", proper("/api/v1/partitions/orders/-1/resume", gap), 400, `the path must be`, ""},
		{"number too large", proper("/api/v1/partitions/orders/2147483648/resume", gap), 400, `the path must be`, ""},
		{"a slash in the name", proper("/api/v1/partitions/or%2Fders/1/resume", gap), 400, `the path must be`, ""},
		{"no name", proper("/api/v1/partitions/%20/1/resume", gap), 400, `the path must be`, ""},

		{"from another machine", asked{"POST", lost, gap, "10.1.2.3:5", "127.0.0.1:9464", proper("", "").header}, 403, `over loopback only`, ""},
		{"from nowhere", asked{"POST", lost, gap, "@", "127.0.0.1:9464", proper("", "").header}, 403, `over loopback only`, ""},
		// evil.example was given the address 127.0.0.1 after its page was loaded.
		{"DNS rebinding", asked{"POST", lost, gap, "127.0.0.1:5", "evil.example:9464", proper("", "").header}, 403, `for 127.0.0.1, [::1] and localhost only`, ""},
		{"a name that begins right", asked{"POST", lost, gap, "127.0.0.1:5", "127.0.0.1.evil.example", proper("", "").header}, 403, `localhost only`, ""},
		{"a name that ends right", asked{"POST", lost, gap, "127.0.0.1:5", "evil.localhost:80", proper("", "").header}, 403, `localhost only`, ""},
		{"no host", asked{"POST", lost, gap, "127.0.0.1:5", "", proper("", "").header}, 403, `localhost only`, ""},
		{"every interface is no name", asked{"POST", lost, gap, "127.0.0.1:5", "0.0.0.0:9464", proper("", "").header}, 403, `localhost only`, ""},
		// What a page of another site may send without asking first.
		{"a form", asked{"POST", lost, gap, "127.0.0.1:5", "localhost:9464", http.Header{"Content-Type": {"text/plain"}}}, 403, `Content-Type`, ""},
		{"a form that looks like JSON", asked{"POST", lost, gap, "127.0.0.1:5", "localhost:9464", http.Header{"Content-Type": {"text/plain; application/json"}}}, 403, `Content-Type`, ""},
		{"no type", asked{"POST", lost, gap, "127.0.0.1:5", "localhost:9464", http.Header{}}, 403, `Content-Type`, ""},
		{"a page of this host", asked{"POST", lost, gap, "127.0.0.1:5", "localhost:9464", http.Header{"Content-Type": {"application/json"}, "Origin": {"http://localhost:9464"}}}, 403, `header Origin`, ""},
		{"through a proxy", asked{"POST", lost, gap, "127.0.0.1:5", "localhost:9464", http.Header{"Content-Type": {"application/json"}, "X-Forwarded-For": {"10.1.2.3"}}}, 403, `header X-Forwarded-For`, ""},
		// Whether a partition is here is nobody's business outside either.
		{"from another machine, not here", asked{"POST", "/api/v1/partitions/orders/2/resume", gap, "10.1.2.3:5", "localhost", proper("", "").header}, 403, `over loopback only`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			b := threePartitions()
			w := c.asked.of(t, b, &log)
			if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%d, want %d with %s: %s", w.Code, c.code, c.want, w.Body)
			}
			if got := strings.Join(b.answers(), ", "); got != c.took {
				t.Errorf("the bridge took %q, want %q", got, c.took)
			}
			if lines := strings.Count(log.String(), "\n"); (lines == 1) != (c.took != "") {
				t.Errorf("logged: %q", log.String())
			}
		})
	}
}

// Who said what to which hold stays in the log, on one line.
func TestAnswersAreLogged(t *testing.T) {
	var log bytes.Buffer
	proper("/api/v1/partitions/orders/1/resume", `{"accept":"gap"}`).of(t, threePartitions(), &log)
	const want = `level=INFO msg="hold answered" from=127.0.0.1:5555 topic=orders partition=1 reason=retention-lost answer=gap`
	if !strings.Contains(log.String(), want) {
		t.Errorf("%s\nwant %s", log.String(), want)
	}
}

// The partition may be taken away, or be held for something else, between the
// look at it and the answer's arrival.
func TestResumeThatComesTooLate(t *testing.T) {
	gone := errNotAssigned
	for _, c := range []struct {
		name string
		err  error
		code int
		want string
	}{
		{"taken away", gone, 404, "ask the other members"},
		{"held for something else", errStuck, 409, `does not fit: the partition is held (truncated)","reason":"truncated","accepts":["gap","retry"]`},
		{"a sentence with a secret", errors.New("no " + planted), 409, `"error":"no [redacted]"`},
		{"stuck", context.DeadlineExceeded, 503, "look at it again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			b := threePartitions()
			b.meant = func(id string, _ any) {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.fails[id] = c.err
				b.list[1] = heldPartition("orders", 1, handoff.Hold{Reason: handoff.Truncated})
			}
			w := proper("/api/v1/partitions/orders/1/resume", `{"accept":"gap"}`).of(t, b, &log)
			if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) || log.Len() > 0 {
				t.Errorf("%d, want %d with %s: %s, log %q", w.Code, c.code, c.want, w.Body, log.String())
			}
		})
	}
}

// Every answer that fits some hold is known, and says what it gives up; the words
// of the help are the same.
func TestAnswersAreExplained(t *testing.T) {
	help := bridge(t, "resume", "--help").out
	words := knownAnswers()
	if !slices.Equal(words, []string{"adopt", "gap", "new-stream", "replay", "retry"}) {
		t.Errorf("answers: %q", words)
	}
	for _, w := range words {
		if !strings.Contains(help, "\n  "+w+" ") {
			t.Errorf("the help does not explain %s", w)
		}
	}
	for _, r := range handoff.Reasons() {
		for _, a := range r.Answers() {
			if text := givesUp(r, a); (a == handoff.AnswerGap) == strings.Contains(text, "gives nothing up") || !strings.Contains(text, "give") {
				t.Errorf("%s to %s: %q", a, r, text)
			}
		}
	}
}

func TestCommandsInTheLog(t *testing.T) {
	var out bytes.Buffer
	log := func(perTopicID bool) *slog.Logger {
		out.Reset()
		return slog.New(withCommands(slog.NewTextHandler(&out, nil), perTopicID)).With("topic", "orders", "partition", int32(3))
	}
	log(false).Error(heldLine, "reason", string(handoff.S2Behind), "detail", "x")
	if !strings.Contains(out.String(), `detail=x to_answer="bridge resume orders/3 --accept replay (or gap, retry)"`) {
		t.Error(out.String())
	}
	log(false).Error(heldLine, "reason", string(handoff.Recreated))
	if !strings.Contains(out.String(), `to_answer="bridge resume orders/3 --accept adopt (or retry)"`) {
		t.Error(out.String())
	}
	log(true).WithGroup("g").Error(heldLine, "reason", string(handoff.Recreated))
	if !strings.Contains(out.String(), `to_answer="bridge resume orders/3 --accept new-stream (or retry)"`) {
		t.Error(out.String())
	}
	log(false).Error("partition goes on", "reason", string(handoff.S2Behind))
	if strings.Contains(out.String(), "to_answer") {
		t.Error(out.String())
	}
}

func TestReadySaysWhatToType(t *testing.T) {
	list := threePartitions().list
	list[1].Detail = "Kafka's log begins at offset 20."
	got := holdsAmong(list)
	want := []string{
		"orders/1 is held (retention-lost): Kafka's log begins at offset 20. " + handoff.RetentionLost.Next() + " To answer: bridge resume orders/1 --accept gap (or retry)",
		"pay.ments_v-2/7 is held (rival): somebody took it over 3 times. " + handoff.Rival.Next() + " To answer: bridge resume pay.ments_v-2/7 --accept retry",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

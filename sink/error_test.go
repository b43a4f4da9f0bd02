package sink

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// judge is a client that only makes errors.
func judge(token string) *Client {
	return &Client{credentials: &credentials{token: token}}
}

func TestErrorsOfAnswers(t *testing.T) {
	type verdict struct {
		notFound, fenced, mismatch, denied, temporary bool
		outcome, text                                 string
	}
	for name, c := range map[string]struct {
		status int
		body   string
		want   verdict
	}{
		"stream": {404, `{"code":"stream_not_found","message":"stream x not found"}`,
			verdict{notFound: true, outcome: "not_found", text: `answered 404 stream_not_found: stream x not found`}},
		"basin": {404, `{"code":"basin_not_found","message":"no"}`, verdict{outcome: "not_found", text: "answered 404 basin_not_found: no"}},
		"a 404 that is not S2's": {404, "404 page not found\n",
			verdict{outcome: "not_found", text: "answered 404: 404 page not found"}},
		"fenced":               {412, `{"fencing_token_mismatch":"kb1.x"}`, verdict{fenced: true, outcome: "condition", text: `answered 412: the stream's fencing token is "kb1.x"`}},
		"fenced by none":       {412, `{"fencing_token_mismatch":""}`, verdict{fenced: true, outcome: "condition", text: `answered 412: the stream's fencing token is ""`}},
		"sequence number":      {412, `{"seq_num_mismatch":18446744073709551615}`, verdict{mismatch: true, outcome: "condition", text: "answered 412: the stream's next sequence number is 18446744073709551615"}},
		"sequence number 2^53": {412, `{"seq_num_mismatch":9007199254740993}`, verdict{mismatch: true, outcome: "condition", text: "answered 412: the stream's next sequence number is 9007199254740993"}},
		"too large a number":   {412, `{"seq_num_mismatch":18446744073709551616}`, verdict{outcome: "condition", text: `answered 412: {"seq_num_mismatch":18446744073709551616}`}},
		"a fraction":           {412, `{"seq_num_mismatch":1.0}`, verdict{outcome: "condition", text: `answered 412: {"seq_num_mismatch":1.0}`}},
		"an exponent":          {412, `{"seq_num_mismatch":1e3}`, verdict{outcome: "condition", text: `answered 412: {"seq_num_mismatch":1e3}`}},
		"negative":             {412, `{"seq_num_mismatch":-1}`, verdict{outcome: "condition", text: `answered 412: {"seq_num_mismatch":-1}`}},
		"null":                 {412, `{"seq_num_mismatch":null}`, verdict{outcome: "condition", text: `answered 412: {"seq_num_mismatch":null}`}},
		"a number as text":     {412, `{"seq_num_mismatch":"7"}`, verdict{outcome: "condition", text: `answered 412: {"seq_num_mismatch":"7"}`}},
		"both":                 {412, `{"seq_num_mismatch":7,"fencing_token_mismatch":""}`, verdict{outcome: "condition", text: `answered 412: {"seq_num_mismatch":7,"fencing_token_mismatch":""}`}},
		"more behind":          {412, `{"seq_num_mismatch":7} {}`, verdict{outcome: "condition", text: `answered 412: {"seq_num_mismatch":7} {}`}},
		"other case":           {412, `{"Seq_Num_Mismatch":7}`, verdict{outcome: "condition", text: `answered 412: {"Seq_Num_Mismatch":7}`}},
		"a 409 with a number":  {409, `{"seq_num_mismatch":7}`, verdict{outcome: "rejected", text: `answered 409: {"seq_num_mismatch":7}`}},
		"token refused":        {401, `{"code":"authn","message":"no"}`, verdict{denied: true, outcome: "denied", text: "answered 401 authn: no"}},
		"not permitted":        {403, `{"code":"permission_denied","message":"no"}`, verdict{denied: true, outcome: "denied", text: "answered 403 permission_denied: no"}},
		"throttled":            {429, `{"code":"rate_limited","message":"slow"}`, verdict{temporary: true, outcome: "throttled", text: "answered 429 rate_limited: slow"}},
		"conflict":             {409, `{"code":"transaction_conflict","message":"x"}`, verdict{temporary: true, outcome: "rejected", text: "answered 409 transaction_conflict: x"}},
		"invalid":              {422, `{"code":"invalid","message":"x"}`, verdict{outcome: "rejected", text: "answered 422 invalid: x"}},
		"not implemented":      {501, `{"code":"not_implemented","message":"x"}`, verdict{outcome: "server_error", text: "answered 501 not_implemented: x"}},
		"unavailable":          {503, `{"code":"unavailable","message":"x"}`, verdict{temporary: true, outcome: "server_error", text: "answered 503 unavailable: x"}},
		"a proxy's page":       {502, "<html>\r\n<b>Bad\x00Gateway</b>\xff", verdict{temporary: true, outcome: "server_error", text: "answered 502: <html>  <b>Bad Gateway</b>?"}},
		"nothing":              {500, "", verdict{temporary: true, outcome: "server_error", text: "answered 500"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := judge("").answered(opFence, "orders/0", c.status, nil, []byte(c.body), "")
			_, fenced := e.Fenced()
			_, mismatch := e.SeqMismatch()
			got := verdict{e.NotFound(), fenced, mismatch, e.Denied(), e.Temporary(), outcome(e), ""}
			got.text = strings.TrimPrefix(e.Error(), `S2 fence of stream "orders/0": `)
			if got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        time.Duration
	}{
		{"retry-after", "7", 7 * time.Second},
		{"retry-after-ms", "250", 250 * time.Millisecond},
		{"retry-after", "Wed, 21 Oct 2026 07:28:00 GMT", 0},
		{"retry-after", "-1", 0},
		{"retry-after", "99999999999999999999", 0},
	} {
		h := http.Header{}
		h.Set(c.name, c.value)
		e := judge("").answered(opTail, "x", 429, h, nil, "")
		if e.RetryAfter() != c.want {
			t.Errorf("%s %s: %v", c.name, c.value, e.RetryAfter())
		}
	}
}

func TestErrorTextIsShort(t *testing.T) {
	e := judge("").answered(opTail, "x", 500, nil, []byte(strings.Repeat("ü", 100_000)), "")
	if n := len(e.Error()); n > 600 || !utf8.ValidString(e.Error()) {
		t.Errorf("%d bytes: %q", n, e.Error())
	}
}

// FuzzError: any answer gives one Error that says at most one thing about what
// S2 refused, is one line of valid text without the access token, and never a
// wrong number.
func FuzzError(f *testing.F) {
	f.Add(412, `{"seq_num_mismatch":9007199254740993}`, "")
	f.Add(412, `{"fencing_token_mismatch":"kb1.abcdefgh.1.0123456789"}`, "")
	f.Add(412, `{"seq_num_mismatch":1,"seq_num_mismatch":2}`, "")
	f.Add(404, `{"code":"stream_not_found","message":"planted-token"}`, "")
	f.Add(401, `planted-token`, "7")
	f.Add(503, "\xff\x00\u2028", "x")
	f.Add(0, "", "")
	f.Add(-7, `{"code":7}`, "")
	const secret = "planted-token"
	f.Fuzz(func(t *testing.T, status int, body, retryAfter string) {
		h := http.Header{"Retry-After": {retryAfter}}
		e := judge(secret).answered(opFence, "orders/0", status, h, []byte(body), secret)
		_, fenced := e.Fenced()
		seq, mismatch := e.SeqMismatch()
		said := 0
		for _, is := range []bool{e.NotFound(), fenced, mismatch, e.Denied()} {
			if is {
				said++
			}
		}
		if said > 1 {
			t.Fatalf("%d %q: says %d things", status, body, said)
		}
		if (fenced || mismatch) && status != 412 || e.Denied() && status != 401 && status != 403 {
			t.Fatalf("%d %q: a wrong kind", status, body)
		}
		if mismatch {
			// Exactly the digits of the answer, as another decoder sees them.
			var raw map[string]json.RawMessage
			if err := json.Unmarshal([]byte(body), &raw); err != nil || string(raw["seq_num_mismatch"]) != strconv.FormatUint(seq, 10) {
				t.Fatalf("%q was read as %d", body, seq)
			}
		}
		text := e.Error()
		if strings.Contains(text, secret) || !utf8.ValidString(text) || strings.ContainsAny(text, "\n\r\x00\u2028") || len(text) > 3*maxErrorText {
			t.Fatalf("%d %q: the text is %q", status, body, text)
		}
		if e.RetryAfter() < 0 || outcome(e) == "ok" {
			t.Fatalf("%d %q: %v, %s", status, body, e.RetryAfter(), outcome(e))
		}
		var again *Error
		if !errors.As(error(e), &again) || again != e {
			t.Fatal("not an *Error")
		}
	})
}

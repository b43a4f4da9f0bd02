package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// peer is a server as one case sees it.
type peer struct {
	ctx     context.Context
	cancel  context.CancelFunc
	url     string
	http    *http.Client
	version string
	basin   string
	name    string // the case's stream
}

// reply is a whole response.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) String() string { return fmt.Sprintf("%d %s", r.status, r.body) }

// do sends a request with header pairs. The basin's header is added unless the
// pairs name it; a value "-" leaves a header out.
func (p *peer) do(t *testing.T, method, path, body string, header ...string) reply {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(p.ctx, method, p.url+path, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("s2-basin", p.basin)
	for i := 0; i < len(header); i += 2 {
		if header[i+1] == "-" {
			req.Header.Del(header[i])
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := p.http.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: body: %v", method, path, err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

func (p *peer) get(t *testing.T, path string, header ...string) reply {
	t.Helper()
	return p.do(t, http.MethodGet, path, "", header...)
}

func (p *peer) post(t *testing.T, path, body string, header ...string) reply {
	t.Helper()
	return p.do(t, http.MethodPost, path, body, append([]string{"Content-Type", "application/json"}, header...)...)
}

// stream is the path of a stream.
func stream(name string) string { return "/v1/streams/" + url.PathEscape(name) }

// create makes a stream; config is JSON, empty for none.
func (p *peer) create(t *testing.T, name, config string) reply {
	t.Helper()
	body := fmt.Sprintf(`{"stream":%q}`, name)
	if config != "" {
		body = fmt.Sprintf(`{"stream":%q,"config":%s}`, name, config)
	}
	r := p.post(t, "/v1/streams", body)
	if r.status != http.StatusCreated {
		t.Fatalf("create %s: %v", name, r)
	}
	return r
}

// append sends a JSON batch to the case's stream.
func (p *peer) append(t *testing.T, body string, header ...string) reply {
	t.Helper()
	return p.post(t, stream(p.name)+"/records", body, header...)
}

// fill appends one record for each body, in one batch.
func (p *peer) fill(t *testing.T, bodies ...string) {
	t.Helper()
	var list []string
	for _, b := range bodies {
		list = append(list, fmt.Sprintf(`{"body":%q}`, b))
	}
	if r := p.append(t, `{"records":[`+strings.Join(list, ",")+`]}`); r.status != http.StatusOK {
		t.Fatalf("fill: %v", r)
	}
}

// read reads the case's stream with a query, in JSON.
func (p *peer) read(t *testing.T, query string, header ...string) reply {
	t.Helper()
	return p.get(t, stream(p.name)+"/records?"+query, header...)
}

// position and the following are the JSON of the API.
type position struct {
	Seq       uint64 `json:"seq_num"`
	Timestamp uint64 `json:"timestamp"`
}

type ack struct {
	Start, End, Tail position
}

type page struct {
	Records []struct {
		position
		Headers [][2]string `json:"headers"`
		Body    string      `json:"body"`
	} `json:"records"`
	Tail *position `json:"tail"`
}

// tail asks for the tail's sequence number.
func (p *peer) tail(t *testing.T) uint64 {
	t.Helper()
	r := p.get(t, stream(p.name)+"/records/tail")
	var body struct{ Tail position }
	want(t, r, http.StatusOK, &body)
	return body.Tail.Seq
}

// wantTail checks the tail's sequence number.
func (p *peer) wantTail(t *testing.T, seq uint64) {
	t.Helper()
	if got := p.tail(t); got != seq {
		t.Fatalf("tail is %d, want %d", got, seq)
	}
}

// want checks the status and decodes the body.
func want(t *testing.T, r reply, status int, body any) {
	t.Helper()
	if r.status != status {
		t.Fatalf("answer %v, want status %d", r, status)
	}
	if body == nil {
		return
	}
	if err := json.Unmarshal([]byte(r.body), body); err != nil {
		t.Fatalf("answer %v: %v", r, err)
	}
}

// wantBody checks status and body to the letter.
func wantBody(t *testing.T, r reply, status int, body string) {
	t.Helper()
	if r.status != status || r.body != body {
		t.Fatalf("answer %v, want %d %s", r, status, body)
	}
}

// wantCode checks a refusal; an empty message stands for any.
func wantCode(t *testing.T, r reply, status int, code, message string) {
	t.Helper()
	var got struct{ Code, Message string }
	want(t, r, status, &got)
	if got.Code != code || got.Message == "" || message != "" && got.Message != message {
		t.Fatalf("answer %v, want %s %q", r, code, message)
	}
	if kind := r.header.Get("Content-Type"); kind != "" && kind != "application/json" {
		t.Fatalf("content type of a refusal: %s", kind)
	}
}

// wantAck checks an ack's sequence numbers.
func wantAck(t *testing.T, r reply, start, end, tail uint64) ack {
	t.Helper()
	var a ack
	want(t, r, http.StatusOK, &a)
	if a.Start.Seq != start || a.End.Seq != end || a.Tail.Seq != tail {
		t.Fatalf("ack %+v, want %d to %d, tail %d", a, start, end, tail)
	}
	return a
}

// wantPage checks what a read returned as "seq:body" words.
func wantPage(t *testing.T, r reply, records string) page {
	t.Helper()
	var got page
	want(t, r, http.StatusOK, &got)
	if s := words(got); s != records {
		t.Fatalf("read returned %q, want %q", s, records)
	}
	return got
}

func words(p page) string {
	var w []string
	for _, r := range p.Records {
		w = append(w, fmt.Sprintf("%d:%s", r.Seq, r.Body))
	}
	return strings.Join(w, " ")
}

// want416 checks the refusal of a read beyond the tail.
func want416(t *testing.T, r reply, tail uint64) {
	t.Helper()
	var body struct{ Tail *position }
	want(t, r, http.StatusRequestedRangeNotSatisfiable, &body)
	if body.Tail == nil || body.Tail.Seq != tail {
		t.Fatalf("answer %v, want tail %d", r, tail)
	}
}

package s2mem_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"kafka-s2-bridge/tests/s2mem"
)

// client talks to a server with plain requests.
type client struct {
	url  string
	http *http.Client
	tr   *http.Transport
}

// dial makes a client of one version of HTTP: "http1" or "h2c".
func dial(t testing.TB, srv *s2mem.Server, version string) *client {
	t.Helper()
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(version == "http1")
	tr.Protocols.SetUnencryptedHTTP2(version == "h2c")
	t.Cleanup(tr.CloseIdleConnections)
	return &client{srv.URL(), &http.Client{Transport: tr}, tr}
}

// limit bounds a test in real time.
func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// do sends a request and reads the whole answer.
func (c *client) do(ctx context.Context, method, path, body string, header ...string) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("s2-basin", s2mem.DefaultBasin)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// append appends one record with a body to stream "s".
func (c *client) append(ctx context.Context, body string) (status int, answer string, err error) {
	return c.do(ctx, "POST", "/v1/streams/s/records", fmt.Sprintf(`{"records":[{"body":%q}]}`, body))
}

// must is an answer that has to be 2xx.
func (c *client) must(t *testing.T, method, path, body string) string {
	t.Helper()
	status, answer, err := c.do(limit(t), method, path, body)
	if err != nil || status/100 != 2 {
		t.Fatalf("%s %s: %d %s %v", method, path, status, answer, err)
	}
	return answer
}

// exchange is an append session.
type exchange struct {
	w      *io.PipeWriter
	resp   *http.Response
	r      *bufio.Reader
	cancel context.CancelFunc
}

// open opens a session on stream "s"; the answer may be a refusal.
func (c *client) open(ctx context.Context) (*exchange, error) {
	ctx, cancel := context.WithCancel(ctx)
	pr, pw := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, "POST", c.url+"/v1/streams/s/records", pr)
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("s2-basin", s2mem.DefaultBasin)
	req.Header.Set("Content-Type", "s2s/proto")
	resp, err := c.http.Do(req) //nolint:bodyclose // the session that is returned closes it
	if err != nil {
		cancel()
		return nil, err
	}
	return &exchange{pw, resp, bufio.NewReader(resp.Body), cancel}, nil
}

// session opens a session that must be accepted; it is cancelled with the test.
func (c *client) session(t *testing.T) *exchange {
	t.Helper()
	x, err := c.open(limit(t))
	if err != nil || x.resp.StatusCode != http.StatusOK {
		t.Fatalf("open session: %v", err)
	}
	t.Cleanup(x.end)
	return x
}

func (x *exchange) end() {
	x.cancel()
	x.w.Close()
	x.resp.Body.Close()
}

// frame is a batch of one record, conditional on match unless it is negative,
// and on a token unless it is empty.
func frame(body string, match int, token string) []byte {
	rec := protowire.AppendTag(nil, 3, protowire.BytesType)
	rec = protowire.AppendString(rec, body)
	b := protowire.AppendTag(nil, 1, protowire.BytesType)
	b = protowire.AppendBytes(b, rec)
	if match >= 0 {
		b = protowire.AppendTag(b, 2, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(match))
	}
	if token != "" {
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		b = protowire.AppendString(b, token)
	}
	n := len(b) + 1
	return append([]byte{byte(n >> 16), byte(n >> 8), byte(n), 0}, b...)
}

// send writes a batch for each body; the sequence numbers go on from first.
func (x *exchange) send(first int, bodies ...string) {
	var all []byte
	for i, b := range bodies {
		all = append(all, frame(b, first+i, "")...)
	}
	x.w.Write(all) // an error shows in what is read
}

// next reads a frame as text: "ack 0-1", "ack 0-1 flag 10", "end 412 {...}",
// "eof", or "error".
func (x *exchange) next() string {
	head := make([]byte, 4)
	if _, err := io.ReadFull(x.r, head); err == io.EOF {
		return "eof"
	} else if err != nil {
		return "error"
	}
	b := make([]byte, int(head[0])<<16+int(head[1])<<8+int(head[2])-1)
	if _, err := io.ReadFull(x.r, b); err != nil {
		return "error"
	}
	if head[3]&0x80 != 0 {
		return fmt.Sprintf("end %d %s", binary.BigEndian.Uint16(b), b[2:])
	}
	var seq [4]uint64
	for len(b) > 0 {
		num, _, n := protowire.ConsumeTag(b)
		msg, m := protowire.ConsumeBytes(b[n:])
		if _, _, k := protowire.ConsumeTag(msg); k > 0 && msg[0] == 0x08 {
			seq[num], _ = protowire.ConsumeVarint(msg[k:])
		}
		b = b[n+m:]
	}
	if head[3] != 0 {
		return fmt.Sprintf("ack %d-%d flag %x", seq[1], seq[2], head[3])
	}
	return fmt.Sprintf("ack %d-%d", seq[1], seq[2])
}

// all reads frames until the end or an error.
func (x *exchange) all() string {
	var out []string
	for {
		f := x.next()
		out = append(out, f)
		if f == "eof" || f == "error" {
			return strings.Join(out, ", ")
		}
	}
}

// bodies are the stream's records as one word.
func bodies(srv *s2mem.Server, stream string) string {
	var out []string
	for _, r := range srv.Records(stream) {
		out = append(out, string(r.Body))
	}
	return strings.Join(out, " ")
}

// versions runs a test in both versions of HTTP, each with a server of its own
// that has stream "s".
func versions(t *testing.T, o s2mem.Options, test func(*testing.T, *s2mem.Server, *client)) {
	t.Helper()
	for _, v := range []string{"http1", "h2c"} {
		t.Run(v, func(t *testing.T) { version(t, v, o, test) })
	}
}

// version runs a test over one version of HTTP.
func version(t *testing.T, v string, o s2mem.Options, test func(*testing.T, *s2mem.Server, *client)) {
	t.Helper()
	srv := s2mem.Start(t, o)
	srv.Create("s")
	test(t, srv, dial(t, srv, v))
}

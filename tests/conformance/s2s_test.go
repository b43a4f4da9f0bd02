package conformance

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// rec is a record to append.
type rec struct {
	timestamp *uint64
	headers   [][2]string
	body      string
}

func (r rec) encode() (b []byte) {
	if r.timestamp != nil {
		b = protowire.AppendTag(b, 1, protowire.VarintType)
		b = protowire.AppendVarint(b, *r.timestamp)
	}
	for _, h := range r.headers {
		var m []byte
		m = protowire.AppendTag(m, 1, protowire.BytesType)
		m = protowire.AppendString(m, h[0])
		m = protowire.AppendTag(m, 2, protowire.BytesType)
		m = protowire.AppendString(m, h[1])
		b = protowire.AppendTag(b, 2, protowire.BytesType)
		b = protowire.AppendBytes(b, m)
	}
	b = protowire.AppendTag(b, 3, protowire.BytesType)
	return protowire.AppendString(b, r.body)
}

func fence(token string) rec { return rec{headers: [][2]string{{"", "fence"}}, body: token} }

func trim(seq uint64) rec {
	return rec{headers: [][2]string{{"", "trim"}}, body: string(binary.BigEndian.AppendUint64(nil, seq))}
}

// batch is an append.
type batch struct {
	records []rec
	match   *uint64
	token   *string
}

func one(body string) batch { return batch{records: []rec{{body: body}}} }

func (b batch) at(seq uint64) batch     { b.match = &seq; return b }
func (b batch) with(token string) batch { b.token = &token; return b }

func (b batch) encode() (out []byte) {
	for _, r := range b.records {
		out = protowire.AppendTag(out, 1, protowire.BytesType)
		out = protowire.AppendBytes(out, r.encode())
	}
	if b.match != nil {
		out = protowire.AppendTag(out, 2, protowire.VarintType)
		out = protowire.AppendVarint(out, *b.match)
	}
	if b.token != nil {
		out = protowire.AppendTag(out, 3, protowire.BytesType)
		out = protowire.AppendString(out, *b.token)
	}
	return out
}

// proto sends a batch in a unary append and reads the answer in protobuf.
func (p *peer) proto(t *testing.T, b batch) reply {
	t.Helper()
	return p.post(t, stream(p.name)+"/records", string(b.encode()), "Content-Type", "application/protobuf", "Accept", "application/protobuf")
}

// fields decodes one level of a message: numbers and bytes by field number.
func fields(t *testing.T, b []byte) (nums map[int]uint64, msgs map[int][][]byte) {
	t.Helper()
	nums, msgs = map[int]uint64{}, map[int][][]byte{}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatalf("answer is not protobuf: %x", b)
		}
		b = b[n:]
		switch typ {
		case protowire.VarintType:
			nums[int(num)], n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			var v []byte
			v, n = protowire.ConsumeBytes(b)
			msgs[int(num)] = append(msgs[int(num)], v)
		default:
			t.Fatalf("answer has wire type %d", typ)
		}
		if n < 0 {
			t.Fatalf("answer is not protobuf: %x", b)
		}
		b = b[n:]
	}
	return nums, msgs
}

func decodePosition(t *testing.T, b []byte) position {
	t.Helper()
	nums, _ := fields(t, b)
	return position{nums[1], nums[2]}
}

func decodeAck(t *testing.T, b []byte) ack {
	t.Helper()
	_, msgs := fields(t, b)
	if len(msgs[1]) != 1 || len(msgs[2]) != 1 || len(msgs[3]) != 1 {
		t.Fatalf("ack without its three positions: %x", b)
	}
	return ack{decodePosition(t, msgs[1][0]), decodePosition(t, msgs[2][0]), decodePosition(t, msgs[3][0])}
}

// stored is a record as read in protobuf.
type stored struct {
	position
	headers [][2]string
	body    string
}

func decodeBatch(t *testing.T, b []byte) (records []stored, tail *position) {
	t.Helper()
	_, msgs := fields(t, b)
	for _, m := range msgs[1] {
		nums, parts := fields(t, m)
		r := stored{position: position{nums[1], nums[2]}}
		for _, h := range parts[3] {
			_, pair := fields(t, h)
			r.headers = append(r.headers, [2]string{string(first(pair[1])), string(first(pair[2]))})
		}
		r.body = string(first(parts[4]))
		records = append(records, r)
	}
	if m := msgs[2]; len(m) > 0 {
		at := decodePosition(t, m[0])
		tail = &at
	}
	return records, tail
}

func first(b [][]byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b[0]
}

// session is an open S2S exchange.
type session struct {
	w    *io.PipeWriter // nil for reads
	resp *http.Response
	r    *bufio.Reader
}

// open opens an append session on the case's stream.
func (p *peer) open(t *testing.T, header ...string) *session {
	t.Helper()
	pr, pw := io.Pipe()
	s := p.exchange(t, http.MethodPost, stream(p.name)+"/records", pr, header...)
	s.w = pw
	t.Cleanup(func() { pw.Close() })
	return s
}

// follow opens a read session on the case's stream.
func (p *peer) follow(t *testing.T, query string) *session {
	t.Helper()
	return p.exchange(t, http.MethodGet, stream(p.name)+"/records?"+query, nil)
}

func (p *peer) exchange(t *testing.T, method, path string, body io.Reader, header ...string) *session {
	t.Helper()
	req, err := http.NewRequestWithContext(p.ctx, method, p.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("s2-basin", p.basin)
	req.Header.Set("Content-Type", "s2s/proto")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := p.http.Do(req)
	if err != nil {
		t.Fatalf("open session: %v", err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode == http.StatusOK && resp.Header.Get("Content-Type") != "s2s/proto" {
		t.Fatalf("content type of a session: %s", resp.Header.Get("Content-Type"))
	}
	return &session{resp: resp, r: bufio.NewReader(resp.Body)}
}

// frame is a frame with the given flag.
func frame(flag byte, payload []byte) []byte {
	n := len(payload) + 1
	return append([]byte{byte(n >> 16), byte(n >> 8), byte(n), flag}, payload...)
}

// send writes batches; an error of writing is left to the reading.
func (s *session) send(batches ...batch) {
	var all []byte
	for _, b := range batches {
		all = append(all, frame(0, b.encode())...)
	}
	s.w.Write(all)
}

// next reads a frame; nil at the clean end.
func (s *session) next(t *testing.T) (flag byte, payload []byte) {
	t.Helper()
	head := make([]byte, 4)
	if _, err := io.ReadFull(s.r, head); err == io.EOF {
		return 0, nil
	} else if err != nil {
		t.Fatalf("read frame: %v", err)
	}
	payload = make([]byte, int(head[0])<<16+int(head[1])<<8+int(head[2])-1)
	if _, err := io.ReadFull(s.r, payload); err != nil {
		t.Fatalf("read frame: %v", err)
	}
	return head[3], payload
}

// wantAck reads an ack and checks its sequence numbers.
func (s *session) wantAck(t *testing.T, start, end uint64) ack {
	t.Helper()
	flag, payload := s.next(t)
	if payload == nil || flag != 0 {
		t.Fatalf("frame with flag %#x %q, want the ack of %d", flag, payload, start)
	}
	a := decodeAck(t, payload)
	if a.Start.Seq != start || a.End.Seq != end || a.Tail.Seq < end {
		t.Fatalf("ack %+v, want %d to %d", a, start, end)
	}
	return a
}

// wantEnd reads the terminal frame and the clean end behind it. body is exact,
// or the code of a refusal.
func (s *session) wantEnd(t *testing.T, status int, body string) {
	t.Helper()
	flag, payload := s.next(t)
	if flag != 0x80 || len(payload) < 2 {
		t.Fatalf("frame with flag %#x %q, want a terminal one", flag, payload)
	}
	got := fmt.Sprintf("%d %s", binary.BigEndian.Uint16(payload), payload[2:])
	ok := got == fmt.Sprintf("%d %s", status, body)
	if !strings.HasPrefix(body, "{") {
		var code struct{ Code, Message string }
		json.Unmarshal(payload[2:], &code)
		ok = int(binary.BigEndian.Uint16(payload)) == status && code.Code == body && code.Message != ""
	}
	if !ok {
		t.Fatalf("terminal frame %s, want %d %s", got, status, body)
	}
	s.wantEOF(t)
}

func (s *session) wantEOF(t *testing.T) {
	t.Helper()
	if flag, payload := s.next(t); payload != nil {
		t.Fatalf("frame with flag %#x %q behind the end", flag, payload)
	}
}

// refused reads the answer of a session that was not opened.
func (s *session) refused(t *testing.T) reply {
	t.Helper()
	b, err := io.ReadAll(s.r)
	if err != nil {
		t.Fatal(err)
	}
	return reply{s.resp.StatusCode, s.resp.Header, string(b)}
}

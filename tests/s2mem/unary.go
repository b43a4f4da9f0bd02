package s2mem

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

type tailJSON struct {
	Tail Position `json:"tail"`
}

func (s *Server) checkTail(r *http.Request, to target) answer {
	st, no := s.openStream(r, to, createsOnRead)
	if no != nil {
		return no.answer()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return okJSON(tailJSON{st.stable})
}

// appendUnary appends one batch.
func (s *Server) appendUnary(w http.ResponseWriter, r *http.Request, segment string) {
	to, no := targetOf(r, segment)
	var in *input
	if no == nil {
		in, no = unaryInput(r)
	}
	if no != nil {
		no.answer().write(w)
		return
	}
	c := Call{Op: OpAppend, Basin: to.basin, Stream: to.stream}
	c.carry(in)
	s.perform(w, r, c, func(f *fault) answer {
		a, no := s.appendOne(r, to, in, f)
		if no != nil {
			return no.answer()
		}
		if is(r.Header.Get("Accept"), mimeProto) {
			return answer{status: http.StatusOK, kind: mimeProto, body: a.proto(nil)}
		}
		return okJSON(a)
	})
}

// carry makes the call about a batch.
func (c *Call) carry(in *input) {
	c.in = in
	if in.asks() {
		c.Op = OpAsk
	}
	if in.hasMatch {
		c.Match = &in.match
	}
	if in.hasToken {
		c.Token = &in.token
	}
}

// appendOne applies a batch and waits until it is durable. A client that has
// given up does not undo it.
func (s *Server) appendOne(r *http.Request, to target, in *input, f *fault) (ack, *refusal) {
	st, no := s.openStream(r, to, createsOnAppend)
	if no != nil {
		return ack{}, no
	}
	s.mu.Lock()
	start, end, dep, no := st.accept(in, Append{Basin: to.basin, Stream: to.stream}, f)
	s.mu.Unlock()
	tail, gone := s.durable(st, dep, r.Context().Done())
	if no == nil {
		no = gone
	}
	return f.shift(ack{start, end, tail}), no
}

// shift makes an ack wrong, if the fault says so.
func (f *fault) shift(a ack) ack {
	if f != nil && f.Do == WrongAck {
		a.Start.Seq += uint64(f.ShiftStart)
		a.End.Seq += uint64(f.ShiftEnd)
	}
	return a
}

// unaryInput reads the batch of a unary append.
func unaryInput(r *http.Request) (*input, *refusal) {
	if is(r.Header.Get("Content-Type"), mimeProto) {
		body, no := readBody(r, "bad_proto")
		if no != nil {
			return nil, no
		}
		in := new(input)
		no, err := in.decode(body)
		if err != nil {
			return nil, refuse("bad_proto", "%v", err)
		}
		return in, no
	}
	plain, no := formatOf(r)
	if no != nil {
		return nil, no
	}
	body, no := jsonBody(r)
	if no != nil {
		return nil, no
	}
	return jsonInput(body, plain)
}

// formatOf reads s2-format: whether the text in JSON is the bytes themselves
// (raw), or base64 of them.
func formatOf(r *http.Request) (raw bool, no *refusal) {
	switch v := r.Header.Get("s2-format"); v {
	case "", "raw", "json":
		return true, nil
	case "base64", "json-binsafe":
		return false, nil
	default:
		return false, refuse("bad_header", "Invalid header `s2-format`: %s", v)
	}
}

// text and headerList decode more strictly than encoding/json: no null, and
// exactly two parts to a header.
type (
	text       string
	headerList [][2]text
)

func (t *text) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return errors.New("invalid type: null, expected a string")
	}
	return json.Unmarshal(b, (*string)(t))
}

func (l *headerList) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return errors.New("invalid type: null, expected a sequence")
	}
	var pairs [][]text
	if err := json.Unmarshal(b, &pairs); err != nil {
		return err
	}
	for _, p := range pairs {
		if len(p) != 2 {
			return fmt.Errorf("invalid length %d, expected tuple struct Header with 2 elements", len(p))
		}
		*l = append(*l, [2]text(p))
	}
	return nil
}

func jsonInput(body []byte, raw bool) (*input, *refusal) {
	var req struct {
		Records *[]struct {
			Timestamp *uint64    `json:"timestamp"`
			Headers   headerList `json:"headers"`
			Body      text       `json:"body"`
		} `json:"records"`
		Match *uint64 `json:"match_seq_num"`
		Token *string `json:"fencing_token"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, refuse("bad_json", "%v", err)
	}
	switch {
	case req.Records == nil:
		return nil, refuse("bad_json", "missing field `records`")
	case req.Token != nil && len(*req.Token) > MaxTokenBytes:
		return nil, refuse("bad_json", "fencing token must not exceed %d bytes in length", MaxTokenBytes)
	}
	in := new(input)
	if req.Match != nil {
		in.match, in.hasMatch = *req.Match, true
	}
	if req.Token != nil {
		in.token, in.hasToken = *req.Token, true
	}
	var bad bool
	decode := func(s text) []byte {
		if raw {
			return []byte(s)
		}
		b, err := base64.StdEncoding.Strict().DecodeString(string(s))
		bad = bad || err != nil
		return b
	}
	for _, r := range *req.Records {
		out := inputRecord{body: decode(r.Body)}
		for _, h := range r.Headers {
			out.headers = append(out.headers, Header{decode(h[0]), decode(h[1])})
		}
		if bad {
			return nil, refuse("invalid", "invalid Base64 encoding")
		}
		if r.Timestamp != nil {
			out.timestamp, out.hasTimestamp = *r.Timestamp, true
		}
		if no := checkRecord(out.headers, out.body); no != nil {
			return nil, no
		}
		in.metered += metered(out.headers, out.body)
		in.records = append(in.records, out)
	}
	return in, in.check()
}

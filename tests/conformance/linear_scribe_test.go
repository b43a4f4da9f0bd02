package conformance

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/protobuf/encoding/protowire"
)

// scribe records one history: what each client asked and was told, and when.
type scribe struct {
	*peer
	ctx   context.Context
	began time.Time

	mu      sync.Mutex
	history []porcupine.Operation
	known   uint64 // the highest tail that anybody was told
	tokens  []string
	failed  error
}

// record lets the clients loose on a new stream.
func record(ctx context.Context, p *peer, name string, seed uint64) ([]porcupine.Operation, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	own := *p
	own.name = name
	s := &scribe{peer: &own, ctx: ctx, began: time.Now(), tokens: []string{""}}
	if status, body, err := s.ask(ctx, http.MethodPost, "/v1/streams", fmt.Sprintf(`{"stream":%q}`, name), "application/json"); err != nil || status != http.StatusCreated {
		return nil, fmt.Errorf("create: %d %s %w", status, body, err)
	}
	var all sync.WaitGroup
	for client := range linearPeers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(client)))
			for round := 0; round < linearRounds; {
				round += s.turn(rng, client, fmt.Sprintf("%d.%d", client, round))
			}
		})
	}
	all.Wait()
	return s.history, s.failed
}

// turn is one or a few calls of a client; it returns how many.
func (s *scribe) turn(rng *rand.Rand, client int, body string) int {
	switch p := rng.IntN(20); {
	case p < 2:
		s.one(client, call{kind: callTail}, s.tail)
	case p < 5:
		s.one(client, call{kind: callRead}, s.read)
	case p < 8:
		calls := make([]call, 2+rng.IntN(3))
		for i := range calls {
			calls[i] = s.anAppend(rng, fmt.Sprintf("%s.%d", body, i))
			if first := calls[0].batch.match; i > 0 && first != nil && calls[i].batch.match != nil {
				*calls[i].batch.match = *first + uint64(i) // as one who is alone would reckon
			}
		}
		s.session(client, calls)
		return len(calls)
	case p < 9:
		c := s.anAppend(rng, body)
		s.one(client, c, func(ctx context.Context) (result, error) { // a client that gives up
			ctx, cancel := context.WithTimeout(ctx, time.Duration(rng.IntN(1500))*time.Microsecond)
			defer cancel()
			r, err := s.unary(ctx, c)
			if err != nil && s.ctx.Err() == nil {
				return result{kind: unknown}, nil
			}
			return r, err
		})
	default:
		c := s.anAppend(rng, body)
		s.one(client, c, func(ctx context.Context) (result, error) { return s.unary(ctx, c) })
	}
	return 1
}

// anAppend is a random one: with or without number and token, sometimes a fence.
func (s *scribe) anAppend(rng *rand.Rand, body string) call {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := call{batch: batch{records: []rec{{body: body}}}}
	if rng.IntN(4) == 0 {
		c.batch.records = append(c.batch.records, rec{body: body + "+"})
	}
	if rng.IntN(2) == 0 {
		c.batch = c.batch.at(s.known + uint64(rng.IntN(6)/5))
	}
	if rng.IntN(2) == 0 {
		c.batch = c.batch.with(s.tokens[max(0, len(s.tokens)-1-rng.IntN(2))])
	}
	if rng.IntN(5) == 0 {
		token := "token " + body
		c.batch.records, c.set = []rec{fence(token)}, &token
		s.tokens = append(s.tokens, token)
	}
	return c
}

func (s *scribe) now() int64 { return time.Since(s.began).Nanoseconds() }

// one makes a call and writes it down.
func (s *scribe) one(client int, c call, do func(context.Context) (result, error)) {
	at := s.now()
	r, err := do(s.ctx)
	s.write(client, c, at, r, err)
}

func (s *scribe) write(client int, c call, at int64, r result, err error) {
	back := s.now()
	if r.kind == unknown {
		back = math.MaxInt64 // it may still come
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed = errors.Join(s.failed, err)
		return
	}
	if r.kind == done {
		s.known = max(s.known, r.end)
	}
	s.history = append(s.history, porcupine.Operation{ClientId: client, Input: c, Call: at, Output: r, Return: back})
}

// ask makes a request; it may be used by any goroutine.
func (s *scribe) ask(ctx context.Context, method, path, body, kind string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("s2-basin", s.basin)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, b, err
}

func (s *scribe) tail(ctx context.Context) (result, error) {
	var body struct{ Tail position }
	status, b, err := s.ask(ctx, http.MethodGet, stream(s.name)+"/records/tail", "", "")
	if err == nil && status == http.StatusOK {
		err = json.Unmarshal(b, &body)
	}
	return result{end: body.Tail.Seq}, unless(err, status, b, http.StatusOK)
}

func (s *scribe) read(ctx context.Context) (result, error) {
	status, b, err := s.ask(ctx, http.MethodGet, stream(s.name)+"/records?seq_num=0&count=1000", "", "")
	if err == nil && status == http.StatusRequestedRangeNotSatisfiable {
		return result{}, nil // nothing is there
	}
	var got page
	if err == nil && status == http.StatusOK {
		err = json.Unmarshal(b, &got)
	}
	r := result{end: uint64(len(got.Records))}
	for i, rec := range got.Records {
		if rec.Seq != uint64(i) {
			return r, fmt.Errorf("record %d was read behind %d", rec.Seq, i-1)
		}
		r.digest = chain(r.digest, len(rec.Headers) > 0, rec.Body)
	}
	return r, unless(err, status, b, http.StatusOK)
}

func (s *scribe) unary(ctx context.Context, c call) (result, error) {
	status, b, err := s.ask(ctx, http.MethodPost, stream(s.name)+"/records", string(c.batch.encode()), "application/protobuf")
	if err != nil {
		return result{}, err
	}
	if status == http.StatusPreconditionFailed {
		return refusedFor(b)
	}
	var a ack
	if status == http.StatusOK {
		err = json.Unmarshal(b, &a)
	}
	return result{start: a.Start.Seq, end: a.End.Seq}, unless(err, status, b, http.StatusOK)
}

// refusedFor reads the body of a 412.
func refusedFor(b []byte) (result, error) {
	var why struct {
		Token  *string `json:"fencing_token_mismatch"`
		Number *uint64 `json:"seq_num_mismatch"`
	}
	err := json.Unmarshal(b, &why)
	switch {
	case err != nil || (why.Token == nil) == (why.Number == nil):
		return result{}, fmt.Errorf("a 412 that says %s", b)
	case why.Token != nil:
		return result{kind: wrongToken, token: *why.Token}, nil
	}
	return result{kind: wrongNumber, start: *why.Number}, nil
}

// session sends batches in one append session, without waiting in between.
func (s *scribe) session(client int, calls []call) {
	var frames []byte
	for _, c := range calls {
		frames = append(frames, frame(0, c.batch.encode())...)
	}
	at := s.now()
	results, err := s.exchange(frames, len(calls))
	for i, c := range calls {
		r := result{kind: neverApplied}
		if i < len(results) {
			r = results[i]
		}
		s.write(client, c, at, r, err)
	}
}

// exchange returns the acks, and the refusal that ended them.
func (s *scribe) exchange(frames []byte, want int) (results []result, err error) {
	status, b, err := s.ask(s.ctx, http.MethodPost, stream(s.name)+"/records", string(frames), "s2s/proto")
	if err := unless(err, status, b, http.StatusOK); err != nil {
		return nil, err
	}
	for len(b) >= 4 {
		n := 3 + int(b[0])<<16 + int(b[1])<<8 + int(b[2])
		if n < 4 || n > len(b) {
			break
		}
		flag, payload := b[3], b[4:n]
		b = b[n:]
		if flag&0x80 != 0 {
			if binary.BigEndian.Uint16(payload) != http.StatusPreconditionFailed {
				return nil, fmt.Errorf("session ended with %x", payload)
			}
			r, err := refusedFor(payload[2:])
			return append(results, r), err
		}
		a, err := ackOf(payload)
		if err != nil {
			return nil, err
		}
		results = append(results, result{start: a.Start.Seq, end: a.End.Seq})
	}
	if len(results) != want || len(b) > 0 {
		return nil, fmt.Errorf("%d batches, %d acks and then %x", want, len(results), b)
	}
	return results, nil
}

// ackOf decodes an ack without a test to end.
func ackOf(b []byte) (a ack, err error) {
	positions := map[protowire.Number]*position{1: &a.Start, 2: &a.End, 3: &a.Tail}
	for len(b) > 0 {
		num, _, n := protowire.ConsumeTag(b)
		if n < 0 {
			return a, fmt.Errorf("ack: %w", protowire.ParseError(n))
		}
		inner, m := protowire.ConsumeBytes(b[n:])
		if m < 0 || positions[num] == nil {
			return a, fmt.Errorf("ack with %x", b)
		}
		if tag, _, k := protowire.ConsumeTag(inner); k > 0 && tag == 1 {
			positions[num].Seq, _ = protowire.ConsumeVarint(inner[k:])
		}
		b = b[n+m:]
	}
	return a, nil
}

func unless(err error, status int, body []byte, want int) error {
	if err == nil && status != want {
		return fmt.Errorf("answer %d %s", status, body)
	}
	return err
}

package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/s2-streamstore/s2-sdk-go/s2"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/s2mem"
)

// spoiled is a stream of a finished round, to be spoiled.
type spoiled []oracle.Stored

// find is the index of the first data record for which is says yes; -1: none.
func (p spoiled) find(is func(*oracle.Record) bool) int {
	return slices.IndexFunc(p, func(s oracle.Stored) bool {
		it := oracle.Decode(s)
		return it.Kind == oracle.Data && !it.Chunked && is(&it.Record)
	})
}

// alter changes the first record for which is says yes, as a bridge would have
// written it that took it for another one.
func alter(is func(*oracle.Record) bool, change func(*oracle.Record)) func(*testing.T, *round, spoiled) spoiled {
	return func(t *testing.T, _ *round, p spoiled) spoiled {
		i := p.find(is)
		if i < 0 {
			t.Fatal("no such record: another seed is needed")
		}
		it := oracle.Decode(p[i])
		change(&it.Record)
		parts, err := oracle.Encode(it.Record)
		if err != nil || len(parts) != 1 {
			t.Fatal(len(parts), err)
		}
		parts[0].Timestamp = p[i].Timestamp
		p[i] = parts[0]
		return p
	}
}

// chunk is the index of the first chunk that is neither first nor last.
func chunk(t *testing.T, p spoiled) int {
	t.Helper()
	i := slices.IndexFunc(p, func(s oracle.Stored) bool {
		it := oracle.Decode(s)
		return it.Kind == oracle.Data && it.Chunked && it.Index == 0
	})
	if i < 0 {
		t.Fatal("no record in chunks: another seed is needed")
	}
	return i + 1
}

// copied is a stream that may be changed.
func copied(records []s2mem.Record) (p spoiled) {
	for _, r := range records {
		r = r.Clone()
		s := oracle.Stored{Timestamp: r.Timestamp, Body: r.Body}
		for _, h := range r.Headers {
			s.Headers = append(s.Headers, oracle.StoredHeader(h))
		}
		p = append(p, s)
	}
	return p
}

// put replaces a stream's records.
func put(t *testing.T, st *stage, stream string, p spoiled) {
	t.Helper()
	st.memory.Rewind(stream, 0)
	url := st.url + "/v1"
	client := s2.New("none", &s2.ClientOptions{BaseURL: url, MakeBasinBaseURL: func(string) string { return url }}).Basin(st.basin).Stream(s2.StreamName(stream))
	for len(p) > 0 {
		in, size := &s2.AppendInput{}, uint64(0)
		for len(p) > 0 {
			r := s2.AppendRecord{Timestamp: s2.Uint64(p[0].Timestamp), Body: p[0].Body}
			for _, h := range p[0].Headers {
				r.Headers = append(r.Headers, s2.Header(h))
			}
			if size += s2.MeteredPayloadBytes(r); len(in.Records) > 0 && (size > 1<<20 || len(in.Records) == 1000) {
				break
			}
			in.Records, p = append(in.Records, r), p[1:]
		}
		if _, err := client.Append(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
}

// Everything that the demo says it compares: a difference in one of a few
// hundred records is spoiled, and the verdict says which.
func TestDemoFindsWhatIsPlanted(t *testing.T) {
	t.Setenv(programVariable, "1")
	r, err := openRound(t.Context(), t.Context(), demoOptions{once: true, partitions: 1, seed: 5}, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if v, err := r.finish(t.Context(), r.once(t.Context(), 600)); err != nil || !v.Verified {
		t.Fatalf("%+v, %v", v, err)
	}
	r.dismiss() // nobody looks at the stream any more
	r.crew.Wait()
	const stream = "orders/0"
	whole := r.stage.memory.Records(stream)

	plain := func(r *oracle.Record) bool {
		return len(r.Headers) == 1 && strings.HasPrefix(r.Headers[0].Key, "h") && len(r.Headers[0].Value) > 1
	}
	usual := func(r *oracle.Record) bool { return len(r.Key) > 1 && len(r.Value) > 1 && r.Timestamp > 0 }
	for _, c := range []struct {
		name  string
		spoil func(*testing.T, *round, spoiled) spoiled
		count func(*verdict) int // must be 1
		words string             // in the problems
		edge  string             // whose count changes; "": none
		by    int
	}{
		{"header altered", alter(plain, func(r *oracle.Record) { r.Headers[0].Value[0] ^= 1 }), isAltered, "headers", "", 0},
		{"header lost", alter(func(r *oracle.Record) bool { return len(r.Headers) == 2 }, func(r *oracle.Record) { r.Headers = r.Headers[:1] }), isAltered, "headers", "", 0},
		{"header without its name", alter(plain, func(r *oracle.Record) { r.Headers[0].Key = "" }), isAltered, "headers", "unnamed_headers", 1},
		{"headers in another order", alter(func(r *oracle.Record) bool { return len(r.Headers) > 3 }, func(r *oracle.Record) { slices.Reverse(r.Headers) }), isAltered, "headers", "", 0},
		{"null header made empty", alter(func(r *oracle.Record) bool { return len(r.Headers) == 1 && r.Headers[0].Value == nil },
			func(r *oracle.Record) { r.Headers[0].Value = []byte{} }), isAltered, "headers", "null_headers", -1},
		{"fence taken for nothing", alter(func(r *oracle.Record) bool { return len(r.Headers) == 1 && string(r.Headers[0].Value) == "fence" },
			func(r *oracle.Record) { r.Headers = nil }), isAltered, "headers", "hostile", -1},
		{"tombstone missing", func(t *testing.T, _ *round, p spoiled) spoiled {
			i := p.find(func(r *oracle.Record) bool { return r.Value == nil })
			return slices.Delete(p, i, i+1)
		}, isMissing, "missing: 1 records", "tombstones", -1},
		{"tombstone made empty", alter(func(r *oracle.Record) bool { return r.Value == nil }, func(r *oracle.Record) { r.Value = []byte{} }), isAltered, "value", "tombstones", -1},
		{"empty value made null", alter(func(r *oracle.Record) bool { return r.Value != nil && len(r.Value) == 0 }, func(r *oracle.Record) { r.Value = nil }), isAltered, "value", "tombstones", 1},
		{"null key made empty", alter(func(r *oracle.Record) bool { return r.Key == nil }, func(r *oracle.Record) { r.Key = []byte{} }), isAltered, "key", "null_keys", -1},
		{"key", alter(usual, func(r *oracle.Record) { r.Key[0] ^= 1 }), isAltered, "key", "", 0},
		{"value", alter(usual, func(r *oracle.Record) { r.Value[len(r.Value)-1] ^= 1 }), isAltered, "value", "", 0},
		// An old one: S2 has raised its own timestamp of it anyway.
		{"timestamp", alter(func(r *oracle.Record) bool { return r.Timestamp > 0 && r.Timestamp < 1<<40 }, func(r *oracle.Record) { r.Timestamp++ }), isAltered, "timestamp", "", 0},
		{"negative timestamp made 0", alter(func(r *oracle.Record) bool { return r.Timestamp < 0 }, func(r *oracle.Record) { r.Timestamp = 0 }), isAltered, "timestamp", "negative_timestamps", -1},
		{"timestamp type", alter(usual, func(r *oracle.Record) { r.Type = 1 }), isAltered, "timestamp type", "", 0},
		{"chunk lost", func(t *testing.T, _ *round, p spoiled) spoiled { i := chunk(t, p); return slices.Delete(p, i, i+1) }, isMissing, "missing: 1 records", "large", -1},
		{"chunk altered", func(t *testing.T, _ *round, p spoiled) spoiled {
			body := p[chunk(t, p)].Body
			body[len(body)/2] ^= 1
			return p
		}, isAltered, "value", "", 0},
		{"record twice", func(_ *testing.T, _ *round, p spoiled) spoiled {
			i := p.find(usual)
			return slices.Insert(p, i, p[i])
		}, func(v *verdict) int { return v.Duplicates }, "is here already", "", 0},
		{"aborted record", plantAborted, func(v *verdict) int { return v.Aborted }, "not served by Kafka: aborted", "aborted", 1},
		{"nothing", func(_ *testing.T, _ *round, p spoiled) spoiled { return p }, nil, "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			put(t, r.stage, stream, c.spoil(t, r, copied(whole)))
			v, err := r.verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			problems := strings.Join(v.Problems, "\n")
			if c.count == nil { // the planting itself changes nothing
				if !v.Verified || problems != "" {
					t.Errorf("%+v", v)
				}
				return
			}
			var coded *exitError
			if v.Verified || c.count(&v) != 1 || !strings.Contains(problems, c.words) || !errors.As(v.wrong(), &coded) || coded.code != exitFailed {
				t.Errorf("%+v", v)
			}
			if c.edge == "" {
				return
			}
			e := v.Edges[c.edge]
			if c.edge == abortedName {
				e.Made = 0 // none of them is to be seen
			}
			if e.Seen != e.Made+c.by || !strings.Contains(problems, strings.ReplaceAll(c.edge, "_", " ")) {
				t.Errorf("%s: %+v\n%s", c.edge, e, problems)
			}
		})
	}
}

func isAltered(v *verdict) int { return v.Altered }
func isMissing(v *verdict) int { return v.Missing }

// plantAborted puts the record of an aborted transaction where its offset belongs.
func plantAborted(t *testing.T, r *round, p spoiled) spoiled {
	last := int64(-1)
	for i, s := range p {
		it := oracle.Decode(s)
		if it.Kind != oracle.Data {
			continue
		}
		for offset := last + 1; offset < it.Record.Offset; offset++ {
			if r.generator.ledger.Explain("orders", 0, offset) == "aborted" {
				parts, err := oracle.Encode(oracle.Record{Offset: offset, Epoch: it.Record.Epoch, Value: []byte("aborted")})
				if err != nil {
					t.Fatal(err)
				}
				parts[0].Timestamp = s.Timestamp
				return slices.Insert(p, i, parts[0])
			}
		}
		last = it.Record.Offset
	}
	t.Fatal("no aborted record between others")
	return nil
}

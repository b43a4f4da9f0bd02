package mapping

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// The vectors in testdata are for readers and writers in any language. Here
// they are made from the cases in this package and compared byte for byte
// with the files; -update writes them anew.
//
// Conventions, repeated in docs/format.md: bytes are hex, or runs of equal
// bytes where that is shorter; null is null; integers that may pass 2^53 are
// strings.

func golden(t *testing.T, name string, v any) {
	t.Helper()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf.Bytes(), want) {
		t.Errorf("%s is not what the code makes now: the published format changed, or run with -update", path)
	}
}

// vecBytes are bytes in a vector: hex, or [{"byte": "61", "times": 1000}, ...].
type vecBytes []byte

type vecRun struct {
	Byte  string `json:"byte"`
	Times int    `json:"times"`
}

func (v vecBytes) MarshalJSON() ([]byte, error) {
	if v == nil {
		return []byte("null"), nil
	}
	if len(v) <= 400 {
		return json.Marshal(hex.EncodeToString(v))
	}
	var runs []vecRun
	for i := 0; i < len(v); {
		n := 1
		for i+n < len(v) && v[i+n] == v[i] {
			n++
		}
		runs = append(runs, vecRun{hex.EncodeToString(v[i : i+1]), n})
		i += n
	}
	return json.Marshal(runs)
}

// vecHeader is a header in a vector. Times stands for equal ones in a row.
type vecHeader struct {
	Name  vecBytes `json:"name"`
	Value vecBytes `json:"value"`
	Times int      `json:"times,omitempty"`
}

func fold(headers []vecHeader) []vecHeader {
	out := []vecHeader{}
	for _, h := range headers {
		if n := len(out) - 1; n >= 0 && len(headers) > 100 && bytes.Equal(out[n].Name, h.Name) && bytes.Equal(out[n].Value, h.Value) {
			out[n].Times = max(out[n].Times, 1) + 1
			continue
		}
		out = append(out, h)
	}
	return out
}

type vecKafka struct {
	Offset        string      `json:"offset"`
	LeaderEpoch   int32       `json:"leader_epoch"`
	Timestamp     string      `json:"timestamp"`
	TimestampType string      `json:"timestamp_type"`
	Key           vecBytes    `json:"key"`
	Headers       []vecHeader `json:"headers"`
	Value         vecBytes    `json:"value"`
}

func kafkaVector(r *Record) *vecKafka {
	if r == nil {
		return nil
	}
	var headers []vecHeader
	for _, h := range r.Headers {
		headers = append(headers, vecHeader{Name: vecBytes(h.Key), Value: h.Value})
	}
	return &vecKafka{
		Offset:        strconv.FormatInt(r.Offset, 10),
		LeaderEpoch:   r.LeaderEpoch,
		Timestamp:     strconv.FormatInt(r.Timestamp, 10),
		TimestampType: [...]string{"create_time", "log_append_time", "none"}[r.TimestampType],
		Key:           r.Key,
		Headers:       fold(headers),
		Value:         r.Value,
	}
}

// vecS2 is an S2 record in a vector. S2 knows no null.
type vecS2 struct {
	Timestamp string      `json:"timestamp"`
	Headers   []vecHeader `json:"headers"`
	Body      vecBytes    `json:"body"`
}

func s2Vector(s Stored) vecS2 {
	var headers []vecHeader
	for _, h := range s.Headers {
		headers = append(headers, vecHeader{Name: present(h.Name), Value: present(h.Value)})
	}
	return vecS2{Timestamp: strconv.FormatUint(s.Timestamp, 10), Headers: fold(headers), Body: present(s.Body)}
}

type vecEntry struct {
	Kind    string `json:"kind"`
	Through string `json:"through,omitempty"` // the position behind it
	Why     string `json:"why,omitempty"`     // for people; the wording may change
}

func entryVector(e Entry) vecEntry {
	v := vecEntry{Kind: e.Kind.String(), Why: e.Why}
	if through, ok := e.Through(); ok {
		v.Through = strconv.FormatInt(through, 10)
	}
	return v
}

// Somebody who has only a vector file can rebuild the records from it.
func TestVectorsAreReadable(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "records.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Records []struct {
			Name  string
			Kafka json.RawMessage
			S2    struct {
				Timestamp string
				Headers   []struct{ Name, Value string }
				Body      any
			}
			Encoded string
		}
	}
	if err := json.Unmarshal(data, &file); err != nil || len(file.Records) < 20 {
		t.Fatalf("%d records, error %v", len(file.Records), err)
	}
	for _, v := range file.Records {
		var s Stored
		s.Timestamp, _ = strconv.ParseUint(v.S2.Timestamp, 10, 64)
		for _, h := range v.S2.Headers {
			name, _ := hex.DecodeString(h.Name)
			value, _ := hex.DecodeString(h.Value)
			s.Headers = append(s.Headers, StoredHeader{name, value})
		}
		body, short := v.S2.Body.(string)
		if !short {
			continue
		}
		s.Body, _ = hex.DecodeString(body)
		var a Assembler
		rec, e, err := a.Feed(s)
		if err != nil || rec == nil {
			t.Fatalf("%s: %+v, %v", v.Name, e, err)
		}
		kafka, _ := json.Marshal(kafkaVector(rec))
		var compact bytes.Buffer
		if err := json.Compact(&compact, v.Kafka); err != nil || !bytes.Equal(compact.Bytes(), kafka) {
			t.Errorf("%s: read as %s", v.Name, kafka)
		}
		encoded, _ := hex.DecodeString(v.Encoded)
		if got, err := decode(encoded); err != nil || len(got) != 1 || got[0].Timestamp != s.Timestamp || !slices.EqualFunc(got[0].Headers, s.Headers, func(a, b StoredHeader) bool {
			return bytes.Equal(a.Name, b.Name) && bytes.Equal(a.Value, b.Value)
		}) || !bytes.Equal(got[0].Body, s.Body) {
			t.Errorf("%s: the encoding is another record", v.Name)
		}
	}
}

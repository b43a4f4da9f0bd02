//go:build real

package readers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/tests/oracle/produce"
	"kafka-s2-bridge/tests/real/s2lite"
)

// line is what the reader prints for a record or a marker.
type line struct {
	Seq           uint64   `json:"seq"`
	Offset        string   `json:"offset"`
	LeaderEpoch   int32    `json:"leaderEpoch"`
	Timestamp     string   `json:"timestamp"`
	TimestampType string   `json:"timestampType"`
	Key           *blob    `json:"key"`
	Headers       []header `json:"headers"`
	Value         *blob    `json:"value"`

	Marker  string `json:"marker"`
	Body    string `json:"body"` // of a marker
	Foreign string `json:"foreign"`
}

type header struct {
	Name  *blob `json:"name"`
	Value *blob `json:"value"`
}

// blob is base64, or length and SHA-256 of what is long.
type blob struct {
	Base64 string `json:"base64"`
	Length int    `json:"length"`
	SHA256 string `json:"sha256"`
}

func newBlob(b []byte) *blob {
	switch {
	case b == nil:
		return nil
	case len(b) <= 256:
		return &blob{Base64: base64.StdEncoding.EncodeToString(b)}
	}
	sum := sha256.Sum256(b)
	return &blob{Length: len(b), SHA256: hex.EncodeToString(sum[:])}
}

func recordLine(seq uint64, r *mapping.Record) line {
	l := line{
		Seq: seq, Offset: strconv.FormatInt(r.Offset, 10), LeaderEpoch: r.LeaderEpoch, Timestamp: strconv.FormatInt(r.Timestamp, 10),
		TimestampType: [...]string{"CreateTime", "LogAppendTime", "none"}[r.TimestampType],
		Key:           newBlob(r.Key), Headers: []header{}, Value: newBlob(r.Value),
	}
	for _, h := range r.Headers {
		l.Headers = append(l.Headers, header{newBlob([]byte(h.Key)), newBlob(h.Value)})
	}
	return l
}

func (l line) String() string {
	b, _ := json.Marshal(l)
	return string(b)
}

// The reader in TypeScript, on S2's published SDK, prints what was written: records of all shapes, whole and in chunks,
// torn ones once, markers; and takes nothing foreign for a record.
func TestTypeScriptReader(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	server := s2lite.Run(t, s2lite.Options{})
	w := newWriter(ctx, t, server, "orders/0")
	writeEverything(w)
	var written int
	for _, l := range w.lines {
		if l.Offset != "" {
			written++
		}
	}

	dir := installed(ctx, t)
	began := time.Now()
	cmd := exec.CommandContext(ctx, "node", "dist/reader.js", "s2://"+server.Basin()+"/orders/0")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.Env = append(os.Environ(), "S2_ACCOUNT_ENDPOINT="+server.URL(), "S2_BASIN_ENDPOINT="+server.URL(), "S2_ACCESS_TOKEN=none")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d records in %d sequence numbers were read in %.1f s", written, w.next, time.Since(began).Seconds())

	dec := json.NewDecoder(bytes.NewReader(out))
	dec.DisallowUnknownFields()
	for i, want := range w.lines {
		var got line
		if err := dec.Decode(&got); err != nil {
			t.Fatalf("line %d: %v; it should be %s", i, err, want)
		}
		if got.Marker != "" { // the body is compared as what it says
			if !json.Valid([]byte(got.Body)) || got.Marker == "open" && !strings.Contains(got.Body, "g\u00fc") {
				t.Errorf("line %d: marker %q has the body %q", i, got.Marker, got.Body)
			}
			got.Body = ""
		}
		if want.Foreign != "" && got.Foreign != "" {
			got.Foreign = want.Foreign
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("line %d is\n%s\nit should be\n%s", i, got, want)
		}
	}
	if rest, _ := io.ReadAll(dec.Buffered()); len(bytes.TrimSpace(rest)) > 0 {
		t.Errorf("lines too many: %.500s", rest)
	}
}

// writeEverything is the life of a stream.
func writeEverything(w *writer) {
	shapes := &produce.Shapes{Seed: 11, Topics: []produce.Topic{{Name: "orders", Partitions: 1}}, MaxValue: 200_000}
	n := uint64(0)
	some := func(count int) (out []mapping.Record) {
		offset := w.resume
		for range count {
			r := mapping.FromKafka(shapes.Record(n))
			r.Offset, r.LeaderEpoch, r.TimestampType = offset, int32(n/100)-1, mapping.TimestampType(n%7/3)
			out = append(out, r)
			offset += 1 + int64(n%11/10) // a hole now and then: compacted
			n++
		}
		return out
	}
	large := func(size int) mapping.Record {
		r := some(1)[0]
		r.Value = bytes.Repeat([]byte(fmt.Sprintf("%d bytes, offset %d. ", size, r.Offset)), size/16+1)[:size]
		return r
	}
	w.own()
	w.records(some(500)...)
	for less := 19; less >= 13; less-- { // around S2's limit, which is at 16 for offsets of two bytes
		w.records(mapping.Record{Offset: w.resume, Timestamp: 5, Value: bytes.Repeat([]byte{'v'}, mapping.MaxMetered-less)})
	}
	for _, size := range []int{1_100_000, 2_500_000, 3 << 20, 20 << 20} {
		w.records(large(size))
	}
	// The key leaves no room, or next to none, for the value in the first chunk.
	w.records(append(some(20), mapping.Record{Offset: w.resume + 100, Key: make([]byte, mapping.MaxMetered-28), Value: bytes.Repeat([]byte("x"), 500)})...)
	w.records(mapping.Record{Offset: w.resume, Key: make([]byte, mapping.MaxMetered-48), Value: bytes.Repeat([]byte("x"), 500)})
	w.gap(w.resume + 50)
	w.records(some(30)...)

	// Torn twice, then whole, with small records in its last chunk's batch.
	r := large(5_000_000)
	w.torn(r, 2)
	w.own()
	w.torn(r, 1)
	w.own()
	w.resume = r.Offset + 1
	w.records(append([]mapping.Record{r}, some(10)...)...)

	// Torn by another program, which the next owner's fence ends.
	w.torn(large(2_500_000), 1)
	w.lines = append(w.lines, line{Seq: w.next, Foreign: "yes"})
	w.foreign("content-type", "text/plain", "not ours")
	w.lines = append(w.lines, line{Seq: w.next, Marker: "later"})
	w.foreign("~!", "later", `{"v":1}`)
	w.own()
	w.records(large(2_500_000))
	w.records(some(100)...)
}

// installed copies the reader, installs what its lock file pins, builds it and runs its own test.
func installed(ctx context.Context, t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Fatalf("the reader in TypeScript needs Node.js 20 and npm: %v", err)
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "tsconfig.json", "src"} {
		if err := copyTo(filepath.Join(dir, name), filepath.Join("typescript", name)); err != nil {
			t.Fatal(err)
		}
	}
	vectors, err := filepath.Abs(filepath.Join("..", "..", "mapping", "testdata"))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"ci", "--no-audit", "--no-fund"}, {"test"}} {
		cmd := exec.CommandContext(ctx, "npm", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "VECTORS="+vectors)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("npm %s: %v\n%s", args[0], err, out)
		}
	}
	return dir
}

// copyTo copies a file, or a folder of files.
func copyTo(to, from string) error {
	if info, err := os.Stat(from); err == nil && info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("copy the reader: %w", err)
	}
	return os.WriteFile(to, data, 0o644)
}

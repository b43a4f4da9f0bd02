package s2read_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/s2-streamstore/s2-sdk-go/s2"
	"go.uber.org/goleak"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/s2read"
	"kafka-s2-bridge/tests/s2mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bed is a server with one stream "a/0" of n records.
func bed(ctx context.Context, t *testing.T, n int) (*s2mem.Server, *s2read.Reader, func()) {
	t.Helper()
	srv := s2mem.New(s2mem.Options{})
	t.Cleanup(srv.Close)
	if err := srv.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	srv.Create("a/0")
	srv.Create("empty")
	url := srv.URL() + "/v1"
	stream := s2.New("any", &s2.ClientOptions{BaseURL: url, MakeBasinBaseURL: func(string) string { return url }}).Basin(s2mem.DefaultBasin).Stream("a/0")
	i := 0
	more := func() {
		r := s2.AppendRecord{Headers: []s2.Header{s2.NewHeader("n", fmt.Sprint(i))}, Body: []byte(strings.Repeat("x", i%1000))}
		if _, err := stream.Append(ctx, &s2.AppendInput{Records: []s2.AppendRecord{r}}); err != nil {
			t.Error(err)
		}
		i++
	}
	for range n {
		more()
	}
	return srv, s2read.New(srv.URL(), s2mem.DefaultBasin, ""), more
}

// count reads a stream whole and expects the records in order.
func count(ctx context.Context, t *testing.T, r *s2read.Reader, stream string, each func(oracle.Stored)) (int, error) {
	t.Helper()
	n := 0
	for s, err := range r.Stream(ctx, stream) {
		if err != nil {
			return n, err
		}
		if s.Seq != uint64(n) || string(s.Headers[0].Value) != fmt.Sprint(n) || len(s.Body) != n%1000 {
			t.Fatalf("record %d: %d %v, body of %d", n, s.Seq, s.Headers, len(s.Body))
		}
		n++
		if each != nil {
			each(s)
		}
	}
	return n, nil
}

func TestReadsToTheTail(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, r, _ := bed(ctx, t, 1500)
	for stream, want := range map[string]int{"a/0": 1500, "empty": 0, "missing": 0} {
		if n, err := count(ctx, t, r, stream, nil); n != want || err != nil {
			t.Errorf("%s: %d records, %v", stream, n, err)
		}
	}
	for s := range r.Stream(ctx, "a/0") {
		if s.Seq == 10 {
			break // must leave nothing behind
		}
	}
}

// Sessions that end early, without a word or with one, are not taken for the end of the stream.
func TestSessionsThatEndEarly(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, do := range map[string]s2mem.Fault{
		"clean end": {Op: s2mem.OpFollow, Do: s2mem.EOF, Count: 2},
		"refused":   {Op: s2mem.OpFollow, Do: s2mem.Refuse},
		"reset":     {Op: s2mem.OpFollow, Do: s2mem.Reset},
	} {
		t.Run(name, func(t *testing.T) {
			srv, r, _ := bed(ctx, t, 50)
			srv.Fault(do)
			if n, err := count(ctx, t, r, "a/0", nil); n != 50 || err != nil {
				t.Errorf("%d records, %v", n, err)
			}
		})
	}
	srv, r, _ := bed(ctx, t, 50)
	srv.Fault(s2mem.Fault{Op: s2mem.OpFollow, Do: s2mem.EOF, Count: -1})
	if n, err := count(ctx, t, r, "a/0", nil); err == nil || !strings.Contains(err.Error(), "ended at 0 without a record") {
		t.Errorf("%d records, %v", n, err)
	}
}

// A verdict over a stream that somebody still writes would be worth nothing.
func TestSomebodyStillWrites(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, r, more := bed(ctx, t, 50)
	n, err := count(ctx, t, r, "a/0", func(s oracle.Stored) {
		if s.Seq == 20 {
			more()
		}
	})
	if n != 50 || err == nil || !strings.Contains(err.Error(), "the tail moved from 50 to 51") {
		t.Errorf("%d records, %v", n, err)
	}
}

package s2mem_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"kafka-s2-bridge/tests/s2mem"
)

// Many writers, conditional batches, lost and late answers: sequence numbers
// stay contiguous, batches whole, and what was acknowledged is where the ack
// said, once.
func TestInvariants(t *testing.T) {
	versions(t, s2mem.Options{FlushDelay: time.Millisecond}, func(t *testing.T, srv *s2mem.Server, cl *client) {
		next := uint64(0)
		srv.OnAppend(func(a s2mem.Append) {
			if a.First != next || a.Count != len(a.Records) || a.Match == nil || *a.Match != a.First {
				t.Errorf("batch at %d, %d records, match %v; the tail is %d", a.First, len(a.Records), a.Match, next)
			}
			next += uint64(a.Count)
		})
		var faults []*s2mem.FaultHandle
		for _, do := range []s2mem.Action{s2mem.Refuse, s2mem.Reset, s2mem.ApplyReset, s2mem.ApplyEOF, s2mem.TornAck, s2mem.ApplyRefuse, s2mem.Cut, s2mem.ApplyCut} {
			for skip := range 3 {
				faults = append(faults, srv.Fault(s2mem.Fault{Op: s2mem.OpAppend, Do: do, Skip: 5 + 7*skip}))
			}
		}
		acked := make(chan string, 10000) // "seq body"
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(w)))
				at, n := uint64(0), 0
				for range 60 {
					n++
					var records []string
					for i := range 1 + random.IntN(3) {
						records = append(records, fmt.Sprintf(`{"body":"%d.%d.%d"}`, w, n, i))
					}
					body := fmt.Sprintf(`{"records":[%s],"match_seq_num":%d}`, strings.Join(records, ","), at)
					status, answer, err := cl.do(t.Context(), "POST", "/v1/streams/s/records", body)
					var ack struct {
						End      struct{ Seq_num uint64 }
						Start    struct{ Seq_num uint64 }
						Mismatch *uint64 `json:"seq_num_mismatch"`
					}
					json.Unmarshal([]byte(answer), &ack)
					switch {
					case err == nil && status == 200 && answer != "":
						for i := range records {
							acked <- fmt.Sprintf("%d %d.%d.%d", ack.Start.Seq_num+uint64(i), w, n, i)
						}
						at = ack.End.Seq_num
					case ack.Mismatch != nil:
						at = *ack.Mismatch
					}
				}
			})
		}
		writers.Wait()
		close(acked)
		stored := map[string]bool{}
		batches := map[string]int{}
		for i, r := range srv.Records("s") {
			if r.Seq != uint64(i) {
				t.Fatalf("record %d has sequence number %d", i, r.Seq)
			}
			stored[fmt.Sprintf("%d %s", r.Seq, r.Body)] = true
			cut := bytes.LastIndexByte(r.Body, '.')
			batch := string(r.Body[:cut])
			if want := fmt.Sprint(batches[batch]); string(r.Body[cut+1:]) != want {
				t.Fatalf("record %d is %s, want number %s of its batch", i, r.Body, want)
			}
			batches[batch]++
		}
		n := 0
		for a := range acked {
			if n++; !stored[a] {
				t.Errorf("acknowledged and not there: %s", a)
			}
		}
		for _, h := range faults {
			if h.Hits() != 1 {
				t.Errorf("a fault was hit %d times", h.Hits())
			}
		}
		if n == 0 || len(stored) <= n {
			t.Errorf("%d records acknowledged of %d: the faults did nothing", n, len(stored))
		}
	})
}

// The HTTP/2 settings that a client sees are s2-lite's.
func TestSettings(t *testing.T) {
	srv := s2mem.Start(t, s2mem.Options{})
	c, err := net.Dial("tcp", strings.TrimPrefix(srv.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 9)
	if _, err := io.ReadFull(c, head); err != nil || head[3] != 4 {
		t.Fatal(head, err)
	}
	b := make([]byte, int(head[1])<<8+int(head[2]))
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	got := map[int]int{}
	for ; len(b) >= 6; b = b[6:] {
		got[int(b[0])<<8+int(b[1])] = int(b[2])<<24 + int(b[3])<<16 + int(b[4])<<8 + int(b[5])
	}
	for id, want := range map[int]int{3: 200, 4: 1 << 20, 5: 16 << 10, 6: 16 << 10} {
		if got[id] != want {
			t.Errorf("setting %d is %d, want %d", id, got[id], want)
		}
	}
}

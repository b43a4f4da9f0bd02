package fidelity

import (
	"fmt"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/s2mem"
)

// chunkCount is into how many S2 records the large records here are cut.
const chunkCount = 6

// calm is a bridge that nothing but a kill disturbs: what is held back here for long must not look like a dead path to it, nor
// fill the path that other streams use (eight streams whose names differ in the last digit get a connection each).
var calm = bridge.Settings{"s2.ack_timeout": "2m", "s2.connections": 8, "memory.budget": "512MiB"}

// inChunks is a record of chunkCount chunks, at offset 1 between two small ones.
func (w *world) inChunks(topic string, partition int) {
	w.t.Helper()
	w.send(small(topic, partition))
	w.send(&kgo.Record{Topic: topic, Partition: int32(partition), Key: []byte("large"), Value: noise(chunkCount<<20-200_000, uint64(partition)),
		Headers: []kgo.RecordHeader{{Key: "", Value: []byte("fence")}}, Timestamp: now}, small(topic, partition))
}

// isChunk says that a batch begins with the k-th chunk, from 0, of a record.
func isChunk(k int) func(s2mem.Call) bool {
	return func(c s2mem.Call) bool {
		records := c.Records()
		if len(records) == 0 {
			return false
		}
		it := oracle.Decode(stored(records[0]))
		return it.Kind == oracle.Data && it.Chunked && it.Index == uint64(k)
	}
}

// groups are the indexes of the chunks in a stream, a list for each tenure.
func (w *world) groups(stream string) (out [][]uint64) {
	for s := range w.stream(stream) {
		switch it := oracle.Decode(s); {
		case it.Kind == oracle.Fence:
			out = append(out, nil)
		case it.Kind == oracle.Data && it.Chunked:
			out[len(out)-1] = append(out[len(out)-1], it.Index)
		}
	}
	return out
}

// A bridge that is killed when S2 has acknowledged k chunks of a record, for each k from none to all: the next one begins anew
// at index 0, behind its fence, and the record is there once. What was torn stays, and readers pass it over. The chunk that was
// on its way comes late: before the next bridge takes over, or long after. Lost is the ack of the last chunk, or none.
func TestT44KilledInsideOfAChunkGroup(t *testing.T) {
	for name, c := range map[string]struct {
		ack  bool // the chunks are stored, and the ack of the last of them is lost
		late bool // the chunk that was held back comes after the next bridge has begun
	}{
		"next chunk comes before the next bridge": {false, false},
		"next chunk comes after the next bridge":  {false, true},
		"last ack is lost":                        {true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.topic("large", chunkCount+1, nil) // partition k: k chunks are acknowledged, or stored
			var held []*s2mem.FaultHandle
			for k := range chunkCount + 1 {
				w.inChunks("large", k)
				f := s2mem.Fault{Op: s2mem.OpBatch, Stream: fmt.Sprintf("large/%d", k), When: isChunk(k), Do: s2mem.Hold}
				if c.ack {
					f.Do, f.When = s2mem.HoldAnswer, isChunk(k-1)
				}
				held = append(held, w.s2.Fault(f))
			}
			reached := func(k int) bool { return c.ack && k > 0 || !c.ack && k < chunkCount } // that a fault hits
			r := w.start("one", calm, "large")
			for k, f := range held {
				stream := fmt.Sprintf("large/%d", k)
				r.await(patient, func() error {
					if n := len(w.chunks(stream, 1)); n < k && reached(k) || !reached(k) && n < chunkCount {
						return fmt.Errorf("%d chunks are there", n)
					}
					if reached(k) && f.Hits() == 0 {
						return errWaiting
					}
					return nil
				}, "%d chunks in %s", k, stream)
			}
			// A window of chunks is on its way at once: with the ack held back the ones behind are stored all the same.
			before := make([]int, chunkCount+1)
			for k := range before {
				before[k] = len(w.chunks(fmt.Sprintf("large/%d", k), 1))
				if !c.ack && reached(k) && before[k] != k {
					t.Errorf("large/%d has %d chunks, want %d", k, before[k], k)
				}
			}
			r.kill()
			let := func() {
				for _, f := range held {
					f.Remove()
				}
			}
			if !c.late {
				let()
			}
			r.restart()
			reports := w.copied(r, "large")
			if c.late {
				tails := w.tails()
				let()
				w.send(small("large", 0)) // and something new is copied behind it
				w.copied(r, "large")
				for stream, tail := range w.tails() {
					if want := tails[stream]; stream != "large/0" && tail != want {
						t.Errorf("%s ended at %d, and at %d when what was held back had come", stream, want, tail)
					}
				}
			}
			torn := 0
			for k, report := range reports {
				stream := fmt.Sprintf("large/%d", k)
				groups := w.groups(stream)
				last := groups[len(groups)-1]
				whole := len(groups) == 1 || len(last) == 0 // the first bridge had them all in
				if whole {
					last = groups[0]
				}
				if report.Records != 3 || report.Chunked != 1 || len(last) != chunkCount {
					t.Errorf("%s: chunks %v, %s", stream, groups, report)
				}
				for i, index := range last {
					if index != uint64(i) {
						t.Errorf("%s: the group that counts is %v", stream, last)
						break
					}
				}
				torn += report.Torn
			}
			// What was on its way may have been all that was missing, but not where half of the chunks were.
			if torn < chunkCount/2 && !c.ack {
				t.Errorf("only %d groups were torn: the test shows nothing", torn)
			}
			w.readsOnce("large")
		})
	}
}

// The same record is torn again and again, one chunk later each time. What was on its way at each kill comes at the end.
func TestT44KilledInTheSameRecordAgainAndAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.topic("again", 1, nil)
	w.inChunks("again", 0)
	var r *run
	var held []*s2mem.FaultHandle
	for k := range chunkCount {
		f := w.s2.Fault(s2mem.Fault{Op: s2mem.OpBatch, Stream: "again/0", Do: s2mem.Hold, When: isChunk(k)})
		held = append(held, f)
		if r == nil {
			r = w.start("one", calm, "again")
		} else {
			r.restart()
		}
		r.await(patient, func() error {
			if f.Hits() == 0 {
				return fmt.Errorf("%d chunks are there", len(w.chunks("again/0", 1)))
			}
			return nil
		}, "chunk %d", k)
		r.kill()
	}
	r.restart()
	report := w.copied(r, "again")[0]
	want := [][]uint64{nil}
	for k := 1; k <= chunkCount; k++ {
		want = append(want, []uint64{0, 1, 2, 3, 4, 5}[:k])
	}
	if groups := w.groups("again/0"); !reflect.DeepEqual(groups, want) || report.Records != 3 || report.Torn != chunkCount-1 || report.Fences != chunkCount+1 {
		t.Errorf("chunks by tenure: %v, want %v; %s", groups, want, report)
	}
	tail := w.tails()["again/0"]
	for _, f := range held {
		f.Remove()
	}
	w.send(small("again", 0))
	w.copied(r, "again")
	if now := w.tails()["again/0"]; now != tail+1 {
		t.Errorf("the stream ended at %d, and at %d when all that was held back had come, and one record", tail, now)
	}
	w.readsOnce("again")
}

// readsOnce looks at the streams with the project's own reader: every record once, the large one with its value.
func (w *world) readsOnce(topic string) {
	w.t.Helper()
	for _, served := range w.truth(topic).Partitions {
		out := string(w.read(served.Name(), "-f", "%o %K %S\\n"))
		want := "0 5 11\n1 5 " + fmt.Sprint(chunkCount<<20-200_000) + "\n2 5 11\n"
		if !strings.HasPrefix(out, want) || strings.Count(out, "\n") != served.Len() {
			w.t.Errorf("bridge read prints of %s:\n%swant\n%s", served.Name(), out, want)
		}
		value := w.read(served.Name(), "--from-offset", "1", "--count", "1", "-f", "%s")
		if whole := noise(chunkCount<<20-200_000, uint64(served.Identity.Partition)); crc32.ChecksumIEEE(value) != crc32.ChecksumIEEE(whole) {
			w.t.Errorf("bridge read prints another value of %s: %d bytes", served.Name(), len(value))
		}
	}
}

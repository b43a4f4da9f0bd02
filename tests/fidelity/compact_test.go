package fidelity

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Compaction leaves gaps of all sizes, in transactions and out of them, at the end of a log too, and where the bridge had
// stopped to read.
func TestT38CompactedLogs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	compacted := map[string]string{"cleanup.policy": "compact", "delete.retention.ms": "0", "min.cleanable.dirty.ratio": "0"}
	w.topic("compacted", 3, compacted)
	write := func(prefix string) {
		for i := range 3 {
			p := w.writer("compacted", i)
			keyed := func(n int, value string) []*kgo.Record {
				recs := p.records(n, value)
				for k, rec := range recs {
					rec.Key = fmt.Appendf(nil, "%s %d", prefix, k)
					if value == "" {
						rec.Value = nil
					}
				}
				return recs
			}
			w.send(&kgo.Record{Topic: "compacted", Partition: p.partition, Key: fmt.Appendf(nil, "%s first", prefix)})
			w.send(&kgo.Record{Topic: "compacted", Partition: p.partition, Key: fmt.Appendf(nil, "%s keeps the log's start", prefix), Value: []byte("v")})
			for round := range 10 {
				w.send(keyed(10+i, fmt.Sprintf("round %d", round))...)
				if i == 0 {
					continue
				}
				p.begin(0, 0)
				w.sendBy(p.producers[0], keyed(5, "aborted")...)
				p.abort(0)
				p.begin(0, 0)
				w.sendBy(p.producers[0], keyed(5, "committed")...)
				p.commit(0)
			}
			w.send(keyed(4, "")...) // tombstones, which go as well
			if i == 2 {
				p.begin(0, 0)
				w.sendBy(p.producers[0], keyed(3, "aborted")...)
				p.abort(0)
			} else { // the last batch stays until there is another one
				w.send(&kgo.Record{Topic: "compacted", Partition: p.partition, Key: fmt.Appendf(nil, "%s last", prefix), Value: []byte("v")})
			}
		}
		before := w.truth("compacted").Records()
		w.kafka.Compact()
		if after := w.truth("compacted").Records(); after*2 > before {
			t.Fatalf("%d of %d records are left: the test shows nothing", after, before)
		}
	}
	write("one")
	r := w.start("one", nil, "compacted")
	w.copied(r, "compacted")
	r.stop()
	write("two") // other keys: what was copied before stays as it is
	r.restart()
	w.copied(r, "compacted")
	r.kill()
	r.restart()
	write("three")
	// Kafka compacts while it is read: what came over before that is in the stream and not served any more.
	w.caughtUp(r, "compacted")
	for _, served := range w.truth("compacted").Partitions {
		report := w.check(served)
		if foreign := report.Foreign; report.Bad() != foreign || foreign > 0 && !strings.Contains(strings.Join(report.Violations, "\n"), "is not served by Kafka") {
			t.Error(report)
		}
	}
}

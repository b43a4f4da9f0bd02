package fidelity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/real/bridge"
)

// writer writes into one partition, and transactions around it.
type writer struct {
	w         *world
	topic     string
	partition int32
	made      int
	producers []*kgo.Client
}

func (w *world) writer(topic string, partition int) *writer {
	return &writer{w: w, topic: topic, partition: int32(partition)}
}

// records are the next n.
func (p *writer) records(n int, note string) []*kgo.Record {
	recs := make([]*kgo.Record, n)
	for i := range recs {
		p.made++
		recs[i] = &kgo.Record{Topic: p.topic, Partition: p.partition, Key: fmt.Appendf(nil, "key %d", p.made), Value: fmt.Appendf(nil, "%s %d", note, p.made)}
	}
	return recs
}

// plain writes n records outside of transactions.
func (p *writer) plain(n int) { p.w.send(p.records(n, "plain")...) }

// begin opens a transaction of the i-th producer with n records.
func (p *writer) begin(i, n int) {
	p.w.t.Helper()
	for len(p.producers) <= i {
		id := fmt.Sprintf("%s-%d-%d", p.topic, p.partition, len(p.producers))
		p.producers = append(p.producers, p.w.producer(kgo.TransactionalID(id), kgo.TransactionTimeout(5*time.Minute)))
	}
	if err := p.producers[i].BeginTransaction(); err != nil {
		p.w.t.Fatal(err)
	}
	p.more(i, n)
}

// more writes n records into the open transaction of the i-th producer.
func (p *writer) more(i, n int) {
	p.w.t.Helper()
	p.w.sendBy(p.producers[i], p.records(n, "transactional")...)
}

func (p *writer) end(i int, commit kgo.TransactionEndTry) {
	p.w.t.Helper()
	ctx, cancel := p.w.context()
	defer cancel()
	if err := p.producers[i].EndTransaction(ctx, commit); err != nil {
		p.w.t.Fatal(err)
	}
}

func (p *writer) commit(i int) { p.w.t.Helper(); p.end(i, kgo.TryCommit) }
func (p *writer) abort(i int)  { p.w.t.Helper(); p.end(i, kgo.TryAbort) }

// tails are the ways in which a log with transactions may end. visible is how many records a read_committed consumer sees.
var tails = []struct {
	name    string
	write   func(p *writer)
	visible int
	open    bool // the first producer's transaction is left open
}{
	{"plain", func(p *writer) { p.plain(5) }, 5, false},
	{"committed", func(p *writer) { p.plain(5); p.begin(0, 5); p.commit(0) }, 10, false},
	{"aborted", func(p *writer) { p.plain(5); p.begin(0, 5); p.abort(0) }, 5, false},
	{"all aborted", func(p *writer) { p.begin(0, 5); p.abort(0) }, 0, false},
	{"many markers", func(p *writer) {
		p.plain(1)
		for range 20 {
			p.begin(0, 1)
			p.abort(0)
		}
	}, 1, false},
	{"aborted, committed, aborted", func(p *writer) {
		p.begin(0, 3)
		p.abort(0)
		p.begin(0, 3)
		p.commit(0)
		p.begin(0, 3)
		p.abort(0)
	}, 3, false},
	{"plain inside of an aborted one", func(p *writer) { p.begin(0, 2); p.plain(3); p.more(0, 2); p.plain(3); p.abort(0) }, 6, false},
	{"overlapping", func(p *writer) {
		p.begin(0, 2)
		p.begin(1, 2)
		p.begin(2, 2)
		p.abort(1)
		p.plain(2)
		p.more(0, 2)
		p.begin(1, 2)
		p.commit(2)
		p.abort(0)
		p.begin(0, 2)
		p.abort(1)
		p.commit(0)
	}, 6, false},
	{"open", func(p *writer) { p.plain(5); p.begin(0, 5) }, 5, true},
	{"open, and others behind", func(p *writer) {
		p.plain(5)
		p.begin(0, 1)
		p.plain(5)
		p.begin(1, 2)
		p.commit(1)
		p.begin(1, 2)
		p.abort(1)
	}, 5, true},
	{"open from the start", func(p *writer) { p.begin(0, 5) }, 0, true},
	{"empty", func(*writer) {}, 0, false},
}

// Lag reaches 0 behind every kind of tail, whether the bridge finds it there or watches it come: the group has committed the
// last stable offset itself, and not the offset of the last record. A transaction that is open holds back what is behind it,
// and nothing else; when it ends, the rest comes. Killed and started again, the bridge writes nothing.
func TestT37T38T42T43TailsOfTransactions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.topic("before", len(tails), nil)
	w.topic("during", len(tails), nil)
	fill := func(topic string) (all []*writer) {
		for i, tail := range tails {
			p := w.writer(topic, i)
			tail.write(p)
			all = append(all, p)
		}
		return all
	}
	before := fill("before")
	r := w.start("one", nil, "before", "during")
	r.green()
	during := fill("during")
	w.copied(r, "before", "during")
	truth := w.truth("before", "during")
	for i, served := range truth.Partitions {
		if tail := tails[i%len(tails)]; served.Len() != tail.visible {
			t.Errorf("%s, %s: Kafka serves %d records, want %d: the test does not play what it says", served.Name(), tail.name, served.Len(), tail.visible)
		}
	}
	r.green() // an open transaction is nobody's fault

	// Nothing is to be done: not by the one that runs, nor by one that finds it all there after a kill.
	still := w.tails()
	for range 3 {
		r.kill()
		r.restart()
		r.green()
		w.caughtUp(r, "before", "during")
	}
	r.stop()
	if now := w.tails(); !maps.Equal(still, now) {
		t.Errorf("the streams ended at %v, and after idle restarts at %v", still, now)
	}

	// What held back is let go.
	r.restart()
	for i, tail := range tails {
		if tail.open && i%2 == 0 {
			before[i].commit(0)
			during[i].abort(0)
		} else if tail.open {
			before[i].abort(0)
			during[i].commit(0)
		}
	}
	w.copied(r, "before", "during")
	r.stop()
	w.judge(w.truth("before", "during"), "before", "during")

	// What reads the streams to their end comes to an end, too.
	for i, tail := range tails {
		name := fmt.Sprintf("before/%d", i)
		if _, exists := w.s2.Tail(name); !exists {
			continue
		}
		lines := bytes.Count(w.read(name, "-f", "%o\\n"), []byte("\n"))
		if want := w.truth("before").Partitions[i].Len(); lines != want {
			t.Errorf("bridge read prints %d records of %s (%s), want %d", lines, name, tail.name, want)
		}
	}
}

// Lag is a difference of positions, and records are counted as such: with four offsets in five missing neither is wrong, at
// no time.
func TestT39OffsetsWithGapsAreNotCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const parts = 4
	w.topic("gaps", parts, nil)
	write := func(rounds int) {
		for i := range parts {
			p := w.writer("gaps", i)
			p.plain(20)
			for range rounds {
				p.begin(0, 40)
				p.plain(5)
				p.abort(0)
				p.begin(0, 5)
				p.commit(0)
			}
		}
	}
	write(5)
	r := w.start("one", nil, "gaps")
	// Watched all the time while more is written.
	samples, stop := 0, make(chan struct{})
	var watching sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); watching.Wait() })
	defer end()
	watching.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			for labels, lag := range r.metrics("kafka_s2_bridge_lag") {
				if samples++; lag < -1 { // that is: unknown
					t.Errorf("lag of %s is %v", labels, lag)
				}
			}
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	write(5)
	r.await(patient, func() error {
		lags := r.metrics("kafka_s2_bridge_lag")
		for labels, lag := range lags {
			if lag != 0 {
				return fmt.Errorf("lag of %s is %v", labels, lag)
			}
		}
		if len(lags) != parts {
			return errWaiting
		}
		return nil
	}, "lag is not 0")
	end()
	w.copied(r, "gaps")
	records := 0.0
	for _, n := range r.metrics("kafka_s2_bridge_records_acknowledged_total") {
		records += n
	}
	if want := w.truth("gaps").Records(); int(records) != want || samples < 2*parts {
		t.Errorf("%v records are counted, want %d; %d samples of lag were seen", records, want, samples)
	}
}

// What was aborted is left out unless somebody asks for it.
func TestT41UncommittedRecordsOnlyOnDemand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.topic("shared", len(tails), nil)
	for i, tail := range tails {
		tail.write(w.writer("shared", i))
	}
	r := w.start("one", bridge.Settings{"kafka.isolation": "read_uncommitted"}, "shared")
	var everything []*oracle.Served
	for i := range tails {
		everything = append(everything, w.uncommitted("shared", int32(i)))
	}
	r.await(patient, func() error {
		commits, err := w.commits("shared")
		for i, c := range commits {
			if c.Offset != everything[i].End && everything[i].End > 0 {
				return fmt.Errorf("shared/%d is committed up to %d, Kafka ends at %d", i, c.Offset, everything[i].End)
			}
		}
		return err
	}, "the group's commits")
	more := 0
	for i, served := range everything {
		if report := w.check(served); !report.OK() {
			t.Errorf("%s: %s", tails[i].name, report)
		}
		more += served.Len() - tails[i].visible
	}
	if more < 40 {
		t.Errorf("only %d records are there beyond those that are committed: the test shows nothing", more)
	}
}

// uncommitted is what a read_uncommitted consumer is served of a partition.
func (w *world) uncommitted(topic string, partition int32) *oracle.Served {
	w.t.Helper()
	info := w.kafka.PartitionInfo(topic, partition)
	id := oracle.Identity{Cluster: "cluster", Topic: topic, TopicID: w.kafka.TopicInfo(topic).TopicID, Partition: partition}
	served := oracle.NewServed(id, 0, info.HighWatermark)
	if info.HighWatermark == 0 {
		return served
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(w.addr), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadUncommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(0)}}))
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := w.context()
	defer cancel()
	for last := int64(-1); last < info.HighWatermark-1; {
		fs := client.PollFetches(ctx)
		if err := errors.Join(fs.Err0(), context.Cause(ctx)); err != nil {
			w.t.Fatal(err)
		}
		for rec := range fs.RecordsAll() {
			if last = rec.Offset; rec.Attrs.IsControl() {
				continue
			}
			if err := served.Add(oracle.FromKafka(rec)); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	return served
}

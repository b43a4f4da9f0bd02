package fidelity

import (
	"context"
	"fmt"
	"iter"
	"math"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/s2mem"
)

const (
	group = "fidelity"
	// patient is the bound of everything that has no promise to keep.
	patient = 60 * time.Second
	// maxBatch in bytes is what the brokers take: a record of 60 MiB.
	maxBatch = 70 << 20
)

// world is a Kafka and an S2.
type world struct {
	t      *testing.T
	kafka  *kfake.Cluster
	addr   string // of Kafka
	s2     *s2mem.Server
	client *kgo.Client
	dir    string
	began  time.Time
}

// newWorld starts both. listener wraps Kafka's connections; nil: as they are.
func newWorld(t *testing.T, listener func(net.Listener) net.Listener) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), began: time.Now()}
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.ClusterID("cluster"), kfake.BrokerConfigs(map[string]string{"message.max.bytes": fmt.Sprint(maxBatch)})}
	if listener != nil {
		opts = append(opts, kfake.ListenFn(func(network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			if err != nil {
				return nil, err
			}
			return listener(l), nil
		}))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	w.kafka, w.addr = cluster, cluster.ListenAddrs()[0]
	cluster.ControlKey(int16(kmsg.Fetch), neverFull)
	w.s2 = s2mem.Start(t, s2mem.Options{})
	w.s2.OnAppend(w.withinLimits)
	w.client = w.producer(kgo.ProducerBatchCompression(kgo.NoCompression()))
	return w
}

// neverFull keeps fetches from reaching their limit. kfake ends such an answer inside of a partition and leaves out which of
// that partition's transactions were aborted: any consumer takes their records for committed ones.
func neverFull(req kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // the form is kfake's
	req.(*kmsg.FetchRequest).MaxBytes = math.MaxInt32
	return nil, nil, false
}

// withinLimits looks at what S2's own check would refuse, and what it would not: a batch in which somebody counted wrong.
func (w *world) withinLimits(a s2mem.Append) {
	metered := 0
	for _, r := range a.Records {
		metered += r.Metered()
	}
	if a.Count > s2mem.MaxBatchRecords || metered > s2mem.MaxBatchBytes {
		w.t.Errorf("%s: a batch of %d records, %d metered bytes", a.Stream, a.Count, metered)
	}
}

// producer is a client that the world closes.
func (w *world) producer(more ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(w.addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(maxBatch - 1000), kgo.BrokerMaxWriteBytes(1 << 30), kgo.MetadataMinAge(50 * time.Millisecond),
	}, more...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	return client
}

func (w *world) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(w.t.Context(), patient)
}

func (w *world) topic(name string, partitions int, config map[string]string) {
	w.t.Helper()
	values := map[string]string{"retention.ms": "-1", "max.message.bytes": fmt.Sprint(maxBatch)}
	for k, v := range config {
		values[k] = v
	}
	if err := w.kafka.CreateTopic(name, int32(partitions), values); err != nil {
		w.t.Fatal(err)
	}
}

// send produces records that say their topic and partition, one request after the other where they differ in partition.
func (w *world) send(recs ...*kgo.Record) { w.t.Helper(); w.sendBy(w.client, recs...) }

func (w *world) sendBy(client *kgo.Client, recs ...*kgo.Record) {
	w.t.Helper()
	ctx, cancel := w.context()
	defer cancel()
	if err := client.ProduceSync(ctx, recs...).FirstErr(); err != nil {
		w.t.Fatalf("produce: %v", err)
	}
}

// start runs a bridge of the topics. It is killed when the test ends.
func (w *world) start(name string, more bridge.Settings, topics ...string) *run {
	w.t.Helper()
	s := bridge.Settings{
		"kafka.brokers": []string{w.addr}, "kafka.group": group, "kafka.topics": topics, "kafka.session_timeout": "6s", "kafka.instance_id": "one",
		"s2.endpoint": w.s2.URL(), "s2.basin": s2mem.DefaultBasin, "s2.batches_per_second": 0, "memory.budget": "64MiB",
	}
	for k, v := range more {
		s[k] = v
	}
	p, err := bridge.Start(bridge.Options{Binary: program, Dir: w.dir, Name: name, Settings: s})
	if err != nil {
		w.t.Fatal(err)
	}
	r := &run{p, w.t}
	w.t.Cleanup(r.end)
	return r
}

// truth is what Kafka serves now.
func (w *world) truth(topics ...string) *oracle.Truth {
	w.t.Helper()
	ctx, cancel := w.context()
	defer cancel()
	truth, err := oracle.ReadKafka(ctx, topics, kgo.SeedBrokers(w.addr), kgo.FetchMaxBytes(1<<30), kgo.BrokerMaxReadBytes(1<<30))
	if err != nil {
		w.t.Fatal(err)
	}
	return truth
}

// commits are those of the group, by topic and partition.
func (w *world) commits(topics ...string) ([]oracle.Commit, error) {
	ctx, cancel := w.context()
	defer cancel()
	return oracle.ReadCommits(ctx, w.client, group, topics...)
}

// caughtUp waits until the group has committed exactly the last stable offset of every partition.
func (w *world) caughtUp(r *run, topics ...string) {
	w.t.Helper()
	r.await(patient, func() error {
		commits, err := w.commits(topics...)
		for _, c := range commits {
			if c.Offset != c.Stable && (c.Stable > 0 || c.Offset > 0) {
				return fmt.Errorf("%s/%d is committed up to %d, the last stable offset is %d", c.Topic, c.Partition, c.Offset, c.Stable)
			}
		}
		return err // there is no group until a bridge has joined it
	}, "the group's commits")
}

// copied waits until everything is committed, and compares all streams, and the commits, with what Kafka serves.
func (w *world) copied(r *run, topics ...string) []oracle.Report {
	w.t.Helper()
	w.caughtUp(r, topics...)
	return w.judge(w.truth(topics...), topics...)
}

// judge compares streams and commits with a truth.
func (w *world) judge(truth *oracle.Truth, topics ...string) []oracle.Report {
	w.t.Helper()
	commits, err := w.commits(topics...)
	if err != nil || len(commits) != len(truth.Partitions) || len(commits) == 0 {
		w.t.Fatalf("%d commits, %d partitions, %v", len(commits), len(truth.Partitions), err)
	}
	parts := map[string]int32{}
	for _, c := range commits {
		parts[c.Topic]++
	}
	var reports []oracle.Report
	for i, served := range truth.Partitions {
		report := w.check(served)
		if !report.OK() {
			w.t.Errorf("the stream is not what Kafka serves: %s", report)
		}
		// What is committed counts up to the position of the stream, which must be told by its records.
		if err := oracle.CheckCommit(commits[i], served, report, parts[commits[i].Topic]); err != nil && commits[i].Offset > 0 && report.Tail > 0 {
			w.t.Error(err)
		}
		reports = append(reports, report)
	}
	return reports
}

// check compares one stream.
func (w *world) check(served *oracle.Served) oracle.Report {
	w.t.Helper()
	report, err := oracle.Check(served, w.stream(served.Name()), oracle.Expect{Group: group, PastBefore: w.began.UnixMilli()})
	if err != nil {
		w.t.Fatal(err)
	}
	return report
}

// stream reads an S2 stream past the bridge and past the network.
func (w *world) stream(name string) iter.Seq2[oracle.Stored, error] {
	return func(yield func(oracle.Stored, error) bool) {
		for _, r := range w.s2.Records(name) {
			if !yield(stored(r), nil) {
				return
			}
		}
	}
}

func stored(r s2mem.Record) oracle.Stored {
	s := oracle.Stored{Seq: r.Seq, Timestamp: r.Timestamp, Body: r.Body}
	for _, h := range r.Headers {
		s.Headers = append(s.Headers, oracle.StoredHeader(h))
	}
	return s
}

// tails are the sequence numbers behind the streams' last records, by name.
func (w *world) tails() map[string]uint64 {
	tails := map[string]uint64{}
	for _, name := range w.s2.Streams() {
		tail, _ := w.s2.Tail(name)
		tails[name] = tail.Seq
	}
	return tails
}

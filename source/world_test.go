package source

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/sink"
	"kafka-s2-bridge/tests/s2mem"
)

const (
	group   = "bridge"
	patient = 60 * time.Second // no test waits longer for anything
)

// world is a Kafka cluster, an S2 server and the members that copy from one to
// the other. When the test ends, every commit that Kafka was sent is checked.
type world struct {
	t       *testing.T
	kafka   *kfake.Cluster
	s2      *s2mem.Server
	sink    *sink.Client
	kafkaC  *kgo.Client // produces and administers
	commits *commitLog
	members []*member
	level   slog.Level // of the members' logs
	refuse  string     // topic for which no owner can be started
	policy  handoff.Policy
	every   time.Duration // between two looks of a member's watch; 0: 300 ms
	perID   bool          // each topic id has streams of its own
}

func newWorld(t *testing.T, opts ...kfake.Opt) *world {
	t.Helper()
	t.Parallel()
	opts = append([]kfake.Opt{kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second), kfake.ClusterID("cluster")}, opts...)
	w := &world{t: t, s2: s2mem.Start(t, s2mem.Options{})}
	w.commits = newCommitLog(w)
	w.boot(opts...)
	t.Cleanup(func() { w.kafka.Close() })
	var err error
	w.sink, err = sink.New(sink.Config{Endpoint: w.s2.URL(), Basin: s2mem.DefaultBasin, Connections: 2, RequestTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.sink.Close)
	w.kafkaC = w.client()
	t.Cleanup(func() {
		for _, m := range w.members {
			m.leave()
		}
		w.commits.check()
	})
	return w
}

func (w *world) boot(opts ...kfake.Opt) {
	w.t.Helper()
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.kafka = cluster
	w.commits.watch()
}

// restart closes the cluster, lets change alter its files, and starts it again
// at the same address.
func (w *world) restart(dir string, change func()) {
	w.t.Helper()
	_, port, _ := net.SplitHostPort(w.kafka.ListenAddrs()[0])
	n, err := strconv.Atoi(port)
	if err != nil {
		w.t.Fatal(err)
	}
	w.kafka.Close()
	change()
	w.boot(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second), kfake.ClusterID("cluster"), kfake.DataDir(dir), kfake.Ports(n))
}

// client is closed when the test ends.
func (w *world) client(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	opts = append([]kgo.Opt{
		kgo.SeedBrokers(w.kafka.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(20 * time.Millisecond), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()), // so that a fetch is as large as it says
	}, opts...)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	return client
}

func (w *world) topic(name string, partitions int32) {
	w.t.Helper()
	if err := w.kafka.CreateTopic(name, partitions, nil); err != nil {
		w.t.Fatal(err)
	}
	w.commits.name(w.kafka.TopicInfo(name).TopicID, name)
}

// produce appends n records to a partition, each of size bytes.
func (w *world) produce(topic string, partition int32, n, size int) {
	w.t.Helper()
	recs := make([]*kgo.Record, n)
	for i := range recs {
		recs[i] = &kgo.Record{Topic: topic, Partition: partition, Value: make([]byte, size)}
	}
	if err := w.kafkaC.ProduceSync(w.t.Context(), recs...).FirstErr(); err != nil {
		w.t.Fatalf("produce to %s/%d: %v", topic, partition, err)
	}
}

// transact produces n records in a transaction of its own and ends it.
func (w *world) transact(topic string, partition int32, n int, commit kgo.TransactionEndTry) {
	w.t.Helper()
	w.endTransaction(w.begin(topic, partition, n), commit)
}

// begin leaves a transaction open.
func (w *world) begin(topic string, partition int32, n int) *kgo.Client {
	w.t.Helper()
	client := w.client(kgo.TransactionalID(fmt.Sprintf("tx-%d", time.Now().UnixNano())))
	if err := client.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	for range n {
		r := &kgo.Record{Topic: topic, Partition: partition, Value: []byte("in a transaction")}
		if err := client.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
	return client
}

func (w *world) endTransaction(client *kgo.Client, commit kgo.TransactionEndTry) {
	w.t.Helper()
	if err := client.EndTransaction(w.t.Context(), commit); err != nil {
		w.t.Fatal(err)
	}
}

// member is a running Source with real owners that write to the world's S2.
type member struct {
	*Source
	w        *world
	log      *logBook
	registry *prometheus.Registry
	stop     context.CancelFunc
	kill     context.CancelFunc // ends the owners as a crash would
	done     chan struct{}
	once     sync.Once
}

// config is what tests start from.
func (w *world) config(topics ...string) Config {
	return Config{
		Brokers: w.kafka.ListenAddrs(), Group: group, Topics: topics,
		SessionTimeout: 6 * time.Second, MetadataAge: 500 * time.Millisecond,
		Budget: 64 << 20, Drain: 5 * time.Second, MaxRecordBytes: 16 << 20,
	}
}

// join starts a member and returns at once.
func (w *world) join(cfg Config) *member {
	w.t.Helper()
	m := &member{w: w, log: &logBook{}, registry: prometheus.NewRegistry(), done: make(chan struct{})}
	if cfg.Logger == nil {
		cfg.Logger = m.log.logger(w.level)
	}
	alive, kill := context.WithCancel(context.Background())
	m.kill = kill
	metrics := handoff.NewMetrics(m.registry)
	slots := make(chan struct{}, 64)
	src, err := New(w.t.Context(), cfg, NewMetrics(m.registry), func(a handoff.Assignment, p handoff.Partition) (*handoff.Owner, error) {
		if m.log.assigned(a); w.refused(a) {
			return nil, errNoName
		}
		opt := ownerOptions(cfg, slots, metrics)
		opt.Policy = w.policy
		name := w.streamOf(a.Identity.Topic, a.Identity.TopicID, a.Identity.Partition)
		return handoff.Start(alive, opt, a, p, stream{w.sink.Stream(name, sink.StreamSettings{})}), nil
	})
	if err != nil {
		kill()
		w.t.Fatal(err)
	}
	m.Source = src
	m.every = cmp.Or(w.every, 300*time.Millisecond)
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	go func() {
		defer close(m.done)
		m.Run(ctx)
	}()
	w.members = append(w.members, m)
	return m
}

// leave ends a member in an orderly way, and fails the test if that hangs.
func (m *member) leave() {
	m.w.t.Helper()
	m.once.Do(func() {
		m.stop()
		select {
		case <-m.done:
		case <-time.After(patient):
			m.w.t.Error("Run does not end\n" + m.log.String())
		}
		m.kill()
	})
}

// stream is the sink's stream as an owner wants it.
type stream struct{ *sink.Stream }

func (s stream) Open(ctx context.Context, on handoff.SessionEvents) handoff.Session {
	return s.Stream.Open(ctx, sink.Events(on))
}

func streamOf(topic string, partition int32) string { return fmt.Sprintf("%s/%d", topic, partition) }

func (w *world) streamOf(topic string, id [16]byte, partition int32) string {
	if !w.perID {
		return streamOf(topic, partition)
	}
	return fmt.Sprintf("%s/%s/%d", topic, mapping.Identity{TopicID: id}.TopicUUID(), partition)
}

// until waits for a condition that other goroutines bring about.
func (w *world) until(what string, cond func() bool) {
	w.t.Helper()
	w.within(patient, what, cond)
}

func (w *world) within(limit time.Duration, what string, cond func() bool) {
	w.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for !cond() {
		select {
		case <-tick.C:
		case <-end:
			text := ""
			for i, m := range w.members {
				text += fmt.Sprintf("member %d: %+v\n%s\n", i, m.Status(), m.log)
			}
			w.t.Fatalf("waited in vain for: %s\n%s", what, text)
		}
	}
}

// hit waits until a fault, of Kafka or S2, was hit n times in all.
func (w *world) hit(f interface {
	Wait(ctx context.Context, n int) error
}, n int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patient)
	defer cancel()
	if err := f.Wait(ctx, n); err != nil {
		w.t.Fatalf("a fault was not hit %d times: %v", n, err)
	}
}

// copied lists the Kafka offsets of the data records in the stream of the topic
// that has the name now, in order.
func (w *world) copied(topic string, partition int32) []int64 {
	return w.copiedFrom(topic, w.kafka.TopicInfo(topic).TopicID, partition)
}

func (w *world) copiedFrom(topic string, id [16]byte, partition int32) (offsets []int64) {
	for _, r := range w.s2.Records(w.streamOf(topic, id, partition)) {
		if e := mapping.Classify(stored(r)); e.Kind == mapping.Data {
			offsets = append(offsets, e.Position.Offset)
		}
	}
	return offsets
}

func stored(r s2mem.Record) mapping.Stored {
	s := mapping.Stored{Seq: r.Seq, Timestamp: r.Timestamp, Body: r.Body}
	for _, h := range r.Headers {
		s.Headers = append(s.Headers, mapping.StoredHeader{Name: h.Name, Value: h.Value})
	}
	return s
}

// wantCopied waits until the stream has so many records, and checks that they
// are exactly the offsets from first on.
func (w *world) wantCopied(topic string, partition int32, first, end int64) {
	w.t.Helper()
	var want []int64
	for o := first; o < end; o++ {
		want = append(want, o)
	}
	w.wantOffsets(topic, partition, want)
}

func (w *world) wantOffsets(topic string, partition int32, want []int64) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d records of %s/%d in S2", len(want), topic, partition), func() bool { return len(w.copied(topic, partition)) >= len(want) })
	if got := w.copied(topic, partition); !slices.Equal(got, want) {
		w.t.Fatalf("%s/%d holds offsets %v, want %v", topic, partition, got, want)
	}
}

// of is the status of one partition; ok tells whether it is assigned.
func (m *member) of(topic string, partition int32) (st PartitionStatus, ok bool) {
	for _, p := range m.Status() {
		if p.Topic == topic && p.Partition == partition {
			return p, true
		}
	}
	return PartitionStatus{}, false
}

func (m *member) owns(n int) bool { return len(m.Status()) == n }

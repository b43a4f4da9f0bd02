package losses

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/losses/history"
	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/proc"
	"kafka-s2-bridge/tests/s2mem"
)

const (
	group = "losses"
	// patient bounds every wait: no test needs it, unless something is wrong.
	patient = 60 * time.Second
)

// world is a Kafka on files and an S2 in memory. A test may have two Kafkas that share one S2.
type world struct {
	t       *testing.T
	cluster string // Kafka's cluster id
	dir     string // Kafka's files
	port    int
	kafka   *kfake.Cluster
	client  *kgo.Client
	admin   *kadm.Client
	s2      *s2mem.Server
	history *history.History
	made    int
}

func newWorld(t *testing.T) *world { return worldWith(t, s2mem.Options{}) }

func worldWith(t *testing.T, o s2mem.Options) *world {
	t.Helper()
	return newKafka(t, "cluster", t.TempDir(), s2mem.Start(t, o))
}

// newKafka starts a Kafka on the files in dir, which may be those of another one.
func newKafka(t *testing.T, cluster, dir string, s2 *s2mem.Server) *world {
	t.Helper()
	w := &world{t: t, cluster: cluster, dir: dir, s2: s2}
	await(t, patient, func() (err error) { // somebody else may take the port in between
		if w.port, err = proc.FreePort(); err != nil {
			return err
		}
		return w.boot()
	}, "start a Kafka")
	t.Cleanup(func() { w.kafka.Close() })
	client, err := kgo.NewClient(kgo.SeedBrokers(w.address()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.MetadataMinAge(20*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	w.history = history.New(kgo.SeedBrokers(w.address()))
	w.client, w.admin = client, kadm.NewClient(client)
	return w
}

func (w *world) address() string { return fmt.Sprintf("127.0.0.1:%d", w.port) }

func (w *world) boot() (err error) {
	w.kafka, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID(w.cluster), kfake.DataDir(w.dir), kfake.Ports(w.port))
	return err
}

// restart closes Kafka, has its files changed, and starts it again at the same address.
func (w *world) restart(change func()) {
	w.t.Helper()
	w.kafka.Close()
	change()
	await(w.t, patient, w.boot, "start Kafka again")
}

// cut takes the batches from an offset on out of a partition's log: the election of a leader that had not got them.
func (w *world) cut(topic string, partition int32, from int64) {
	w.t.Helper()
	path := filepath.Join(w.dir, "partitions", fmt.Sprintf("%s-%d", topic, partition), "0.dat")
	raw, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	for at := 0; at < len(raw); at += 12 + int(binary.BigEndian.Uint32(raw[at+8:])) {
		if base := int64(binary.BigEndian.Uint64(raw[at:])); base == from {
			if err := os.Truncate(path, int64(at)); err != nil {
				w.t.Fatal(err)
			}
			return
		}
	}
	w.t.Fatalf("no batch of %s/%d begins at offset %d", topic, partition, from)
}

func (w *world) topic(name string, partitions int32) {
	w.t.Helper()
	if err := w.kafka.CreateTopic(name, partitions, nil); err != nil {
		w.t.Fatal(err)
	}
}

// recreate deletes a topic and creates it again.
func (w *world) recreate(name string, partitions int32) (was, now oracle.Identity) {
	w.t.Helper()
	was = w.identity(name, 0)
	if err := w.kafka.DeleteTopic(name); err != nil {
		w.t.Fatal(err)
	}
	w.client.PurgeTopicsFromClient(name)
	w.topic(name, partitions)
	return was, w.identity(name, 0)
}

// identity is that of the topic that has the name now.
func (w *world) identity(topic string, partition int32) oracle.Identity {
	return oracle.Identity{Cluster: w.cluster, Topic: topic, TopicID: w.kafka.TopicInfo(topic).TopicID, Partition: partition}
}

// produce appends n records to a partition, each a batch of its own, and gives the offset behind the last one.
func (w *world) produce(topic string, partition int32, n int) (end int64) {
	w.t.Helper()
	for range n {
		w.made++
		end = w.send(&kgo.Record{Topic: topic, Partition: partition, Key: fmt.Appendf(nil, "key %d", w.made),
			Value: fmt.Appendf(nil, "value %d of %s/%d at %s", w.made, topic, partition, w.cluster)})
	}
	return end
}

// produceAll appends n records to each of the partitions below parts.
func (w *world) produceAll(topic string, parts int32, n int) {
	w.t.Helper()
	for p := range parts {
		w.produce(topic, p, n)
	}
}

// send appends records in one go and gives the offset behind the last one.
func (w *world) send(records ...*kgo.Record) (end int64) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patient)
	defer cancel()
	if err := w.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		w.t.Fatalf("produce: %v", err)
	}
	for _, r := range records {
		end = max(end, r.Offset+1)
	}
	return end
}

// delete is Kafka's DeleteRecords: everything below the offset goes.
func (w *world) delete(topic string, partition int32, before int64) {
	w.t.Helper()
	if err := w.kafka.DeleteRecords(topic, partition, before); err != nil {
		w.t.Fatal(err)
	}
}

// keep notes what Kafka serves of topics now: the streams must hold it, also when Kafka has lost it by the time they are judged.
func (w *world) keep(topics ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patient)
	defer cancel()
	if err := w.history.Keep(ctx, topics...); err != nil {
		w.t.Fatal(err)
	}
}

// settings of a bridge of these topics, with more of them, which win.
func (w *world) settings(more bridge.Settings, topics ...string) bridge.Settings {
	s := bridge.Settings{
		"kafka.brokers": []string{w.address()}, "kafka.group": group, "kafka.topics": topics, "kafka.session_timeout": "10s",
		"s2.endpoint": w.s2.URL(), "s2.basin": s2mem.DefaultBasin, "s2.batches_per_second": 0, "s2.connections": 1,
		"memory.budget": "64MiB", "drain.timeout": "3s",
	}
	maps.Copy(s, more)
	return s
}

var errWaiting = errors.New("not yet")

// await polls check until it is nil.
func await(t *testing.T, within time.Duration, check func() error, what string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), within, fmt.Errorf("not within %s", within))
	defer cancel()
	if err := proc.Poll(ctx, 20*time.Millisecond, func(context.Context) error { return check() }); err != nil {
		t.Fatalf("%s: %v", fmt.Sprintf(what, args...), err)
	}
}

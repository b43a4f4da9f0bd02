package badinput

import (
	"context"
	"crypto/tls"
	"fmt"
	"iter"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/s2mem"
)

const (
	group = "badinput"
	basin = s2mem.DefaultBasin
)

// world is a Kafka and an S2 behind doors.
type world struct {
	t         *testing.T
	kafka     *kfake.Cluster
	s2        *s2mem.Server
	kafkaDoor *door
	s2Door    *door
	client    *kgo.Client // passes the door too: use it while that is open
	login     []kgo.Opt
	made      int
}

type worldOptions struct {
	kafka []kfake.Opt
	login []kgo.Opt // how the test itself logs in
	tls   *tls.Config
	s2    s2mem.Options
}

func newWorld(t *testing.T, o worldOptions) *world {
	t.Helper()
	w := &world{t: t, kafkaDoor: newDoor(t), s2Door: newDoor(t), login: o.login}
	opts := append([]kfake.Opt{
		kfake.NumBrokers(1), kfake.ClusterID("cluster"),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return w.kafkaDoor, nil }),
	}, o.kafka...)
	if o.tls != nil {
		opts = append(opts, kfake.TLS(o.tls))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	w.kafka = cluster
	w.s2 = s2mem.New(o.s2)
	t.Cleanup(w.s2.Close)
	w.s2.Start(w.s2Door)
	client, err := kgo.NewClient(w.options(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(4<<20), kgo.MetadataMinAge(50*time.Millisecond))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	w.client = client
	return w
}

// options are those of a client of the world's Kafka.
func (w *world) options(more ...kgo.Opt) []kgo.Opt {
	return append(append([]kgo.Opt{kgo.SeedBrokers(w.kafkaDoor.address())}, w.login...), more...)
}

// settings of a bridge of these topics, with more of them, which win.
func (w *world) settings(more bridge.Settings, topics ...string) bridge.Settings {
	s := bridge.Settings{
		"kafka.brokers": []string{w.kafkaDoor.address()}, "kafka.group": group, "kafka.topics": topics, "kafka.session_timeout": "6s",
		"s2.endpoint": "http://" + w.s2Door.address(), "s2.basin": basin, "s2.batches_per_second": 0, "s2.connections": 2,
		"memory.budget": "64MiB", "drain.timeout": "3s",
	}
	for k, v := range more {
		s[k] = v
	}
	return s
}

func (w *world) topic(name string, partitions int32) {
	w.t.Helper()
	if err := w.kafka.CreateTopic(name, partitions, nil); err != nil {
		w.t.Fatal(err)
	}
}

// produce appends n records to a partition.
func (w *world) produce(topic string, partition int32, n int) {
	w.t.Helper()
	recs := make([]*kgo.Record, n)
	for i := range recs {
		w.made++
		recs[i] = &kgo.Record{Topic: topic, Partition: partition, Key: []byte("key " + strconv.Itoa(w.made)), Value: fmt.Appendf(nil, "value %d of %s/%d", w.made, topic, partition)}
	}
	w.send(recs...)
}

// produceAll appends n records to each of the partitions below parts.
func (w *world) produceAll(topic string, parts int32, n int) {
	w.t.Helper()
	for p := range parts {
		w.produce(topic, p, n)
	}
}

func (w *world) send(recs ...*kgo.Record) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patient)
	defer cancel()
	if err := w.client.ProduceSync(ctx, recs...).FirstErr(); err != nil {
		w.t.Fatalf("produce: %v", err)
	}
}

// offsets is how many of a partition's offsets its stream must hold or be committed: by partition; absent: all.
type offsets map[int32]int64

// copied waits until the streams of a topic hold, and the group has committed, what Kafka serves: every record once, in order,
// byte by byte. Of the partitions in upTo only the offsets below count.
func (w *world) copied(within time.Duration, topic string, upTo offsets) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), within+patient)
	defer cancel()
	truth, err := oracle.ReadKafka(ctx, []string{topic}, w.options()...)
	if err != nil {
		w.t.Fatal(err)
	}
	await(w.t, within, func() error {
		commits, err := oracle.ReadCommits(ctx, w.client, group, topic)
		if err != nil {
			return err
		}
		for _, c := range commits {
			want, part := upTo[c.Partition]
			if !part {
				want = c.Stable
			}
			if c.Offset != want && (want > 0 || c.Offset > 0) {
				return fmt.Errorf("%s/%d is committed up to %d, want %d", topic, c.Partition, c.Offset, want)
			}
		}
		return nil
	}, "copy of %s", topic)
	for _, served := range truth.Partitions {
		report, err := oracle.Check(served, w.stream(served.Name()), oracle.Expect{Group: group, Planted: planted})
		if err != nil {
			w.t.Fatal(err)
		}
		if want, part := upTo[served.Identity.Partition]; part {
			// The rest is missing, and that only.
			if report.Missing != served.Len()-int(want-served.Start) || report.Bad() != report.Missing {
				w.t.Errorf("%s must hold %d records and no more: %s", served.Name(), want, report)
			}
		} else if !report.OK() {
			w.t.Errorf("%s is not what Kafka serves: %s", served.Name(), report)
		}
	}
}

// stream reads an S2 stream past the bridge and past the network.
func (w *world) stream(name string) iter.Seq2[oracle.Stored, error] {
	return func(yield func(oracle.Stored, error) bool) {
		for _, r := range w.s2.Records(name) {
			s := oracle.Stored{Seq: r.Seq, Timestamp: r.Timestamp, Body: r.Body}
			for _, h := range r.Headers {
				s.Headers = append(s.Headers, oracle.StoredHeader{Name: h.Name, Value: h.Value})
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

// foreignBody is in records that the test itself puts into a stream.
const foreignBody = "appended by another program"

func planted(s oracle.Stored) bool { return string(s.Body) == foreignBody }

// secretFile writes a secret into a file.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	writeFile(t, path, text+"\n")
	return path
}

// writeFile replaces a file in one step, as tools that rotate secrets do.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

//go:build real

package real_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/produce"
	"kafka-s2-bridge/tests/oracle/s2read"
	"kafka-s2-bridge/tests/real/kafka"
	"kafka-s2-bridge/tests/real/s2lite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is Apache Kafka with two topics of 8 partitions, s2-lite on disk, and what is needed to fill and to judge them.
type world struct {
	kafka  *kafka.Broker
	s2     *s2lite.Server
	shapes *produce.Shapes
	ledger *oracle.Ledger
	topics []string
	seed   uint64
}

// newWorld starts the servers and makes the topics. The second topic's records are stamped by the broker.
func newWorld(ctx context.Context, t *testing.T) *world {
	t.Helper()
	w := &world{seed: number(t, "REAL_SEED", 1), ledger: oracle.NewLedger(), topics: []string{"orders", "audit"}}
	t.Logf("REAL_SEED=%d", w.seed)
	w.kafka = kafka.Run(t, kafka.Options{})
	w.s2 = s2lite.Run(t, s2lite.Options{LocalRoot: filepath.Join(t.TempDir(), "root"), Basin: "real-test"})
	w.shapes = &produce.Shapes{Seed: w.seed, Topics: []produce.Topic{{Name: "orders", Partitions: 5}, {Name: "audit", Partitions: 3}}, MaxValue: 4 << 20}
	for _, topic := range w.shapes.Topics {
		config := w.shapes.TopicConfig()
		if topic.Name == "audit" {
			config["message.timestamp.type"] = "LogAppendTime"
		}
		if err := w.kafka.CreateTopic(ctx, topic.Name, topic.Partitions, config); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// number is an environment variable, or the default.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// parts is a topic's number of partitions.
func (w *world) parts(topic string) int32 {
	for _, t := range w.shapes.Topics {
		if t.Name == topic {
			return t.Partitions
		}
	}
	return 0
}

func (w *world) brokers() kgo.Opt { return kgo.SeedBrokers(w.kafka.Addr()) }

// judge reads Kafka and S2 and compares: the ledger with Kafka, Kafka with the streams, the streams with the commits of the group.
func (w *world) judge(ctx context.Context, t *testing.T, group string, want oracle.Expect) oracle.Report {
	t.Helper()
	truth, err := oracle.ReadKafka(ctx, w.topics, w.brokers())
	if err != nil {
		t.Fatal(err)
	}
	tally := w.ledger.Compare(truth)
	t.Logf("Kafka serves %d records; %v", truth.Records(), tally)
	if !tally.OK() {
		t.Error("Kafka does not serve what it acknowledged: the harness is at fault")
	}
	reader := s2read.New(w.s2.URL(), w.s2.Basin(), "")
	reports, err := reader.CheckAll(ctx, truth, nil, func(s *oracle.Served) oracle.Expect {
		e := want
		e.Group = group
		e.Explain = func(offset int64) string {
			return w.ledger.Explain(s.Identity.Topic, s.Identity.Partition, offset)
		}
		return e
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		t.Log(r)
	}
	sum := oracle.Sum(reports)
	if !sum.OK() {
		t.Errorf("the streams are not what Kafka serves: %v", sum)
	}
	cl, err := w.kafka.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	commits, err := oracle.ReadCommits(ctx, cl, group, w.topics...)
	if err != nil {
		t.Fatal(err)
	}
	if len(commits) != len(reports) {
		t.Fatalf("%d partitions have commits or ends, %d streams", len(commits), len(reports))
	}
	for i, c := range commits { // both are ordered by topic and partition
		if err := oracle.CheckCommit(c, truth.Partitions[i], reports[i], w.parts(c.Topic)); err != nil {
			t.Error(err)
		}
	}
	return sum
}

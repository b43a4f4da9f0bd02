//go:build real

package real_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/losses/history"
	"kafka-s2-bridge/tests/losses/operator"
	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/s2read"
	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/kafka"
	"kafka-s2-bridge/tests/real/proc"
	"kafka-s2-bridge/tests/real/s2lite"
)

// lossy is a world whose operator looks at the bridge and types commands.
type lossy struct {
	*world
	run     *bridge.Process
	t       *testing.T
	ctx     context.Context
	program string
	s2cli   string
	client  *kgo.Client
	admin   *kadm.Client
	history *history.History
	down    bool // the bridge was stopped
}

func newLossy(ctx context.Context, t *testing.T) *lossy {
	t.Helper()
	l := &lossy{world: &world{}, t: t, ctx: ctx}
	l.kafka = kafka.Run(t, kafka.Options{Properties: map[string]string{
		"log.retention.check.interval.ms": "300", "log.initial.task.delay.ms": "100", // retention, soon
	}})
	l.s2 = s2lite.Run(t, s2lite.Options{LocalRoot: filepath.Join(t.TempDir(), "root"), Basin: "real-losses"})
	var err error
	if l.s2cli, err = s2lite.Binary(ctx, t.Logf); err != nil {
		t.Fatal(err)
	}
	if l.program, err = bridge.Build(ctx, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if l.client, err = l.kafka.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.MetadataMinAge(50*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.client.Close)
	l.admin = kadm.NewClient(l.client)
	l.history = history.New(l.brokers())
	return l
}

func (l *lossy) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// await polls check until it is nil.
func (l *lossy) await(what string, check func(ctx context.Context) error) {
	l.t.Helper()
	ctx, cancel := context.WithTimeoutCause(l.ctx, 45*time.Second, fmt.Errorf("not within 45 s: %s", what))
	defer cancel()
	l.must(proc.Poll(ctx, 50*time.Millisecond, func(ctx context.Context) error {
		if l.run != nil && !l.down && !l.run.Child().Running() {
			return proc.Final(fmt.Errorf("the bridge ended: %w", l.run.Child().Err()))
		}
		return check(ctx)
	}))
}

// produce appends n records to each of the partitions.
func (l *lossy) produce(topic string, n int, partitions ...int32) {
	l.t.Helper()
	var recs []*kgo.Record
	for _, p := range partitions {
		for i := range n {
			recs = append(recs, &kgo.Record{Topic: topic, Partition: p, Key: []byte(strconv.Itoa(i)), Value: fmt.Appendf(nil, "%s/%d %d at %s", topic, p, i, time.Now())})
		}
	}
	l.must(l.client.ProduceSync(l.ctx, recs...).FirstErr())
}

func (l *lossy) deleteRecords(topic string, partition int32, before int64) {
	l.t.Helper()
	var to kadm.Offsets
	to.AddOffset(topic, partition, before, -1)
	done, err := l.admin.DeleteRecords(l.ctx, to)
	l.must(errors.Join(err, done.Error()))
}

// retain sets how long a topic keeps its records, in ms.
func (l *lossy) retain(topic, ms string) {
	l.t.Helper()
	done, err := l.admin.AlterTopicConfigs(l.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &ms}}, topic)
	l.must(err)
	for _, r := range done {
		l.must(r.Err)
	}
}

func (l *lossy) recreate(topic string) {
	l.t.Helper()
	_, err := l.admin.DeleteTopic(l.ctx, topic)
	l.must(err)
	l.client.PurgeTopicsFromClient(topic)
	l.await("the topic's name is free", func(ctx context.Context) error { return l.kafka.CreateTopic(ctx, topic, 1, nil) })
}

func (l *lossy) identity(topic string, partition int32) (id oracle.Identity) {
	l.t.Helper()
	l.await("the topic has an id", func(ctx context.Context) error {
		meta, err := l.admin.Metadata(ctx, topic)
		id = oracle.Identity{Cluster: meta.Cluster, Topic: topic, TopicID: meta.Topics[topic].ID, Partition: partition}
		if err == nil && id.TopicID == [16]byte{} {
			err = errors.New("it is not known")
		}
		return err
	})
	return id
}

// types runs the bridge's command or S2's, as a user does, and gives what it printed.
func (l *lossy) types(code int, args ...string) string {
	l.t.Helper()
	program := l.program
	if args[0] == "s2" {
		program, args = l.s2cli, args[1:]
	}
	said, err := operator.Type(l.ctx, program, args...)
	l.must(err)
	l.t.Logf("$ %s %s\n%s%s", filepath.Base(program), strings.Join(args, " "), said.Out, said.Err)
	if said.Code != code {
		l.t.Fatalf("it ends with %d, want %d", said.Code, code)
	}
	return said.Out
}

// s2 types a command of S2's own CLI about the stream of a partition.
func (l *lossy) s2do(command, stream string, more ...string) string {
	l.t.Helper()
	return l.types(0, append([]string{"s2", command, "s2://" + l.s2.Basin() + "/" + stream}, more...)...)
}

// answers is `bridge resume`.
func (l *lossy) answers(target, answer string) {
	l.t.Helper()
	if out := l.types(0, "resume", target, "--accept", answer, "-c", l.run.Config()); !strings.Contains(out, answer+" accepted") {
		l.t.Fatal("it was not accepted")
	}
}

// held waits until a partition is held for the reason, with the words in what it says.
func (l *lossy) held(topic string, partition int32, reason string, words ...string) (s operator.Status) {
	l.t.Helper()
	l.await(fmt.Sprintf("%s/%d is held for %s with %q", topic, partition, reason, words), func(ctx context.Context) (err error) {
		if s, err = operator.Partition(ctx, l.run, topic, partition); err != nil {
			return err
		}
		for _, w := range append(words, "") {
			if s.Reason != reason || s.State != "held" || !strings.Contains(s.Detail, w) {
				return fmt.Errorf("%+v", s)
			}
		}
		return nil
	})
	l.t.Logf("%s/%d is held (%s): %s; lost %v", topic, partition, s.Reason, s.Detail, s.Lost)
	return s
}

// copied waits until the group has committed all that Kafka has of the partitions.
func (l *lossy) copied(topic string, partitions ...int32) {
	l.t.Helper()
	l.await(fmt.Sprintf("%s %d are copied", topic, partitions), func(ctx context.Context) error {
		commits, err := oracle.ReadCommits(ctx, l.client, group, topic)
		if err != nil {
			return err
		}
		for _, c := range commits {
			if slices.Contains(partitions, c.Partition) && c.Offset != c.Stable {
				return fmt.Errorf("%s/%d is committed up to %d of %d", topic, c.Partition, c.Offset, c.Stable)
			}
		}
		return nil
	})
}

func (l *lossy) keep(topics ...string) {
	l.t.Helper()
	l.must(l.history.Keep(l.ctx, topics...))
}

func (l *lossy) stored(stream string) (list []oracle.Stored) {
	l.t.Helper()
	for s, err := range s2read.New(l.s2.URL(), l.s2.Basin(), "").Stream(l.ctx, stream) {
		l.must(err)
		list = append(list, s)
	}
	return list
}

// exact compares a stream, from a sequence number on, with what Kafka served of the partition from an offset on.
func (l *lossy) exact(topic string, partition int32, first uint64, from int64, planted func(oracle.Stored) bool, gaps ...history.Gap) {
	l.t.Helper()
	served, err := l.history.Served(l.identity(topic, partition), 0)
	l.must(err)
	section := history.Section(l.stored(served.Name()), first, 0)
	report, err := oracle.Check(served, history.All(section), oracle.Expect{Start: from, Group: group, AllowGaps: true, Planted: planted})
	l.must(err)
	l.t.Log(report)
	if !report.OK() || report.Records == 0 {
		l.t.Errorf("%s is not what Kafka served", served.Name())
	}
	if found := history.Gaps(section); !slices.Equal(found, gaps) {
		l.t.Errorf("%s has the gaps %v, want %v", served.Name(), found, gaps)
	}
}

func gapOf(reason string, from, to int64) history.Gap {
	return history.Gap{From: from, To: to, Reason: reason}
}

// Retention and DeleteRecords, topics that are created anew, trims, foreign writers and fences by S2's own CLI, a deleted stream,
// offsets that were reset: on Apache Kafka and s2-lite, with the operator's commands as a new user would type them. Each partition
// of the topic orders has a trouble of its own; orders/7 has none.
func TestLosses(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	l := newLossy(ctx, t)
	t.Setenv("S2_ACCESS_TOKEN", "none")
	t.Setenv("S2_ACCOUNT_ENDPOINT", l.s2.URL())
	t.Setenv("S2_BASIN_ENDPOINT", l.s2.URL())
	l.must(l.kafka.CreateTopic(ctx, "orders", 8, nil))
	l.must(l.kafka.CreateTopic(ctx, "again", 1, nil))
	l.must(l.kafka.CreateTopic(ctx, "reborn", 1, nil))
	l.must(l.kafka.CreateTopic(ctx, "brief", 1, map[string]string{"retention.ms": "3600000"}))
	all := []int32{0, 1, 2, 3, 4, 5, 6, 7}
	l.produce("orders", 100, all...)
	for _, topic := range []string{"again", "reborn", "brief"} {
		l.produce(topic, 100, 0)
	}
	l.topics = []string{"orders", "again", "reborn", "brief"}
	l.run = l.bridge(t, l.program, t.TempDir(), "losses", nil)
	l.copied("orders", all...)
	for _, topic := range l.topics[1:] {
		l.copied(topic, 0)
	}
	l.keep(l.topics...)

	// While it runs.
	trimmed := uint64(len(l.stored("orders/0")))
	l.s2do("trim", "orders/0", strconv.FormatUint(trimmed, 10))
	foreign := filepath.Join(t.TempDir(), "foreign")
	l.must(os.WriteFile(foreign, []byte(foreignText+"\n"), 0o600))
	l.s2do("append", "orders/1", "-i", foreign)
	l.s2do("fence", "orders/2", "stranger")
	l.s2do("fence", "orders/3", "")
	l.s2do("delete-stream", "orders/4")
	l.must(l.run.Child().Signal(syscall.SIGSTOP))
	l.produce("orders", 1, 5)     // a fetch that waited may bring this one
	<-time.After(3 * time.Second) // it is answered within half a second; the next one is not sent before SIGCONT
	l.produce("orders", 49, 5)
	l.keep("orders")
	l.deleteRecords("orders", 5, 140)
	l.must(l.run.Child().Signal(syscall.SIGCONT))
	was := l.identity("again", 0)
	l.recreate("again")
	now := l.identity("again", 0)
	l.produce("again", 150, 0)
	l.produce("orders", 10, 0, 1, 2, 3, 4, 6, 7)
	l.held("orders", 1, "foreign-record", "record 102")
	l.held("orders", 2, "foreign-identity", `"stranger"`)
	l.held("orders", 3, "token-cleared")
	l.held("orders", 4, "s2-behind")
	lost := l.held("orders", 5, "retention-lost", "140").Lost
	if lost == nil || lost.To != 140 || lost.From < 100 || lost.From > 101 {
		t.Fatalf("it says that %v is lost", lost)
	}
	l.held("again", 0, "topic-recreated", was.UUID(), now.UUID())
	l.copied("orders", 0, 6, 7)
	out := l.types(1, "partitions", "-c", l.run.Config())
	for _, name := range []string{"orders/1", "orders/2", "orders/3", "orders/4", "orders/5", "again/0"} {
		if !strings.Contains(out, "\n"+name+" is held") {
			t.Errorf("it does not say that %s is held", name)
		}
	}
	l.types(2, "resume", "orders/5", "-c", l.run.Config())
	l.answers("orders/1", "adopt")
	l.answers("orders/2", "adopt")
	l.answers("orders/3", "adopt")
	l.answers("orders/4", "gap") // when S2 has finished the deletion
	l.answers("orders/5", "gap")
	l.copied("orders", 0, 1, 2, 3, 5, 6, 7)
	l.answers("again/0", "adopt")
	l.held("again", 0, "topic-recreated", "not adopted")
	l.s2do("delete-stream", "again/0")
	l.answers("again/0", "retry")
	l.copied("orders", 4)
	l.copied("again", 0)
	l.keep("orders", "again")
	l.exact("again", 0, 0, 0, nil)

	// While it is down.
	l.must(l.run.Stop(15 * time.Second))
	l.down = true
	l.produce("orders", 50, all...)
	l.produce("brief", 50, 0)
	l.keep("orders", "brief")
	l.deleteRecords("orders", 6, 130)
	l.retain("brief", "1")
	l.await("retention deletes everything", func(ctx context.Context) error {
		starts, err := l.admin.ListStartOffsets(ctx, "brief")
		if at, ok := starts.Lookup("brief", 0); err == nil && (!ok || at.Offset != 150) {
			err = fmt.Errorf("the log starts at %d", at.Offset)
		}
		return err
	})
	l.retain("brief", "3600000")
	wasReborn := l.identity("reborn", 0)
	l.recreate("reborn")
	l.produce("reborn", 150, 0)
	var moved kadm.Offsets
	moved.AddOffset("orders", 0, 140, -1)
	moved.AddOffset("orders", 7, 5, -1)
	set, err := l.admin.CommitOffsets(ctx, group, moved)
	l.must(errors.Join(err, set.Error()))
	l.must(l.run.Restart())
	l.down = false
	l.must(l.held("orders", 6, "retention-lost", "130").Loses(110, 130))
	l.must(l.held("brief", 0, "retention-lost", "150").Loses(100, 150))
	l.held("reborn", 0, "topic-recreated", wasReborn.UUID(), l.identity("reborn", 0).UUID())
	l.copied("orders", 0, 1, 2, 3, 4, 5, 7)
	l.answers("orders", "gap")
	l.answers("brief/0", "gap")
	l.copied("orders", all...)
	l.copied("brief", 0)
	l.produce("brief", 10, 0)
	l.produce("orders", 10, all...)
	l.keep("orders", "brief")
	l.copied("orders", all...)
	l.copied("brief", 0)

	// What the streams hold, and what the commands say of that.
	empty := gapOf("operator", 100, 100)
	adopted := func(s oracle.Stored) bool {
		g, ok := history.AsGap(s)
		it := oracle.Decode(s)
		return ok && g == empty || string(s.Body) == foreignText || it.Kind == oracle.Fence && (it.Token == "stranger" || it.Token == "")
	}
	l.exact("orders", 0, trimmed+1, 100, nil)
	for p := range int32(3) {
		l.exact("orders", p+1, 0, 0, adopted, empty)
	}
	l.exact("orders", 4, 0, 0, nil, gapOf("operator", 0, 100))
	l.exact("orders", 5, 0, 0, nil, gapOf("retention", lost.From, 140))
	l.exact("orders", 6, 0, 0, nil, gapOf("retention", 110, 130))
	l.exact("orders", 7, 0, 0, nil)
	l.exact("brief", 0, 0, 0, nil, gapOf("retention", 100, 150))
	out = l.types(0, "gaps", "-c", l.run.Config(), "--topic", "orders")
	for _, word := range []string{"orders/6", "110", "130", "retention", "orders/4", "operator"} {
		if !strings.Contains(out, word) {
			t.Errorf("it does not say %q", word)
		}
	}
	if strings.Contains(out, "unexplained") {
		t.Error("something is missing that nothing accounts for")
	}
	l.must(l.run.Stop(15 * time.Second))
}

// foreignText is what another program appends.
const foreignText = "appended by another program"

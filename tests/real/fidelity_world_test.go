//go:build real

package real_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/s2read"
	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/kafka"
	"kafka-s2-bridge/tests/real/proc"
	"kafka-s2-bridge/tests/real/s2lite"
)

// faithful is a world with one bridge.
type faithful struct {
	*world
	t      *testing.T
	ctx    context.Context
	client *kgo.Client
	bin    string
	began  time.Time
}

func newFaithful(ctx context.Context, t *testing.T, heap string, properties map[string]string) *faithful {
	t.Helper()
	f := &faithful{world: &world{}, t: t, ctx: ctx, began: time.Now()}
	f.kafka = kafka.Run(t, kafka.Options{Heap: heap, Properties: properties})
	f.s2 = s2lite.Run(t, s2lite.Options{LocalRoot: filepath.Join(t.TempDir(), "root"), Basin: "real-fidelity"})
	f.client = f.producer(kgo.ProducerBatchCompression(kgo.NoCompression()))
	var err error
	if f.bin, err = bridge.Build(ctx, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *faithful) producer(more ...kgo.Opt) *kgo.Client {
	f.t.Helper()
	cl, err := f.kafka.Client(append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(1<<30 - 1<<20),
		kgo.BrokerMaxWriteBytes(1 << 30), kgo.MetadataMinAge(50 * time.Millisecond)}, more...)...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(cl.Close)
	return cl
}

func (f *faithful) topic(name string, partitions int32, config map[string]string) {
	f.t.Helper()
	f.topics = append(f.topics, name)
	values := map[string]string{"retention.ms": "-1"} // timestamps are of all times here
	maps.Copy(values, config)
	if err := f.kafka.CreateTopic(f.ctx, name, partitions, values); err != nil {
		f.t.Fatal(err)
	}
	f.await(nil, 30*time.Second, func() error { // the broker knows of it a little later
		starts, err := kadm.NewClient(f.client).ListStartOffsets(f.ctx, name)
		return errors.Join(err, starts.Error())
	})
}

func (f *faithful) send(cl *kgo.Client, recs ...*kgo.Record) {
	f.t.Helper()
	if err := cl.ProduceSync(f.ctx, recs...).FirstErr(); err != nil {
		f.t.Fatalf("produce: %v", err)
	}
}

func (f *faithful) truth(topics ...string) *oracle.Truth {
	f.t.Helper()
	truth, err := oracle.ReadKafka(f.ctx, topics, f.brokers(), kgo.FetchMaxBytes(1<<29), kgo.BrokerMaxReadBytes(1<<30))
	if err != nil {
		f.t.Fatal(err)
	}
	return truth
}

// committed waits until the group has committed the last stable offset itself, everywhere.
func (f *faithful) committed(b *bridge.Process, topics ...string) (commits []oracle.Commit) {
	f.t.Helper()
	f.await(b, 90*time.Second, func() (err error) {
		if commits, err = oracle.ReadCommits(f.ctx, f.client, group, topics...); err != nil {
			return err
		}
		for _, c := range commits {
			if c.Offset != c.Stable && (c.Stable > 0 || c.Offset > 0) {
				return fmt.Errorf("%s/%d is committed up to %d, the last stable offset is %d", c.Topic, c.Partition, c.Offset, c.Stable)
			}
		}
		return nil
	})
	return commits
}

// copied waits until everything is committed, and compares.
func (f *faithful) copied(b *bridge.Process, topics ...string) []oracle.Report {
	f.t.Helper()
	commits := f.committed(b, topics...)
	truth := f.truth(topics...)
	reports, err := s2read.New(f.s2.URL(), f.s2.Basin(), "").CheckAll(f.ctx, truth, nil, func(*oracle.Served) oracle.Expect {
		return oracle.Expect{Group: group, PastBefore: f.began.UnixMilli()}
	})
	if err != nil {
		f.t.Fatal(err)
	}
	parts := map[string]int32{}
	for _, c := range commits {
		parts[c.Topic]++
	}
	for i, r := range reports {
		if !r.OK() {
			f.t.Errorf("the stream is not what Kafka serves: %v", r)
		}
		if err := oracle.CheckCommit(commits[i], truth.Partitions[i], r, parts[commits[i].Topic]); err != nil && r.Tail > 0 {
			f.t.Error(err)
		}
	}
	return reports
}

func (f *faithful) await(b *bridge.Process, within time.Duration, check func() error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeoutCause(f.ctx, within, fmt.Errorf("not within %s", within))
	defer cancel()
	if err := proc.Poll(ctx, 100*time.Millisecond, func(context.Context) error {
		if b != nil && !b.Child().Running() {
			return proc.Final(fmt.Errorf("bridge %s ended by itself: %w", b.Name(), b.Child().Err()))
		}
		return check()
	}); err != nil {
		f.t.Fatal(err)
	}
}

// tell logs the largest resident set of a running bridge.
func (f *faithful) tell(b *bridge.Process, what string) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.Pid()))
	if err != nil {
		f.t.Logf("%s: memory is not measured: %v", what, err)
		return
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmHWM:") {
			f.t.Logf("%s: peak resident set %s", what, strings.Join(strings.Fields(line)[1:], " "))
		}
	}
}

// bytesOf are n bytes that do not repeat.
func bytesOf(n int, seed uint64) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(b) // never fails
	return b
}

// partitionWriter writes numbered records into one partition.
type partitionWriter struct {
	f    *faithful
	to   kgo.Record
	made int
	tx   *kgo.Client
}

func (f *faithful) writer(topic string, partition int) *partitionWriter {
	return &partitionWriter{f: f, to: kgo.Record{Topic: topic, Partition: int32(partition)}}
}

func (p *partitionWriter) records(n int) (recs []*kgo.Record) {
	for range n {
		p.made++
		r := p.to
		r.Key, r.Value = fmt.Appendf(nil, "key %d", p.made), fmt.Appendf(nil, "value %d", p.made)
		recs = append(recs, &r)
	}
	return recs
}

func (p *partitionWriter) plain(n int) { p.f.send(p.f.client, p.records(n)...) }

func (p *partitionWriter) begin(recs ...*kgo.Record) {
	if p.tx == nil {
		p.tx = p.f.producer(kgo.TransactionalID(fmt.Sprintf("%s-%d", p.to.Topic, p.to.Partition)), kgo.TransactionTimeout(10*time.Minute))
	}
	if err := p.tx.BeginTransaction(); err != nil {
		p.f.t.Fatal(err)
	}
	p.f.send(p.tx, recs...)
}

func (p *partitionWriter) end(commit kgo.TransactionEndTry) {
	if err := p.tx.EndTransaction(p.f.ctx, commit); err != nil {
		p.f.t.Fatal(err)
	}
}

func (p *partitionWriter) commit() { p.end(kgo.TryCommit) }
func (p *partitionWriter) abort()  { p.end(kgo.TryAbort) }

// types are the timestamp types of what Kafka serves of partition 0, in order.
func (f *faithful) types(t *testing.T, topic string) (all []byte) {
	t.Helper()
	end := f.truth(topic).Partitions[0].End
	cl, err := f.kafka.Client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(0)}}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for int64(len(all)) < end {
		fs := cl.PollFetches(f.ctx)
		if err := errors.Join(fs.Err0(), context.Cause(f.ctx)); err != nil {
			t.Fatal(err)
		}
		for r := range fs.RecordsAll() {
			all = append(all, oracle.FromKafka(r).Type)
		}
	}
	return all
}

// token asks S2 for a stream's fencing token: an append that cannot match.
func (f *faithful) token(t *testing.T, stream string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(f.ctx, http.MethodPost, f.s2.URL()+"/v1/streams/"+url.PathEscape(stream)+"/records",
		strings.NewReader(`{"records":[{}],"fencing_token":"nobody's","match_seq_num":4611686018427387904}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("content-type", "application/json")
	req.Header.Set("s2-basin", f.s2.Basin())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	var said struct {
		Token *string `json:"fencing_token_mismatch"`
	}
	if err != nil || resp.StatusCode != http.StatusPreconditionFailed || json.Unmarshal(text, &said) != nil || said.Token == nil {
		t.Fatalf("token of %s: %s %s, %v", stream, resp.Status, text, err)
	}
	return *said.Token
}

func (f *faithful) tail(t *testing.T, stream string) uint64 {
	t.Helper()
	tail, err := s2read.New(f.s2.URL(), f.s2.Basin(), "").Tail(f.ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	return tail
}

package hazards

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/s2-streamstore/s2-sdk-go/s2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/network/bed"
	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/produce"
	"kafka-s2-bridge/tests/s2mem"
)

// copier copies five records by hand, under the eyes of the watch that judges the bridges of tests/synctest and tests/network.
type copier struct {
	t       *testing.T
	ctx     context.Context
	kafka   *kfake.Cluster
	client  *kgo.Client
	s2      *s2mem.Server
	stream  *s2.StreamClient
	watch   *bed.Watch
	judge   *bed.Judge
	served  *oracle.Served
	records []oracle.Record
	token   string
	next    uint64
	last    int64
}

func newCopier(t *testing.T) *copier {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("cluster"), kfake.SeedTopics(1, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	c := &copier{t: t, ctx: ctx, kafka: kafka, s2: s2mem.Start(t, s2mem.Options{}), last: -1}
	if c.client, err = kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.client.Close)
	trace := bed.NewTrace(100)
	c.watch = bed.NewWatch(kafka, c.s2, "bridge", trace)
	c.watch.Name(kafka.TopicInfo("orders").TopicID, "orders")
	ledger := oracle.NewLedger()
	for i := range 5 {
		r := &kgo.Record{Topic: "orders", Key: fmt.Append(nil, i), Value: fmt.Append(nil, "value ", i)}
		err := c.client.ProduceSync(ctx, r).FirstErr()
		ledger.Produced(r, 0, err)
		rec := oracle.FromKafka(r)
		rec.Epoch = 0 // kfake's first leader; a producer is not told
		c.records = append(c.records, rec)
	}
	truth, err := oracle.ReadKafka(ctx, []string{"orders"}, kgo.SeedBrokers(kafka.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	c.served = truth.Partitions[0]
	c.judge = &bed.Judge{Kafka: []kgo.Opt{kgo.SeedBrokers(kafka.ListenAddrs()...)}, S2: c.s2, Group: "bridge",
		Topics: []produce.Topic{{Name: "orders", Partitions: 1}}, Ledger: ledger, Watch: c.watch}
	url := c.s2.URL() + "/v1"
	client := s2.New("none", &s2.ClientOptions{BaseURL: url, MakeBasinBaseURL: func(string) string { return url }})
	c.s2.Create("orders/0")
	c.stream = client.Basin(s2mem.DefaultBasin).Stream("orders/0")
	return c
}

// input is one stored record as S2 takes it.
func input(s oracle.Stored) *s2.AppendInput {
	r := s2.AppendRecord{Timestamp: s2.Uint64(s.Timestamp), Body: s.Body}
	for _, h := range s.Headers {
		r.Headers = append(r.Headers, s2.Header{Name: h.Name, Value: h.Value})
	}
	return &s2.AppendInput{Records: []s2.AppendRecord{r}}
}

// alone appends without a session; a condition may be left out.
func (c *copier) alone(s oracle.Stored, token *string, match *uint64) error {
	in := input(s)
	in.FencingToken, in.MatchSeqNum = token, match
	ack, err := c.stream.Append(c.ctx, in)
	if err == nil {
		c.next = ack.End.SeqNum
	}
	return err
}

// send appends in a session, as bridges do.
func (c *copier) send(s oracle.Stored, token *string, match *uint64) error {
	session, err := c.stream.AppendSession(c.ctx, &s2.AppendSessionOptions{RetryConfig: &s2.RetryConfig{MaxAttempts: 1}})
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }()
	in := input(s)
	in.FencingToken, in.MatchSeqNum = token, match
	future, err := session.Submit(in)
	if err != nil {
		return err
	}
	ticket, err := future.Wait(c.ctx)
	if err != nil {
		return err
	}
	ack, err := ticket.Ack(c.ctx)
	if err == nil {
		c.next = ack.End.SeqNum
	}
	return err
}

func (c *copier) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// begin fences and writes the open marker.
func (c *copier) begin(generation int64) {
	c.t.Helper()
	seen := c.token
	c.token = oracle.Token(c.served.Identity, generation, "copiercopier")
	c.must(c.alone(oracle.EncodeFence(c.token), &seen, &c.next))
	c.must(c.send(oracle.EncodeOpen(c.served.Identity, oracle.OpenMarker{Group: "bridge", Bridge: "test", Resume: c.last + 1, Epoch: -1}), &c.token, &c.next))
}

func (c *copier) stored(offset int) oracle.Stored {
	parts, err := oracle.Encode(c.records[offset])
	c.must(err)
	parts[0].Timestamp = oracle.Index(c.records[offset])
	return parts[0]
}

// copy appends records.
func (c *copier) copy(offsets ...int) {
	c.t.Helper()
	for _, n := range offsets {
		c.must(c.send(c.stored(n), &c.token, &c.next))
		c.last = int64(n)
	}
}

func (c *copier) metadata(next uint64, last int64) string {
	return fmt.Sprintf(`{"v":1,"next":%d,"last":%d,"parts":1,"id":"%s"}`, next, last, c.served.Identity.Hash())
}

func (c *copier) commit(offset int64, metadata string) {
	c.t.Helper()
	var all kadm.Offsets
	all.Add(kadm.Offset{Topic: "orders", At: offset, LeaderEpoch: -1, Metadata: metadata})
	c.must(kadm.NewClient(c.client).CommitAllOffsets(c.ctx, "bridge", all))
}

// finish commits what is there, truly.
func (c *copier) finish() { c.commit(c.last+1, c.metadata(c.next, c.last)) }

// Each kind of violation is made in the course of a copy that is right in the end: only who looks at every moment finds it.
func TestCommitsAreWatched(t *testing.T) {
	for _, c := range []struct {
		name  string
		copy  func(c *copier)
		words string // "" nothing is wrong
	}{
		{"right", func(c *copier) { c.copy(0, 1); c.finish(); c.begin(2); c.copy(2, 3, 4) }, ""},
		{"commit before the record is there", func(c *copier) {
			c.copy(0, 1)
			c.commit(3, c.metadata(c.next, c.last))
			c.copy(2, 3, 4)
		}, "committed 3 when the stream was complete up to 1: offset 2 was not there"},
		{"commit of everything before the first append", func(c *copier) {
			c.commit(5, c.metadata(c.next, c.last))
			c.copy(0, 1, 2, 3, 4)
		}, "committed 5 when the stream was complete up to -1: offset 0 was not there"},
		{"commit without metadata", func(c *copier) { c.copy(0, 1); c.commit(2, ""); c.copy(2, 3, 4) }, "commit of 2 without metadata"},
		{"commit that counts more sequence numbers", func(c *copier) {
			c.copy(0, 1)
			c.commit(2, c.metadata(c.next+1, c.last))
			c.copy(2, 3, 4)
		}, "but the stream ends at 4"},
		{"commit that counts a later offset", func(c *copier) {
			c.copy(0, 1)
			c.commit(2, c.metadata(c.next, c.last+1))
			c.copy(2, 3, 4)
		}, "complete up to 1"},
		{"commit that falls", func(c *copier) {
			c.copy(0, 1)
			c.finish()
			c.commit(1, c.metadata(c.next-1, c.last-1))
			c.copy(2, 3, 4)
		}, "committed 1 after 2"},
		{"fence without a condition", func(c *copier) {
			c.copy(0, 1)
			c.token = oracle.Token(c.served.Identity, 2, "copiercopier")
			c.must(c.alone(oracle.EncodeFence(c.token), nil, nil))
			c.must(c.send(oracle.EncodeOpen(c.served.Identity, oracle.OpenMarker{Group: "bridge", Resume: 2, Epoch: -1}), &c.token, &c.next))
			c.copy(2, 3, 4)
		}, "the fence at 4 is not alone, or without a condition"},
		{"record without a token", func(c *copier) {
			c.copy(0, 1, 2, 3)
			c.must(c.send(c.stored(4), nil, &c.next))
			c.last = 4
		}, "names no token or no sequence number"},
		{"record without a sequence number", func(c *copier) {
			c.copy(0, 1, 2, 3)
			c.must(c.send(c.stored(4), &c.token, nil))
			c.last = 4
		}, "names no token or no sequence number"},
		{"record beside the session", func(c *copier) {
			c.copy(0, 1, 2, 3)
			c.must(c.alone(c.stored(4), nil, nil))
			c.last = 4
		}, "the record at 6 came without the standing token"},
		{"lost in the end", func(c *copier) { c.copy(0, 1, 3, 4) }, "1 missing"},
		{"doubled in the end", func(c *copier) { c.copy(0, 1, 2, 3, 4, 4) }, "1 duplicates"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newCopier(t)
			w.begin(1)
			c.copy(w)
			w.finish()
			_, err := w.judge.Verdict(w.ctx, w.client)
			switch {
			case c.words == "" && err != nil:
				t.Errorf("nothing was wrong: %v", err)
			case c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)):
				t.Errorf("want %q, have %v", c.words, err)
			}
		})
	}
}

// An append under an old token is seen when it comes, and refused: that is no violation, but what zombies are counted by.
func TestZombiesAreCounted(t *testing.T) {
	c := newCopier(t)
	c.begin(1)
	c.copy(0, 1)
	old, next := c.token, c.next
	c.begin(2)
	if err := c.send(c.stored(2), &old, &next); err == nil {
		t.Error("the zombie's append landed")
	}
	c.copy(2, 3, 4)
	c.finish()
	if _, err := c.judge.Verdict(c.ctx, c.client); err != nil || c.watch.Zombies() != 1 {
		t.Errorf("%d zombies, %v", c.watch.Zombies(), err)
	}
}

package source

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
)

// toLetters is a configuration with one dead letter topic for all.
func (w *world) toLetters(topics ...string) Config {
	cfg := w.config(topics...)
	cfg.DeadLetter = func(string) string { return "letters" }
	cfg.DeadLetterTopics = []string{"letters"}
	return cfg
}

// all reads n records of partition 0 of a topic.
func (w *world) all(topic string, n int) (list []*kgo.Record) {
	w.t.Helper()
	client := w.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	ctx, cancel := context.WithTimeout(w.t.Context(), patient)
	defer cancel()
	for len(list) < n && ctx.Err() == nil {
		list = append(list, client.PollFetches(ctx).Records()...)
	}
	if len(list) != n {
		w.t.Fatalf("%d records in %s, want %d", len(list), topic, n)
	}
	return list
}

func TestADeadLetterSaysWhereItComesFrom(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.topic("letters", 1)
	w.produce("orders", 0, 1, 10)
	m := w.join(w.toLetters("orders"))
	w.wantCommitted("orders", 0, 1)
	record := mapping.Record{
		Offset: 41, LeaderEpoch: 3, Timestamp: noon.UnixMilli() + 7, TimestampType: mapping.LogAppendTime,
		Key: []byte{}, Value: nil,
		Headers: []mapping.Header{{Key: "b", Value: []byte("1")}, {Key: "a"}, {Key: "b", Value: []byte{}}, {Key: "", Value: []byte("x")}},
	}
	headers := append([]mapping.Header(nil), record.Headers...)
	for range 2 {
		if err := m.part("orders", 0).DeadLetter(t.Context(), handoff.Letter{Record: record, Why: "it is too odd"}); err != nil {
			t.Fatal(err)
		}
	}
	want := "b=1 a=<nil> b= =x kafka_s2_bridge.topic=orders kafka_s2_bridge.partition=0 kafka_s2_bridge.offset=41 " +
		fmt.Sprintf("kafka_s2_bridge.timestamp=%d ", noon.UnixMilli()+7) +
		"kafka_s2_bridge.timestamp_type=LogAppendTime kafka_s2_bridge.leader_epoch=3 kafka_s2_bridge.cluster=cluster kafka_s2_bridge.reason=it is too odd"
	for _, r := range w.all("letters", 2) {
		var got []string
		for _, h := range r.Headers {
			if h.Value == nil {
				got = append(got, h.Key+"=<nil>")
				continue
			}
			got = append(got, h.Key+"="+string(h.Value))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("headers %s\nwant    %s", strings.Join(got, " "), want)
		}
		if r.Key == nil || len(r.Key) != 0 || r.Value != nil || r.Timestamp.UnixMilli() != record.Timestamp {
			t.Errorf("key %v, value %v, timestamp %v", r.Key, r.Value, r.Timestamp)
		}
	}
	if fmt.Sprint(headers) != fmt.Sprint(record.Headers) {
		t.Error("the record of the fetch was changed")
	}
}

// The whole way: a record that is refused goes to the dead letter topic, and the
// partition goes on.
func TestARefusedRecordGoesToTheDeadLetters(t *testing.T) {
	w := newWorld(t)
	w.policy.Refused = handoff.DeadLetterRecord
	w.topic("orders", 1)
	w.topic("letters", 1)
	w.produce("orders", 0, 3, 10)
	odd := &kgo.Record{Topic: "orders", Key: bytes.Repeat([]byte("k"), 900_000), Value: []byte("v")}
	for range 3 { // as many headers as no S2 record can carry
		odd.Headers = append(odd.Headers, kgo.RecordHeader{Key: "h", Value: bytes.Repeat([]byte("h"), 400_000)})
	}
	big := w.client(kgo.ProducerBatchMaxBytes(4 << 20))
	w.allow("orders", 4<<20)
	w.allow("letters", 4<<20)
	if err := big.ProduceSync(t.Context(), odd).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.produce("orders", 0, 3, 10)
	w.join(w.toLetters("orders"))
	w.wantCommitted("orders", 0, 7)
	w.wantOffsets("orders", 0, []int64{0, 1, 2, 4, 5, 6})
	r := w.all("letters", 1)[0]
	if !bytes.Equal(r.Key, odd.Key) || string(r.Value) != "v" || len(r.Headers) != 3+8 || string(r.Headers[5].Value) != "3" {
		t.Errorf("the dead letter is %d bytes of key, %q, %d headers", len(r.Key), r.Value, len(r.Headers))
	}
}

// allow sets max.message.bytes of a topic.
func (w *world) allow(topic string, bytes int) {
	w.t.Helper()
	value := fmt.Sprint(bytes)
	set := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &value}}
	resp, err := kadm.NewClient(w.kafkaC).AlterTopicConfigs(w.t.Context(), set, topic)
	if err == nil {
		err = resp[0].Err
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestWhatIsWrongWithADeadLetterIsSaid(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.topic("small", 1)
	w.topic("closed", 1)
	cfg := w.config("orders")
	to := ""
	cfg.DeadLetter = func(string) string { return to }
	m := w.join(cfg)
	w.until("the assignment", func() bool { return m.owns(1) })
	w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "closed", Count: -1, Err: kerr.TopicAuthorizationFailed})
	large := mapping.Record{Offset: 1, Key: []byte("k"), Value: make([]byte, 2<<20)}
	_, _ = rand.NewChaCha8([32]byte{}).Read(large.Value) // or it shrinks on its way
	for topic, want := range map[string]string{
		"":        "set policy.dead_letter_topic",
		"orders":  "cannot be its own dead letter topic",
		"missing": "the dead letter topic missing does not exist: create it",
		"small":   "max.message.bytes of the dead letter topic small is too small for a record of 2097153 bytes",
		"closed":  "writing to the dead letter topic closed is not allowed",
	} {
		to = topic
		ctx, cancel := context.WithTimeout(t.Context(), patient)
		err := m.part("orders", 0).DeadLetter(ctx, handoff.Letter{Record: large, Why: "why"})
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v does not say %q", topic, err, want)
		}
	}
	if w.kafka.TopicInfo("missing") != nil {
		t.Error("the missing topic was created")
	}
	// What was wrong passes: nobody has to restart anything.
	w.topic("missing", 1)
	w.allow("small", 4<<20)
	for _, topic := range []string{"missing", "small"} {
		to = topic
		if topic == "missing" {
			large.Value = []byte("v")
		}
		if err := m.part("orders", 0).DeadLetter(t.Context(), handoff.Letter{Record: large}); err != nil {
			t.Errorf("%s: %v", topic, err)
		}
	}
}

// The dead letter topic is deleted and created anew: the client does not write
// to the new one by itself.
func TestADeadLetterTopicThatIsAnotherOneNow(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.topic("letters", 1)
	m := w.join(w.toLetters("orders"))
	w.until("the assignment", func() bool { return m.owns(1) })
	letter := handoff.Letter{Record: mapping.Record{Value: []byte("v")}}
	if err := m.part("orders", 0).DeadLetter(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	if err := w.kafka.DeleteTopic("letters"); err != nil {
		t.Fatal(err)
	}
	w.topic("letters", 1)
	w.until("a letter in the new topic", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return m.part("orders", 0).DeadLetter(ctx, letter) == nil
	})
	w.all("letters", 1)
}

// Whoever ends does not wait for Kafka's confirmation.
func TestADeadLetterEndsWithItsOwner(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.topic("letters", 1)
	m := w.join(w.toLetters("orders"))
	w.until("the assignment", func() bool { return m.owns(1) })
	silent, release := make(chan struct{}), make(chan struct{})
	w.kafka.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.SleepControl(func() { close(silent); <-release })
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(t.Context())
	p, ended := m.part("orders", 0), make(chan error)
	go func() { ended <- p.DeadLetter(ctx, handoff.Letter{}) }()
	<-silent
	cancel()
	if err := <-ended; err == nil {
		t.Error("no error")
	}
	close(release)
	m.leave()
	if err := p.DeadLetter(t.Context(), handoff.Letter{}); err == nil {
		t.Error("a dead letter was written when all was over")
	}
}

// An expression matches the dead letter topic as well: it is not copied, or each
// letter could beget another.
func TestDeadLettersAreNotCopied(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"orders", "letters", "letters.more"} {
		w.topic(name, 1)
		w.produce(name, 0, 3, 10)
	}
	cfg := w.toLetters()
	cfg.Regexes = []string{"^(?:.*)$"}
	m := w.join(cfg)
	w.wantCommitted("orders", 0, 3)
	w.wantCommitted("letters.more", 0, 3)
	if _, ok := m.of("letters", 0); ok || len(w.copied("letters", 0)) > 0 {
		t.Error("the dead letter topic is copied")
	}
}

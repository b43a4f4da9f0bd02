package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/sink"
	"kafka-s2-bridge/tests/s2mem"
)

// world is a bridge in this process, with Kafka and S2 beside it.
type world struct {
	t     *testing.T
	s2    *s2mem.Server
	kafka *kgo.Client
	admin *kadm.Client
	cfg   Config
	log   lockedBuffer
	at    string // the bridge's address
	stop  context.CancelFunc
	ended chan error
}

// newWorld is one with a topic "orders" of two partitions that Kafka keeps for
// seven days, and without a bridge. The largest record is one of the
// configuration, and more is what follows in it.
func newWorld(t *testing.T, largest, more string) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	w := &world{t: t, s2: s2mem.Start(t, s2mem.Options{})}
	if w.kafka, err = kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(8<<20)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.kafka.Close)
	w.admin = kadm.NewClient(w.kafka)
	week := "604800000"
	if _, err := w.admin.CreateTopics(t.Context(), 2, 1, map[string]*string{"retention.ms": &week}, "orders"); err != nil {
		t.Fatal(err)
	}
	w.cfg = mustParse(t, `
kafka = { brokers = ["`+cluster.ListenAddrs()[0]+`"], group = "g", topics = ["orders"], max_record_bytes = "`+largest+`", session_timeout = "6s" }
s2 = { endpoint = "`+w.s2.URL()+`", basin = "`+s2mem.DefaultBasin+`", batches_per_second = 0 }
http.listen = "127.0.0.1:0"
`+more)
	return w
}

// start runs the bridge until the test ends.
func (w *world) start() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	w.stop, w.ended = cancel, make(chan error, 1)
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	go func() { w.ended <- runBridge(ctx, w.cfg, log, redactor{}) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-w.ended; err != nil {
			w.t.Errorf("the bridge: %v\n%s", err, w.log.String())
		}
	})
	address := regexp.MustCompile(`http=http://(\S+)`)
	w.until("it listens", func() bool {
		m := address.FindStringSubmatch(w.log.String())
		if m != nil {
			w.at = m[1]
		}
		return m != nil
	})
}

// until waits for a condition.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	end := time.After(60 * time.Second)
	for !is() {
		select {
		case <-again.C:
		case err := <-w.ended:
			w.ended <- nil
			w.t.Fatalf("the bridge ended before %s: %v\n%s", what, err, w.log.String())
		case <-end:
			w.t.Fatalf("not in 60 s: %s\n%s", what, w.log.String())
		}
	}
}

func (w *world) produce(partition int32, values ...[]byte) {
	w.t.Helper()
	var records []*kgo.Record
	for _, v := range values {
		records = append(records, &kgo.Record{Topic: "orders", Partition: partition, Value: v})
	}
	if err := w.kafka.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// get asks the bridge's endpoint.
func (w *world) get(path string) string {
	w.t.Helper()
	_, text, err := askBridge(w.t.Context(), healthTimeout, "GET", w.at, path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// partition is what the bridge says of one.
func (w *world) partition(number int32) partition {
	w.t.Helper()
	list, err := askPartitions(w.t.Context(), w.at)
	if err != nil {
		w.t.Fatal(err)
	}
	p, _ := find(list, "orders", number)
	return p
}

// A stream that was there before the bridge, and keeps records for a day only.
func TestShortStreamOfARunningBridge(t *testing.T) {
	w := newWorld(t, "1MiB", "")
	client, err := sink.New(sink.Config{Endpoint: w.s2.URL(), Basin: s2mem.DefaultBasin, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := client.Stream("orders/0", sink.StreamSettings{Retention: day}).Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.produce(0, []byte("a"))
	w.produce(1, []byte("b"))
	const gauge = "kafka_s2_bridge_stream_retention_short{"
	w.until("the short stream is told", func() bool { return strings.Contains(w.get("/metrics"), gauge) })
	w.until("both flow", func() bool { return w.partition(0).Durable == 0 && w.partition(1).Durable == 0 })
	if got := w.get("/metrics"); !strings.Contains(got, gauge+`partition="0",topic="orders"} 1`) || strings.Count(got, gauge) != 1 {
		t.Errorf("%s", got)
	}
	if !strings.Contains(w.log.String(), "s2 reconfigure-stream --retention-policy 604800s s2://"+s2mem.DefaultBasin+"/orders/0") {
		t.Errorf("no command in\n%s", w.log.String())
	}
	if p := w.partition(1); p.State != "flowing" || p.Stream != "orders/1" || p.Accepts == nil || p.Reason != "" || p.Held < 0 {
		t.Errorf("%+v", p)
	}
	for args, want := range map[string]string{"orders/1": "is not held", "orders/9": "not assigned to the bridge"} {
		if got := bridge(t, "resume", args, "--accept", "retry", "--http", w.at); got.code != exitFailed || !strings.Contains(got.out+got.err, want) {
			t.Errorf("%s: %+v", args, got)
		}
	}
	// S2's configuration was only asked for.
	if c, ok := w.s2.Config("orders/0"); !ok || c.Retention != day {
		t.Errorf("%+v", c)
	}
}

// The owner of the looks ends with the process, also when S2 hangs.
func TestSettingsThatHangHoldNothingUp(t *testing.T) {
	w := newWorld(t, "1MiB", "")
	hold := w.s2.Fault(s2mem.Fault{Op: s2mem.OpConfig, Do: s2mem.Hold, Count: -1})
	w.start()
	w.produce(0, []byte("a"))
	w.until("it flows", func() bool { return w.partition(0).Durable == 0 })
	w.until("the settings are asked for", func() bool { return w.s2.Requests(s2mem.OpConfig) == 1 })
	w.stop()
	if err := <-w.ended; err != nil {
		t.Error(err)
	}
	w.ended <- nil
	hold.Release()
}

// A record that cannot be copied: what is wrong, what to type, and what comes of it.
func TestAHoldIsAnswered(t *testing.T) {
	w := newWorld(t, "1MiB", "")
	w.start()
	w.produce(0, []byte("a"), bytes.Repeat([]byte("x"), 2<<20), []byte("c"))
	w.until("it is held", func() bool { return w.partition(0).Reason != "" })
	p := w.partition(0)
	if p.Reason != "record-refused" || p.Lost == nil || *p.Lost != (offsetRange{1, 2}) || p.State != "held" || p.Durable != 0 {
		t.Fatalf("%+v", p)
	}
	const command = "bridge resume orders/0 --accept gap"
	if got := w.get("/readyz"); !strings.Contains(got, "orders/0 is held (record-refused): ") || !strings.Contains(got, command) {
		t.Errorf("/readyz: %s", got)
	}
	w.until("the log says what to type", func() bool { return strings.Contains(w.log.String(), command) })
	if got := bridge(t, "partitions", "orders/0", "--http", w.at); got.code != exitFailed || !strings.Contains(got.out, "lost  offset 1,") || !strings.Contains(got.out, command) {
		t.Errorf("%+v", got)
	}
	got := bridge(t, "resume", "orders/0", "--accept", "gap", "--http", w.at, "--json")
	var outcomes []outcome
	if err := json.Unmarshal([]byte(got.out), &outcomes); err != nil || got.code != exitDone || len(outcomes) != 1 || outcomes[0].Was != "record-refused" {
		t.Fatalf("%+v, %v", got, err)
	}
	w.until("the copy goes on behind it", func() bool { p := w.partition(0); return p.Durable == 2 && p.Reason == "" })
	if got := bridge(t, "partitions", "--http", w.at); got.code != exitDone {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(w.log.String(), "answer=gap") {
		t.Errorf("the answer is not in the log:\n%s", w.log.String())
	}
}

// The same by policy: nothing is held, and the stream says what is not there.
func TestAPolicySkipsARecord(t *testing.T) {
	w := newWorld(t, "1MiB", "[policy]\nlarge_records = 'skip'\n[[topic]]\nname = 'orders'\nrefused_records = 'skip'\nstart_offsets = { 1 = 2 }")
	w.produce(0, []byte("a"), bytes.Repeat([]byte("x"), 2<<20), []byte("c"))
	w.produce(1, []byte("a"), []byte("b"), []byte("c"))
	w.start()
	w.until("the copy goes on behind it", func() bool { return w.partition(0).Durable == 2 && w.partition(1).Durable == 2 })
	gaps := bridge(t, "gaps", "s2://"+s2mem.DefaultBasin+"/orders/0", "--endpoint", w.s2.URL())
	if !strings.Contains(gaps.out, "refused: 1 offsets in 1 gap") {
		t.Errorf("%+v", gaps)
	}
	read := bridge(t, "read", "s2://"+s2mem.DefaultBasin+"/orders/1", "--endpoint", w.s2.URL())
	if strings.Count(read.out, "\n") != 1 || !strings.Contains(read.out, `"offset":2`) {
		t.Errorf("%+v", read)
	}
}

// A large record goes to the dead letter topic, and its gap marker says so.
func TestAPolicySendsDeadLetters(t *testing.T) {
	w := newWorld(t, "4MiB", "[policy]\nlarge_records = 'dead_letter'\ndead_letter_topic = 'dead'")
	if _, err := w.admin.CreateTopics(t.Context(), 1, 1, nil, "dead"); err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("x"), 2<<20)
	w.produce(0, []byte("a"), large, []byte("c"))
	w.start()
	w.until("the copy goes on behind it", func() bool { return w.partition(0).Durable == 2 })
	gaps := bridge(t, "gaps", "s2://"+s2mem.DefaultBasin+"/orders/0", "--endpoint", w.s2.URL())
	if !strings.Contains(gaps.out, "dead_letter: 1 offsets in 1 gap") {
		t.Fatalf("%+v", gaps)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	w.kafka.AddConsumeTopics("dead")
	letters := w.kafka.PollFetches(ctx).Records()
	if len(letters) != 1 || !bytes.Equal(letters[0].Value, large) {
		t.Errorf("%d dead letters", len(letters))
	}
}

// What the Kafka side must know of the policies.
func TestPoliciesReachTheSource(t *testing.T) {
	cfg := mustParse(t, every+`
stream = { name = "{topic}/{topic_id}/{partition}" }
[[topic]]
name = "orders"
topic_recreated = "new_stream"
refused_records = "dead_letter"
dead_letter_topic = "dead"`)
	kc, err := kafkaConfig(cfg, slog.New(slog.DiscardHandler), cfg.redactor())
	if err != nil {
		t.Fatal(err)
	}
	if !kc.StreamPerTopicID || !kc.NewStream("orders") || kc.NewStream("payments") || kc.DeadLetter("orders") != "dead" || kc.DeadLetter("payments") != "" || !slices.Equal(kc.DeadLetterTopics, []string{"dead"}) {
		t.Errorf("%+v", kc)
	}
	if kc, err = kafkaConfig(mustParse(t, every), slog.New(slog.DiscardHandler), redactor{}); err != nil || kc.StreamPerTopicID || kc.NewStream("orders") {
		t.Errorf("%+v, %v", kc, err)
	}
}

// A password that is changed in its file counts at the next login.
func TestPasswordOfTheMoment(t *testing.T) {
	file := t.TempDir() + "/password"
	writeFile(t, file, "the first\n")
	cfg := mustParse(t, every, "BRIDGE_KAFKA__SASL__MECHANISM=PLAIN", "BRIDGE_KAFKA__SASL__USERNAME=u", "BRIDGE_KAFKA__SASL__PASSWORD_FILE="+file)
	hide := cfg.redactor()
	kc, err := kafkaConfig(cfg, slog.New(slog.DiscardHandler), hide)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"the first", "the second"} {
		writeFile(t, file, " "+text+"\r\n")
		if got, err := kc.SASL.PasswordFrom(); got != text || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if got := hide.text("bad password " + text); got != "bad password "+redacted {
			t.Errorf("%q", got)
		}
	}
	writeFile(t, file, "\n")
	if got, err := kc.SASL.PasswordFrom(); err == nil || strings.Contains(err.Error(), file) {
		t.Errorf("an empty file: %q, %v", got, err)
	}
}

// The topic is deleted and created anew. The answer moves it to streams of its own.
func TestANewStreamForANewTopic(t *testing.T) {
	w := newWorld(t, "1MiB", "stream = { name = '{topic}/{topic_id}/{partition}' }")
	w.start()
	w.produce(0, []byte("old"))
	w.until("it flows", func() bool { return w.partition(0).Durable == 0 })
	old := w.partition(0).Stream
	if _, err := w.admin.DeleteTopics(t.Context(), "orders"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.admin.CreateTopics(t.Context(), 2, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	w.kafka.PurgeTopicsFromClient("orders") // it would not take the new id
	w.until("it is held", func() bool { return w.partition(0).Reason == "topic-recreated" })
	if p := w.partition(0); !slices.Equal(p.Accepts, []string{"new-stream", "retry"}) {
		t.Errorf("%+v", p)
	}
	if got := bridge(t, "resume", "orders/0", "--accept", "new-stream", "--http", w.at); got.code != exitDone {
		t.Fatalf("%+v", got)
	}
	w.until("new values are taken", func() bool {
		return w.kafka.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("new")}).FirstErr() == nil
	})
	w.until("it flows again", func() bool { p := w.partition(0); return p.Durable >= 0 && p.Stream != old && p.Stream != "" })
}

// S2 goes while no record comes: /readyz says so all the same.
func TestReadinessWithoutS2(t *testing.T) {
	w := newWorld(t, "1MiB", "")
	b, err := newProcess(t.Context(), w.cfg, slog.New(slog.DiscardHandler), redactor{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	ticks := make(chan time.Time)
	b.watching.Go(func() { b.watch(b.alive, ticks) })
	look := func() (reasons string) {
		for range 2 { // the second tick is taken when the first look is over
			ticks <- time.Now()
		}
		ok, list := b.Ready()
		if ok {
			t.Error("ready before the group is joined")
		}
		return strings.Join(list, "\n")
	}
	if got := look(); strings.Contains(got, "S2") {
		t.Errorf("while S2 is there: %s", got)
	}
	w.s2.Close()
	if got := look(); !strings.Contains(got, "cannot connect to S2 at "+w.s2.URL()) {
		t.Errorf("while S2 is gone: %s", got)
	}
}

// The same of a bridge that runs: nobody but the look can notice.
func TestReadyzOfAnIdleBridgeWithoutS2(t *testing.T) {
	t.Parallel() // it waits for the look, some ten seconds
	w := newWorld(t, "1MiB", "")
	w.start()
	w.until("it is ready", func() bool { return w.get("/readyz") == "ready\n" })
	w.s2.Close()
	w.until("it says that S2 is gone", func() bool { return strings.Contains(w.get("/readyz"), "cannot connect to S2 at "+w.s2.URL()) })
}

// An acknowledgement is as good as a look at S2: it is counted.
func TestAcknowledgementsAreCounted(t *testing.T) {
	w := newWorld(t, "1MiB", "")
	b, err := newProcess(t.Context(), w.cfg, slog.New(slog.DiscardHandler), redactor{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	w.s2.Create("orders/0")
	s := b.newStream("orders/0", "orders", 0)
	acked, ended := make(chan uint64, 1), make(chan error, 1)
	session := s.Open(t.Context(), handoff.SessionEvents{
		Acked: func(_, end uint64) { acked <- end }, Advised: func() {}, Ended: func(err error) { ended <- err },
	})
	queue, err := mapping.Pack(nil, &mapping.Record{Value: []byte("a")}, 0)
	if err != nil {
		t.Fatal(err)
	}
	session.Send(queue[0], 0, "")
	if end := <-acked; end != 1 || b.s2.acks.Load() != 1 {
		t.Errorf("%d acknowledged, %d counted", end, b.s2.acks.Load())
	}
	session.Finish()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

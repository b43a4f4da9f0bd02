package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/sink"
	"kafka-s2-bridge/tests/s2mem"
)

// stage is where a round is played: a topic of its own in some Kafka, a basin
// in some S2, and where the bridge's HTTP endpoint is to be.
type stage struct {
	broker     string // host:port
	url, basin string // of S2
	token      string // S2's access token; "" = none
	embedded   bool
	topic      string
	group      string
	partitions int32
	listen     string // http.listen of the bridge, the same for all its lives
	kafka      *kgo.Client
	memory     *s2mem.Server // embedded S2
	closers    []func()
}

// openStage starts or looks at the servers, and creates the topic.
func openStage(ctx context.Context, o demoOptions, configs map[string]string) (*stage, error) {
	s := &stage{partitions: int32(o.partitions)}
	var err error
	if o.kafka == "" {
		err = s.embed()
	} else {
		err = s.visit(ctx, o)
	}
	if err == nil {
		err = s.createTopic(ctx, configs)
	}
	if err == nil {
		s.listen, err = freeAddress(ctx)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close ends the embedded servers. Real ones keep what was written.
func (s *stage) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
}

func (s *stage) embed() error {
	s.embedded, s.topic, s.group = true, "orders", "demo"
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return fmt.Errorf("embedded Kafka cannot listen on 127.0.0.1: %w", err)
	}
	s.closers = append(s.closers, cluster.Close)
	s.broker = cluster.ListenAddrs()[0]
	cluster.ControlKey(int16(kmsg.Fetch), neverFull(s.partitions))
	// The delay is s2-lite's: without one a bridge could not be killed between
	// an append and its acknowledgement.
	memory := s2mem.New(s2mem.Options{FlushDelay: 5 * time.Millisecond})
	s.memory = memory
	s.closers = append(s.closers, memory.Close)
	if err := memory.Listen("127.0.0.1:0"); err != nil {
		return fmt.Errorf("embedded S2: %w", err)
	}
	s.url, s.basin = memory.URL(), s2mem.DefaultBasin
	return nil
}

// neverFull keeps the embedded Kafka's fetches from reaching their limit. kfake
// ends such an answer inside of a partition and leaves out which of that
// partition's transactions were aborted: a consumer then takes their records
// for committed ones. What one partition may bring is bounded instead, so that
// all of them together stay below what clients read.
func neverFull(partitions int32) func(kmsg.Request) (kmsg.Response, error, bool) {
	most := min(1<<20, 64<<20/partitions)
	return func(req kmsg.Request) (kmsg.Response, error, bool) {
		fetch := req.(*kmsg.FetchRequest)
		fetch.MaxBytes = math.MaxInt32
		for i := range fetch.Topics {
			for j := range fetch.Topics[i].Partitions {
				p := &fetch.Topics[i].Partitions[j]
				p.PartitionMaxBytes = min(p.PartitionMaxBytes, most)
			}
		}
		return nil, nil, false
	}
}

// lookTimeout bounds the first question to a real server.
const lookTimeout = 8 * time.Second

// visit looks whether the real servers are there, and makes the basin.
func (s *stage) visit(ctx context.Context, o demoOptions) error {
	name := "bridge-demo-" + strconv.FormatUint(uint64(rand.Uint32()), 36)
	s.topic, s.group = name, name
	s.broker, s.url, s.basin = o.kafka, strings.TrimRight(o.s2, "/"), o.basin
	s.token = os.Getenv("S2_ACCESS_TOKEN")
	if !isToken(Secret(s.token)) {
		return errors.New("S2_ACCESS_TOKEN must be one line without spaces")
	}
	ctx, cancel := context.WithTimeout(ctx, 2*lookTimeout)
	defer cancel()
	look, done := context.WithTimeout(ctx, lookTimeout)
	defer done()
	client, err := kgo.NewClient(s.kafkaOptions()...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer client.Close()
	if err := client.Ping(look); err != nil {
		return fmt.Errorf("kafka at %s cannot be reached: check --kafka, and that a broker without TLS and login runs there: %w", s.broker, err)
	}
	return s.openBasin(ctx)
}

func (s *stage) kafkaOptions() []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(s.broker), kgo.ClientID("bridge-demo")}
}

// reader is a client of the basin that only reads.
func (s *stage) reader() (*sink.Client, error) {
	return sink.New(sink.Config{Endpoint: s.url, Basin: s.basin, AccessToken: s.token, Connections: 1, UserAgent: "kafka-s2-bridge-demo"})
}

// consumer reads the whole topic as any read_committed consumer does.
func (s *stage) consumer() (*kgo.Client, error) {
	from := map[int32]kgo.Offset{}
	for p := range s.partitions {
		from[p] = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(append(s.kafkaOptions(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))...)
	if err != nil {
		return nil, fmt.Errorf("kafka reader: %w", err)
	}
	return client, nil
}

// openBasin creates the basin if it does not exist.
func (s *stage) openBasin(ctx context.Context) error {
	client, err := s.reader()
	if err != nil {
		return err
	}
	defer client.Close()
	err = client.Check(ctx)
	var why *sink.Error
	if err == nil || !errors.As(err, &why) || why.Code != "basin_not_found" {
		return err
	}
	if err := s.createBasin(ctx); err != nil {
		return fmt.Errorf("the basin %q does not exist at %s and could not be created: create it there, or name another with --basin: %w", s.basin, s.url, err)
	}
	return client.Check(ctx)
}

func (s *stage) createBasin(ctx context.Context) error {
	ask, err := json.Marshal(map[string]string{"basin": s.basin})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/basins", bytes.NewReader(ask))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	client := &http.Client{Timeout: lookTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
	switch {
	case resp.StatusCode < 300, resp.StatusCode == http.StatusConflict: // somebody else was faster
		return nil
	}
	return fmt.Errorf("it answered %s: %s", resp.Status, bytes.TrimSpace(said))
}

func (s *stage) createTopic(ctx context.Context, configs map[string]string) error {
	client, err := kgo.NewClient(s.kafkaOptions()...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	s.kafka = client
	s.closers = append(s.closers, client.Close)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	settings := make(map[string]*string, len(configs))
	for k, v := range configs {
		settings[k] = &v
	}
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(ctx, s.partitions, -1, settings, s.topic); err != nil {
		return fmt.Errorf("topic %s with %d partitions cannot be created at %s: check that the broker lets topics be created: %w", s.topic, s.partitions, s.broker, err)
	}
	// Clients that ask too early wait for seconds until they ask again.
	for {
		listed, err := admin.ListTopics(ctx, s.topic)
		if err == nil && leaders(listed[s.topic]) == int(s.partitions) {
			return nil
		}
		if !pause(ctx, 50*time.Millisecond) {
			return fmt.Errorf("topic %s was created at %s and has no leaders after 30 s: look at the brokers' logs", s.topic, s.broker)
		}
	}
}

func leaders(topic kadm.TopicDetail) (n int) {
	for _, p := range topic.Partitions {
		if p.Err == nil && p.Leader >= 0 {
			n++
		}
	}
	return n
}

// environment is that of `bridge run` on this stage: this process's own, but
// for the settings of other bridges.
func (s *stage) environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, envPrefix) && !strings.HasPrefix(v, "S2_ACCESS_TOKEN=") {
			env = append(env, v)
		}
	}
	for _, setting := range [][2]string{
		{"kafka.brokers", s.broker},
		{"kafka.group", s.group},
		{"kafka.topics", s.topic},
		// A member that comes back under its name gets its partitions at once;
		// Kafka would wait for session_timeout to give them to another one.
		{"kafka.instance_id", "demo"},
		{"kafka.session_timeout", "10s"},
		{"s2.endpoint", s.url},
		{"s2.basin", s.basin},
		{"s2.batches_per_second", "0"},
		{"memory.budget", "64MiB"},
		{"http.listen", s.listen},
	} {
		env = append(env, variableOfKey(setting[0])+"="+setting[1])
	}
	if s.token != "" {
		env = append(env, "S2_ACCESS_TOKEN="+s.token)
	}
	return env
}

// where says it in a line.
func (s *stage) where() string {
	kafka, s2 := "", ""
	if s.embedded {
		kafka, s2 = " (embedded)", " (in memory)"
	}
	return fmt.Sprintf("Kafka %s%s -> bridge -> S2 %s%s", s.broker, kafka, s.url, s2)
}

// left says what remains on real servers; "" if nothing does.
func (s *stage) left() string {
	if s.embedded {
		return ""
	}
	return fmt.Sprintf("topic and group %s at %s, streams %s/0 to %s/%d in basin %s at %s",
		s.topic, s.broker, s.topic, s.topic, s.partitions-1, s.basin, s.url)
}

// freeAddress is one whose port lies below those that systems give to outgoing
// connections: the bridge comes back to it again and again, and must find it
// free. The usual port is left to a bridge that is not part of a demo.
func freeAddress(ctx context.Context) (string, error) {
	for range 100 {
		address := "127.0.0.1:" + strconv.Itoa(12000+rand.IntN(20000))
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no free port on 127.0.0.1 for the bridge's HTTP endpoint; 100 were tried")
}

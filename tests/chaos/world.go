package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/produce"
	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/proc"
)

const (
	group = "chaos"
	// sessionTimeout is the shortest that a broker allows: a bridge that is stopped for longer has lost its partitions.
	sessionTimeout = 6 * time.Second
	// stopGrace is above what a bridge needs for SIGTERM: drain.timeout, and what Kafka may take to let it go.
	stopGrace = 25 * time.Second
	// maxValue in bytes: some records have to be cut into five.
	maxValue = 4 << 20
)

// World is a stage with topics, those who write into them, and the bridges that copy them.
type World struct {
	*Stage
	Topics  []produce.Topic
	Bridges []*Victim
	TxShare float64 // of what is fed, in transactions: 0 to 1

	dir    string
	seed   uint64
	client *kgo.Client
	ledger *oracle.Ledger
	began  time.Time
	parts  uint64 // runs of the producer so far
	next   uint64 // number of the next record
}

// NewWorld makes the topics. Files go into dir.
func NewWorld(ctx context.Context, stage *Stage, dir string, seed uint64, topics ...produce.Topic) (*World, error) {
	w := &World{Stage: stage, Topics: topics, TxShare: 0.3, dir: dir, seed: seed, ledger: oracle.NewLedger(), began: time.Now()}
	shapes := w.shapes()
	client, err := kgo.NewClient(w.seeds(), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(maxValue+1000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	w.client = client
	settings := map[string]*string{}
	for k, v := range shapes.TopicConfig() {
		settings[k] = &v
	}
	for _, t := range topics {
		if _, err := kadm.NewClient(client).CreateTopic(ctx, t.Partitions, 1, settings, t.Name); err != nil {
			client.Close()
			return nil, fmt.Errorf("topic %s: %w", t.Name, err)
		}
	}
	return w, nil
}

// Close ends the bridges, those too that are stopped, and lets go of Kafka.
func (w *World) Close() {
	for _, v := range w.Bridges {
		v.bury()
	}
	w.client.Close()
}

func (w *World) seeds() kgo.Opt { return kgo.SeedBrokers(w.Brokers) }

// shapes of the next run of the producer; only the first topic is fed. Every run has a seed of its own: with the same one each
// would draw the same bursts.
func (w *World) shapes() *produce.Shapes {
	return &produce.Shapes{Seed: w.seed + w.parts*1_000_003, Topics: w.Topics[:1], MaxValue: maxValue}
}

// Bridge adds a bridge, which is not started yet.
func (w *World) Bridge(name string, more bridge.Settings) (*Victim, error) {
	port, err := proc.FreePort()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(w.Topics))
	for i, t := range w.Topics {
		names[i] = t.Name
	}
	s := bridge.Settings{
		"kafka.brokers": []string{w.Brokers}, "kafka.group": group, "kafka.topics": names, "kafka.session_timeout": sessionTimeout.String(),
		"s2.endpoint": w.URL, "s2.basin": w.Basin, "s2.batches_per_second": 0, "s2.connections": 2, "s2.ack_timeout": "3s", "s2.request_timeout": "3s",
		"memory.budget": "64MiB", "drain.timeout": "3s", "http.listen": fmt.Sprintf("127.0.0.1:%d", port),
	}
	for k, v := range more {
		s[k] = v
	}
	v := &Victim{opts: bridge.Options{Dir: w.dir, Name: name, Settings: s}}
	w.Bridges = append(w.Bridges, v)
	return v, nil
}

// Feed writes records until enough is closed, and returns when all of them have their place: none is under way, no transaction
// is open. Kafka may die meanwhile: what became of a record is then not known to the ledger, but the oracle asks Kafka.
func (w *World) Feed(ctx context.Context, enough <-chan struct{}, rate int) error {
	for failures := 0; ; {
		select {
		case <-enough:
			return nil
		default:
		}
		sum, err := produce.Run(ctx, produce.Options{
			Kafka: []kgo.Opt{w.seeds()}, Shapes: w.shapes(), Ledger: w.ledger, First: w.next,
			Records: max(rate, 1), Rate: float64(rate), TxShare: w.TxShare, AbortShare: 0.3, ID: group,
		})
		w.parts++
		w.next = max(w.next, sum.Next)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			failures = 0
		case failures == 20:
			return fmt.Errorf("feed: %w", err)
		default:
			failures++
		}
	}
}

// Write appends records of the caller's own, and waits until Kafka has them.
func (w *World) Write(ctx context.Context, records ...*kgo.Record) error {
	var failed error
	for _, r := range w.client.ProduceSync(ctx, records...) {
		w.ledger.Produced(r.Record, 0, r.Err)
		failed = errors.Join(failed, r.Err)
	}
	return failed
}

// WaitForLag waits until the group has committed the last stable offset of every partition. The bridges must go on running.
func (w *World) WaitForLag(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("lag is not 0 after %s", patience))
	defer cancel()
	return proc.Poll(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		for _, v := range w.Bridges {
			if !v.Child().Running() {
				return proc.Final(fmt.Errorf("bridge %s: %w", v.Name(), errors.Join(errEndedAlone, v.Child().Err(), errors.New(proc.Tail(v.Log(), 3000)))))
			}
		}
		commits, err := w.commits(ctx)
		if err != nil {
			return err
		}
		var late error
		for _, c := range commits {
			if c.Lag() > 0 {
				late = errors.Join(late, fmt.Errorf("%s/%d committed %d of %d", c.Topic, c.Partition, c.Offset, c.Stable))
			}
		}
		return late
	})
}

func (w *World) commits(ctx context.Context) ([]oracle.Commit, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return oracle.ReadCommits(ctx, w.client, group, w.names()...)
}

func (w *World) names() (names []string) {
	for _, t := range w.Topics {
		names = append(names, t.Name)
	}
	return names
}

// StopAll ends the bridges as an operator would. Each has to say that it ended well.
func (w *World) StopAll() (failed error) {
	for _, v := range w.Bridges {
		if err := v.End(); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// FencedOut counts the times that S2 kept a bridge from writing because the stream has another's fence. The embedded S2 tells
// of each; otherwise the bridges do, who repeat a trouble only now and then, and say nothing more when they have lost a
// partition: then it is a lower bound.
func (w *World) FencedOut() int {
	bridges := 0
	for _, v := range w.Bridges {
		bridges += mentions(v.logFile(), "the stream's fencing token is")
	}
	return max(bridges, mentions(w.S2.Log(), fencedOut))
}

func mentions(file, words string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0 // it has said nothing yet
	}
	return strings.Count(string(text), words)
}

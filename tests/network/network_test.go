package network

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/network/bed"
	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/produce"
	"kafka-s2-bridge/tests/s2mem"
)

var (
	seeds    = flag.Int("seeds", 150, "number of scenarios")
	seedBase = flag.Uint64("seed-base", 1, "first seed")
	seedOne  = flag.Int64("seed", -1, "run this one seed, and show what happened")
	times    = flag.Int("times", 1, "with -seed: so often, until it fails")
	at       = flag.Int("at-once", 10, "scenarios at a time: most of them wait for something most of the time")
)

const (
	// catchUp is how long the bridges may take, once nothing does them harm any
	// more, to copy and to commit what is left.
	catchUp = 40 * time.Second
	// hung bounds a scenario as a whole.
	hung = 2 * time.Minute
)

func TestHarm(t *testing.T) {
	counts := &tally{counts: map[string]int{}}
	if *seedOne >= 0 {
		for n := range *times {
			trace := bed.NewTrace(5000)
			report, err := scenario(t.Context(), uint64(*seedOne), trace, slog.LevelDebug, counts.add)
			if err != nil || n == *times-1 {
				t.Logf("run %d: %v\n%s", n+1, report, trace)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	var running sync.WaitGroup
	next := make(chan uint64)
	for range *at {
		running.Go(func() {
			for seed := range next {
				trace := bed.NewTrace(400)
				report, err := scenario(t.Context(), seed, trace, slog.LevelInfo, counts.add)
				counts.sum(report)
				if err != nil {
					t.Errorf("seed %d: %v\n  go test ./tests/network -run 'TestHarm$' -v -seed=%d -times=50\n%s", seed, err, seed, trace)
				}
			}
		})
	}
	began := time.Now()
	for i := range *seeds {
		next <- *seedBase + uint64(i)
	}
	close(next)
	running.Wait()
	t.Logf("%d seeds from %d in %v, at most %d at once\n%s", *seeds, *seedBase, time.Since(began).Round(time.Second), *at, counts)
	if *seeds >= 100 {
		counts.wantEverything(t)
	}
}

// run is one scenario.
type run struct {
	trace   *bed.Trace
	kafka   *kfake.Cluster
	s2      *s2mem.Server
	s2Door  *proxy
	doors   map[string]*proxy // by the broker's address
	members []*bed.Member
}

func scenario(ctx context.Context, seed uint64, trace *bed.Trace, level slog.Level, struck func(string)) (report oracle.Report, err error) {
	ctx, cancel := context.WithTimeout(ctx, hung)
	defer cancel()
	watchdog := time.AfterFunc(hung+time.Minute, func() {
		debug.SetTraceback("all")
		panic(fmt.Sprintf("seed %d hangs\n%s", seed, trace))
	})
	defer watchdog.Stop()
	rng := rand.New(rand.NewPCG(seed, 0))
	r := &run{trace: trace, doors: map[string]*proxy{}}
	note := func(what string) {
		trace.Printf("%s", what)
		struck(what)
	}
	topics := []produce.Topic{{Name: "orders", Partitions: 1 + rng.Int32N(8)}}
	brokers, bridges := 1+rng.IntN(2), pick(rng, 1, 1, 2, 3)
	if r.kafka, err = kfake.NewCluster(kfake.NumBrokers(brokers), kfake.ClusterID("cluster"), kfake.GroupMinSessionTimeout(time.Second)); err != nil {
		return report, err
	}
	defer r.kafka.Close()
	r.s2 = s2mem.New(s2mem.Options{FlushDelay: pick(rng, 0, 5*time.Millisecond)})
	defer r.s2.Close()
	if err = r.s2.Listen("127.0.0.1:0"); err != nil {
		return report, err
	}
	watch := bed.NewWatch(r.kafka, r.s2, "bridge", trace)
	defer r.close()
	if err = r.open(rng, note); err != nil {
		return report, err
	}

	direct := []kgo.Opt{kgo.SeedBrokers(r.kafka.ListenAddrs()...), kgo.MetadataMinAge(100 * time.Millisecond)}
	client, err := kgo.NewClient(direct...)
	if err != nil {
		return report, err
	}
	defer client.Close()
	began := time.Now()
	shapes := &produce.Shapes{Seed: seed, Topics: topics, MaxValue: 60_000, Base: began.Add(-time.Hour).UnixMilli()}
	if err = r.kafka.CreateTopic("orders", topics[0].Partitions, shapes.TopicConfig()); err != nil {
		return report, err
	}
	watch.Name(r.kafka.TopicInfo("orders").TopicID, "orders")

	set := bed.Setup{
		Brokers: r.kafka.ListenAddrs(), DialKafka: r.dial, Endpoint: "http://" + r.s2Door.address(), Basin: s2mem.DefaultBasin,
		Group: "bridge", Topics: []string{"orders"}, Session: 2 * time.Second, MetadataAge: 2 * time.Second, Drain: time.Second,
		AckTimeout: pick(rng, 300*time.Millisecond, time.Second), RequestTimeout: pick(rng, 300*time.Millisecond, time.Second),
		Linger: 5 * time.Millisecond, IdleClose: pick(rng, 100*time.Millisecond, 30*time.Second), BackoffMax: 500 * time.Millisecond,
		Connections: 1 + rng.IntN(3), MaxInflightBytes: pick(rng, 5000, 5<<20), MaxInflightBatches: pick(rng, 1, 8),
		MaxRecordBytes: 1 << 20, Budget: 64 << 20, Rand: rng,
	}
	trace.Printf("seed %d: %d brokers, %d bridges, %v, %+v", seed, brokers, bridges, topics, set)
	sessions := bed.NewSessions(r.kafka, client, "bridge", set.Session, r.cutKafka, trace)
	var looking sync.WaitGroup
	look, enough := context.WithCancel(ctx)
	looking.Go(func() { sessions.Run(look) })
	defer looking.Wait()
	defer enough()

	load := &bed.Load{
		Kafka: direct, Shapes: shapes, Ledger: oracle.NewLedger(), Rand: rand.New(rand.NewPCG(seed, 1)), Records: 200 + rng.IntN(800),
		Over: time.Duration(1000+rng.IntN(3000)) * time.Millisecond, TxShare: pick(rng, 0, 0.3), AbortShare: 0.4, MaxBatch: 1 << 20,
	}
	if err = load.Open(); err != nil {
		return report, err
	}
	defer load.Close()
	for i := range bridges {
		each := set
		each.Rand, each.Log = rand.New(rand.NewPCG(seed, uint64(10+i))), trace.Logger(fmt.Sprint("bridge ", i), level)
		m, err := each.Start(ctx)
		if err != nil {
			return report, err
		}
		r.members = append(r.members, m)
	}
	err = errors.Join(load.Run(ctx), load.Flush(ctx))
	r.heal()
	trace.Printf("no harm any more")

	judge := &bed.Judge{Kafka: direct, S2: r.s2, Group: "bridge", Topics: topics, Ledger: load.Ledger, Watch: watch, Past: began.Add(-time.Minute).UnixMilli()}
	err = errors.Join(err, r.caughtUp(ctx, judge, client))
	r.stop()
	report, wrong := judge.Verdict(ctx, client)
	for reason := range trace.Held() {
		err = errors.Join(err, fmt.Errorf("a partition was held although nothing was lost or foreign: %s", reason))
	}
	return report, errors.Join(err, wrong)
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

// open puts a proxy before S2 and before each broker.
func (r *run) open(rng *rand.Rand, struck func(string)) (err error) {
	harmed := func() *rand.Rand { return rand.New(rand.NewPCG(rng.Uint64(), 0)) }
	if r.s2Door, err = newProxy("s2", strings.TrimPrefix(r.s2.URL(), "http://"), harmed(), 0.9, 60, 300_000, struck); err != nil {
		return err
	}
	for _, broker := range r.kafka.ListenAddrs() {
		if r.doors[broker], err = newProxy("kafka", broker, harmed(), 0.5, 200, 300_000, struck); err != nil {
			return err
		}
	}
	return nil
}

// dial takes a broker's address to its proxy.
func (r *run) dial(ctx context.Context, network, address string) (net.Conn, error) {
	door := r.doors[address]
	if door == nil {
		return nil, fmt.Errorf("no broker at %s", address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, door.address())
}

func (r *run) heal() {
	r.s2Door.heal()
	for _, d := range r.doors {
		d.heal()
	}
}

func (r *run) cutKafka() {
	for _, d := range r.doors {
		d.cutAll(false)
	}
}

func (r *run) stop() {
	for _, m := range r.members {
		m.Stop()
	}
	r.members = nil
}

func (r *run) close() {
	r.stop()
	if r.s2Door != nil {
		r.s2Door.close()
	}
	for _, d := range r.doors {
		d.close()
	}
}

func (r *run) caughtUp(ctx context.Context, judge *bed.Judge, client *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	left := int64(-1)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		lag, err := judge.Lag(ctx, client)
		if err == nil {
			left = lag
		}
		if left == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			text := fmt.Sprintf("lag is %d (-1: unknown) %v after the last harm", left, catchUp)
			for i, m := range r.members {
				text += fmt.Sprintf("\n  bridge %d: %+v", i, m.Status())
			}
			return errors.New(text)
		}
	}
}

// tally counts the harms that came.
type tally struct {
	mu      sync.Mutex
	counts  map[string]int
	reports []oracle.Report
}

func (c *tally) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[name]++
}

func (c *tally) sum(r oracle.Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reports = append(c.reports, r)
}

func (c *tally) String() string {
	s := oracle.Sum(c.reports)
	text := fmt.Sprintf("%d records, %d fences, %d markers\n", s.Records, s.Fences, s.Markers)
	names := make([]string, 0, len(c.counts))
	for name := range c.counts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text += fmt.Sprintf("  %-40s %d\n", name, c.counts[name])
	}
	return text
}

// wantEverything fails if a harm never came: then nothing was proved about it.
func (c *tally) wantEverything(t *testing.T) {
	for _, proxy := range []string{"s2", "kafka"} {
		for _, name := range harmNames[1:] {
			if c.counts[proxy+": "+name] == 0 {
				t.Errorf("never came in %d runs: %s: %s", *seeds, proxy, name)
			}
		}
	}
}

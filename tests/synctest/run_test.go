//go:build synctests

package bubble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/tests/network/bed"
	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/produce"
	"kafka-s2-bridge/tests/s2mem"
)

const (
	s2Port    = 4443
	kafkaPort = 9001 // of the first broker

	// catchUp is how long the bridges may take, once nothing disturbs them any
	// more, to copy and to commit what is left.
	catchUp = 60 * time.Second
)

// run is one seed in its bubble.
type run struct {
	*plan
	trace   *bed.Trace
	level   slog.Level
	network *network
	kafka   *kfake.Cluster
	s2      *s2mem.Server
	watch   *bed.Watch
	load    *bed.Load
	slots   []*slot
	healed  chan struct{} // closed when faults must end
	ending  sync.WaitGroup

	mu    sync.Mutex
	hits  map[string]int
	hosts []*host // of all bridges that there were
}

// result is what a run came to.
type result struct {
	err     error
	hits    map[string]int
	report  oracle.Report
	fences  int
	streams int
	zombies int
	expired int           // sessions that kfake would have forgotten
	moved   int           // groups that kfake let stand
	took    time.Duration // virtual
	ending  time.Duration // virtual, the longest end of a bridge
	behind  time.Duration // virtual, from the last fault's end to lag 0
	causes  map[string]uint64
}

// slot is a place for a bridge. Its gate is a mutex that the bubble can see.
type slot struct {
	number int
	gate   chan struct{}
	life   int
	host   *host
	member *bed.Member // nil: none runs
}

func (r *run) run() (res result) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	began := time.Now()
	r.hits, r.healed, r.network = map[string]int{}, make(chan struct{}), newNetwork()
	if err := r.build(); err != nil {
		return result{err: err}
	}
	defer r.kafka.Close()
	defer r.s2.Close()
	still := r.network.host("the test", leastDelay)
	direct := []kgo.Opt{kgo.SeedBrokers(r.kafka.ListenAddrs()...), kgo.Dialer(still.Dial), kgo.MetadataMinAge(100 * time.Millisecond)}
	client, err := kgo.NewClient(direct...)
	if err != nil {
		return result{err: err}
	}
	defer client.Close()
	shapes := &produce.Shapes{Seed: r.seed, Topics: r.topics, MaxValue: 3000, Base: began.Add(-time.Hour).UnixMilli()}
	if err := r.createTopics(shapes); err != nil {
		return result{err: err}
	}
	sessions := bed.NewSessions(r.kafka, client, r.setup.Group, r.setup.Session, r.cutKafka, r.trace)
	r.ending.Go(func() { sessions.Run(ctx) })
	ledger := oracle.NewLedger()
	judge := &bed.Judge{Kafka: direct, S2: r.s2, Group: r.setup.Group, Topics: r.topics, Ledger: ledger, Watch: r.watch, Past: began.Add(-time.Minute).UnixMilli()}
	for _, s := range r.slots {
		<-s.gate
		r.start(s)
		s.gate <- struct{}{}
	}

	r.load = &bed.Load{
		Kafka: direct, Shapes: shapes, Ledger: ledger, Rand: rand.New(rand.NewPCG(r.seed, 1)), Records: r.records, Over: r.over,
		TxShare: r.tx, AbortShare: 0.4, Large: r.large, MaxBatch: maxRecord,
	}
	if err := r.load.Open(); err != nil {
		return result{err: err}
	}
	defer r.load.Close()
	var disturbing sync.WaitGroup
	for _, f := range r.faults {
		disturbing.Go(func() { r.strike(f) })
	}
	if err := r.load.Run(ctx); err != nil {
		res.err = fmt.Errorf("load: %w", err)
	}
	if rest := r.over - time.Since(began); rest > 0 {
		time.Sleep(rest) //nolint:forbidigo // the bubble's time, which costs none
	}
	close(r.healed)
	disturbing.Wait()
	if err := r.load.Flush(ctx); err != nil {
		res.err = errors.Join(res.err, err)
	}
	r.trace.Printf("nothing disturbs any more")
	r.ensureOne()
	healed := time.Now()
	if err := r.caughtUp(ctx, judge, client); err != nil {
		res.err = errors.Join(res.err, err)
	}
	res.behind = time.Since(healed)
	res.causes = r.causes()
	for _, s := range r.slots {
		<-s.gate
		began := time.Now()
		r.end(s)
		res.ending = max(res.ending, time.Since(began))
	}
	cancel()
	r.ending.Wait()
	ctx = context.Background()
	report, err := judge.Verdict(ctx, client)
	res.err = errors.Join(res.err, err, r.clean(), r.falseAlarms())
	res.report, res.hits, res.took = report, r.hits, time.Since(began)
	res.fences, res.streams = r.watch.Fences()
	res.zombies = r.watch.Zombies()
	res.expired, res.moved = sessions.Helped()
	return res
}

// build makes both servers.
func (r *run) build() error {
	ports := make([]int, r.brokers)
	for i := range ports {
		ports[i] = kafkaPort + i
	}
	kafka, err := kfake.NewCluster(kfake.NumBrokers(r.brokers), kfake.Ports(ports...), kfake.ClusterID("cluster"), kfake.ListenFn(r.network.Listen))
	if err != nil {
		return fmt.Errorf("kfake: %w", err)
	}
	r.kafka = kafka
	r.s2 = s2mem.New(s2mem.Options{FlushDelay: r.flush, CreateStreamOnAppend: r.create})
	l, err := r.network.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s2Port))
	if err != nil {
		return err
	}
	r.s2.Start(l)
	r.watch = bed.NewWatch(kafka, r.s2, r.setup.Group, r.trace)
	for i := range r.bridges {
		s := &slot{number: i, gate: make(chan struct{}, 1)}
		s.gate <- struct{}{}
		r.slots = append(r.slots, s)
	}
	return nil
}

// cutKafka closes what connects the bridges to Kafka.
func (r *run) cutKafka() {
	r.mu.Lock()
	hosts := slices.Clone(r.hosts)
	r.mu.Unlock()
	for _, h := range hosts {
		for i := range r.brokers {
			h.cut(kafkaPort+i, false)
		}
	}
}

func (r *run) createTopics(shapes *produce.Shapes) error {
	config := map[string]string{}
	for k, v := range shapes.TopicConfig() {
		config[k] = v
	}
	config["max.message.bytes"] = fmt.Sprint(maxRecord)
	for _, t := range r.topics {
		if err := r.kafka.CreateTopic(t.Name, t.Partitions, config); err != nil {
			return fmt.Errorf("create topic: %w", err)
		}
		r.watch.Name(r.kafka.TopicInfo(t.Name).TopicID, t.Name)
	}
	return nil
}

// leastDelay is a little more than nothing on the way to Kafka: where an error
// of a fetch is not surfaced, kgo asks again at once until its metadata are
// fresh, up to a second. With answers that take no time, time would stop.
func leastDelay(port int) time.Duration {
	if port == s2Port {
		return 0
	}
	return 500 * time.Microsecond
}

// start begins a bridge in a slot, on a host of its own. The caller has the gate.
func (r *run) start(s *slot) {
	s.life++
	name := fmt.Sprintf("bridge %d.%d", s.number, s.life)
	rng := rand.New(rand.NewPCG(r.seed, uint64(1000*s.number+s.life)))
	s.host = r.network.host(name, func(port int) time.Duration {
		if r.slow == 0 || rng.IntN(3) == 0 {
			return leastDelay(port)
		}
		return leastDelay(port) + time.Duration(rng.Int64N(int64(r.slow)))
	})
	r.mu.Lock()
	r.hosts = append(r.hosts, s.host)
	r.mu.Unlock()
	set := r.setup
	for _, t := range r.topics {
		set.Topics = append(set.Topics, t.Name)
	}
	if r.static {
		set.InstanceID = fmt.Sprintf("instance-%d", s.number)
	}
	set.Brokers, set.DialKafka = r.kafka.ListenAddrs(), s.host.Dial
	set.Endpoint, set.Basin, set.DialS2 = r.s2.URL(), s2mem.DefaultBasin, s.host.Dial
	set.Rand, set.Log = rand.New(rand.NewPCG(r.seed, uint64(2000*s.number+s.life))), r.trace.Logger(name, r.level)
	m, err := set.Start(context.Background())
	if err != nil {
		r.trace.Printf("%s cannot start: %v", name, err)
		return
	}
	r.trace.Printf("%s starts", name)
	s.member = m
}

// crash takes the bridge of a slot away; the caller has the gate. Its parts wind
// up where nobody hears them.
func (r *run) crash(s *slot, lost bool) {
	m, h := s.member, s.host
	s.member = nil
	r.trace.Printf("%s crashes, bytes under way lost: %v", h.name, lost)
	h.die(lost)
	r.ending.Go(m.Kill)
}

// end stops the bridge of a slot as SIGTERM does; the caller has the gate.
func (r *run) end(s *slot) {
	if s.member == nil {
		return
	}
	r.trace.Printf("%s is told to stop", s.host.name)
	s.member.Stop()
	s.member = nil
	r.trace.Printf("%s has stopped", s.host.name)
}

// ensureOne starts a bridge if none is left.
func (r *run) ensureOne() {
	for _, s := range r.slots {
		<-s.gate
		left := s.member != nil
		s.gate <- struct{}{}
		if left {
			return
		}
	}
	s := r.slots[0]
	<-s.gate
	r.start(s)
	s.gate <- struct{}{}
}

// caughtUp waits until everything is committed.
func (r *run) caughtUp(ctx context.Context, judge *bed.Judge, client *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	left := int64(-1)
	for {
		lag, err := judge.Lag(ctx, client)
		if err == nil {
			left = lag
		}
		if left == 0 {
			return nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("lag is %d (-1: unknown) %v after the last fault:\n%s", left, catchUp, r.describe())
		}
	}
}

func (r *run) describe() string {
	var b strings.Builder
	if g := r.kafka.GroupInfo(r.setup.Group); g != nil {
		fmt.Fprintf(&b, "  group: %s, epoch %d\n", g.State, g.Epoch)
		for _, m := range g.Members {
			fmt.Fprintf(&b, "    %s: %v\n", m.MemberID, m.Assignment)
		}
	}
	for _, s := range r.slots {
		if s.member != nil {
			fmt.Fprintf(&b, "  %s: %+v\n", s.host.name, s.member.Status())
		}
	}
	return b.String()
}

// causes counts why the bridges that still run acquired partitions.
func (r *run) causes() map[string]uint64 {
	causes := map[string]uint64{}
	for _, s := range r.slots {
		if s.member == nil {
			continue
		}
		for _, p := range s.member.Status() {
			for cause, n := range p.Acquisitions {
				causes["acquired: "+handoff.Cause(cause).String()] += n
			}
		}
	}
	return causes
}

// falseAlarms tells of partitions that were held although nothing was lost,
// truncated or foreign. That S2 refused the access token is told by a fault.
func (r *run) falseAlarms() error {
	for reason := range r.trace.Held() {
		if reason != string(handoff.Unauthorized) {
			return fmt.Errorf("a partition was held: %s", reason)
		}
	}
	return nil
}

// clean checks that nothing is left open when all bridges have ended.
func (r *run) clean() error {
	// Links have delays: the last words are still under way.
	time.Sleep(time.Second) //nolint:forbidigo // the bubble's time, which costs none
	synctest.Wait()
	if open := r.s2.Sessions(); len(open) > 0 {
		return fmt.Errorf("sessions are still open: %v", open)
	}
	for _, h := range r.hosts {
		if n := h.open(); n > 0 {
			return fmt.Errorf("%s has %d connections open", h.name, n)
		}
	}
	return nil
}

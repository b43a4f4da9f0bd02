package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/sink"
	"kafka-s2-bridge/source"
)

const (
	// checkTimeout bounds the look at Kafka and S2 before anything is started.
	checkTimeout = 8 * time.Second
	// acquisitions is how many partitions may be taken over at once.
	acquisitions = 64
	// idleClose ends append sessions that nobody uses: each costs some 20 KiB.
	idleClose = 30 * time.Second
	// metadataAge is how soon new topics and partitions are found.
	metadataAge = 10 * time.Second
	// overhead is what the process may use beside memory.budget.
	overhead = 110 << 20
)

// runBridge builds the rooms from cfg and runs them until ctx ends.
func runBridge(ctx context.Context, cfg Config, log *slog.Logger, hide redactor) error {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(cfg.Memory.Budget + overhead)
	}
	b, err := newProcess(ctx, cfg, log, hide)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.check(ctx); err != nil {
		if ctx.Err() != nil {
			log.Info("stopped before anything was begun")
			return nil
		}
		return err
	}
	// Before the group is joined: a port that is taken must not cost the other
	// members a rebalance.
	if cfg.HTTP.Listen != "" {
		page, err := listenHTTP(ctx, cfg.HTTP.Listen, b.registry, b, log, hide)
		if err != nil {
			return err
		}
		defer b.closePage(ctx, page)
		log.Info("metrics and health", "http", "http://"+page.Addr())
	}
	src, err := source.New(ctx, b.kafka, source.NewMetrics(b.registry), b.startOwner)
	if err != nil {
		return err
	}
	b.source.Store(src)
	close(b.joined)
	b.watching.Go(func() { b.watch(b.alive, time.Tick(s2LookEvery)) })
	log.Info("bridging", "group", cfg.Kafka.Group, "brokers", cfg.Kafka.Brokers, "basin", cfg.S2.Basin, "version", currentBuild().Version)
	src.Run(ctx)
	log.Info("drained")
	return nil
}

// process is one member of the group with everything that it is made of.
type process struct {
	cfg      Config
	log      *slog.Logger
	registry *prometheus.Registry
	kafka    source.Config
	sink     *sink.Client
	names    mapping.Template
	owners   handoff.Options
	alive    context.Context // of the owners: they outlive the poll loop, to drain
	stop     context.CancelFunc
	source   atomic.Pointer[source.Source] // nil until the group is joined
	joined   chan struct{}                 // closed when it is

	s2        s2Watch
	retention *retentionWatch
	watching  sync.WaitGroup

	mu      sync.Mutex
	streams map[partitionKey]string // names of all that were assigned so far
}

func newProcess(ctx context.Context, cfg Config, log *slog.Logger, hide redactor) (*process, error) {
	names, err := mapping.ParseTemplate(cfg.Stream.Name)
	if err != nil {
		return nil, fmt.Errorf("stream.name: %w", err)
	}
	b := &process{
		cfg: cfg, log: log, registry: prometheus.NewRegistry(), names: names,
		joined: make(chan struct{}), streams: map[partitionKey]string{},
	}
	b.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if b.kafka, err = kafkaConfig(cfg, log, hide); err != nil {
		return nil, err
	}
	if b.sink, err = sink.New(sinkConfig(cfg, log, sink.NewMetrics(b.registry))); err != nil {
		return nil, err
	}
	b.owners = handoff.Options{
		Config: handoff.Config{
			Packer:             mapping.Packer{MaxRecord: int(cfg.Kafka.MaxRecordBytes)},
			Group:              cfg.Kafka.Group,
			Bridge:             currentBuild().Version,
			MaxInflightBytes:   int(cfg.S2.MaxInflightBytes),
			MaxInflightBatches: cfg.S2.MaxInflightBatches,
			Linger:             cfg.S2.Linger,
			AckTimeout:         cfg.S2.AckTimeout,
			IdleClose:          idleClose,
			SessionTimeout:     cfg.Kafka.SessionTimeout,
			BackoffMin:         100 * time.Millisecond,
			BackoffMax:         30 * time.Second,
			Paced:              cfg.S2.BatchesPerSecond > 0,
		},
		Slots:   make(chan struct{}, acquisitions),
		Reserve: b.sink.Reserve,
		Metrics: handoff.NewMetrics(b.registry),
		Logger:  slog.New(withCommands(log.Handler(), perTopicID(cfg.Stream.Name))),
	}
	b.alive, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	b.s2.check, b.s2.log = b.sink.Check, log
	b.retention = newRetentionWatch(b.alive, cfg, log, b.topicRetention)
	newRetentionGauge(b.registry, b.shortStreams)
	return b, nil
}

// check looks at both sides before the group is joined, so that a wrong setting
// is an exit code and not a held partition.
func (b *process) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var kafka, s2 error
	var both sync.WaitGroup
	both.Go(func() { kafka = source.Check(ctx, b.kafka) })
	both.Go(func() { s2 = b.sink.Check(ctx) })
	both.Wait()
	wrong := multierror.Append(nil, kafka, s2)
	wrong.ErrorFormat = func(all []error) string {
		lines := make([]string, len(all))
		for i, err := range all {
			lines[i] = err.Error()
		}
		return strings.Join(lines, "\n       ")
	}
	return wrong.ErrorOrNil()
}

func (b *process) close() {
	b.stop()
	b.watching.Wait()
	b.retention.Close()
	b.sink.Close()
}

// watch looks at what nobody tells, at every tick until ctx ends.
func (b *process) watch(ctx context.Context, ticks <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticks:
			b.s2.Look(ctx)
			if len(b.retention.Short()) > 0 {
				b.retention.LookAgain(now, b.ours())
			}
		}
	}
}

func (b *process) closePage(ctx context.Context, page *endpoint) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := page.Close(ctx); err != nil {
		b.log.Warn("close", "error", err)
	}
}

func (b *process) startOwner(a handoff.Assignment, p handoff.Partition) (*handoff.Owner, error) {
	name, err := b.names.Name(a.Identity)
	if err != nil {
		return nil, fmt.Errorf("stream.name: %w", err)
	}
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails
	opt := b.owners
	opt.Rand = mathrand.New(mathrand.NewChaCha8(seed))
	policy, chunks := b.cfg.policyOf(a.Identity.Topic, a.Identity.Partition)
	opt.Policy, opt.Packer.NoChunks = policy, !chunks
	return handoff.Start(b.alive, opt, a, p, b.newStream(name, a.Identity.Topic, a.Identity.Partition)), nil
}

func kafkaConfig(cfg Config, log *slog.Logger, hide redactor) (source.Config, error) {
	k := cfg.Kafka
	kc := source.Config{
		Brokers:         k.Brokers,
		Group:           k.Group,
		Topics:          k.Topics,
		ReadUncommitted: k.Isolation == isolationUncommitted,
		InstanceID:      k.InstanceID,
		SessionTimeout:  k.SessionTimeout,
		MetadataAge:     metadataAge,
		Budget:          int(cfg.Memory.Budget),
		Drain:           cfg.Drain.Timeout,
		MaxRecordBytes:  int(k.MaxRecordBytes),
		Logger:          log,

		DeadLetter:       func(topic string) string { return cfg.policyFor(topic).DeadLetterTopic },
		DeadLetterTopics: cfg.deadLetterTopics(),
		NewStream:        func(topic string) bool { return cfg.policyFor(topic).TopicRecreated == policyNewStream },
		StreamPerTopicID: perTopicID(cfg.Stream.Name),
	}
	for _, expr := range k.TopicsRegex {
		kc.Regexes = append(kc.Regexes, wholeName(expr))
	}
	for _, expr := range k.TopicsExclude {
		kc.Exclude = append(kc.Exclude, wholeName(expr))
	}
	kc.Topics = without(kc.Topics, kc.Exclude)
	if k.TLS.Enabled {
		config, err := k.TLS.Config()
		if err != nil {
			return kc, fmt.Errorf("kafka.tls: %w", err)
		}
		kc.TLS = config
	}
	if k.SASL.Mechanism != "" {
		kc.SASL = &source.SASL{Mechanism: k.SASL.Mechanism, User: k.SASL.Username, Password: k.SASL.Password.Reveal()}
		if k.SASL.PasswordFile != "" { // read again at each login
			kc.SASL.PasswordFrom = func() (string, error) {
				password, err := readSecret(k.SASL.PasswordFile)
				hide.learn(Secret(password))
				return password, err
			}
		}
	}
	return kc, nil
}

// wholeName makes an expression match whole names only.
func wholeName(expr string) string { return "^(?:" + expr + ")$" }

// without takes out the names that an expression excludes.
func without(names, exclude []string) (left []string) {
	for _, name := range names {
		out := false
		for _, expr := range exclude {
			out = out || regexp.MustCompile(expr).MatchString(name) // checked with the configuration
		}
		if !out {
			left = append(left, name)
		}
	}
	return left
}

func sinkConfig(cfg Config, log *slog.Logger, metrics *sink.Metrics) sink.Config {
	sc := sink.Config{
		Endpoint: cfg.S2.Endpoint,
		Basin:    cfg.S2.Basin,
		TLS: sink.TLS{
			CAFile: cfg.S2.TLS.CAFile, CertFile: cfg.S2.TLS.CertFile, KeyFile: cfg.S2.TLS.KeyFile,
			ServerName: cfg.S2.TLS.ServerName, InsecureSkipVerify: cfg.S2.TLS.InsecureSkipVerify,
		},
		Connections:      cfg.S2.Connections,
		RequestTimeout:   cfg.S2.RequestTimeout,
		BatchesPerSecond: cfg.S2.BatchesPerSecond,
		Logger:           log,
		Metrics:          metrics,
		UserAgent:        "kafka-s2-bridge/" + currentBuild().Version,
	}
	if cfg.S2.AccessTokenFile != "" {
		sc.AccessTokenFile = cfg.S2.AccessTokenFile // read again when S2 refuses the token
	} else {
		sc.AccessToken = cfg.S2.AccessToken.Reveal()
	}
	return sc
}

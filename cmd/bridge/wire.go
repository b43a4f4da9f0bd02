package main

import (
	"context"
	"crypto/rand"
	"errors"
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
func runBridge(ctx context.Context, cfg Config, log *slog.Logger) error {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(cfg.Memory.Budget + overhead)
	}
	b, err := newProcess(ctx, cfg, log)
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
		page, err := listenHTTP(ctx, cfg.HTTP.Listen, b.registry, b, log, cfg.redactor())
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
}

func newProcess(ctx context.Context, cfg Config, log *slog.Logger) (*process, error) {
	names, err := mapping.ParseTemplate(cfg.Stream.Name)
	if err != nil {
		return nil, fmt.Errorf("stream.name: %w", err)
	}
	b := &process{cfg: cfg, log: log, registry: prometheus.NewRegistry(), names: names}
	b.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if b.kafka, err = kafkaConfig(cfg, log); err != nil {
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
		Logger:  log,
	}
	b.alive, b.stop = context.WithCancel(context.WithoutCancel(ctx))
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
	b.sink.Close()
}

func (b *process) closePage(ctx context.Context, page *endpoint) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := page.Close(ctx); err != nil {
		b.log.Warn("close", "error", err)
	}
}

// Ready says whether everything that should flow does.
func (b *process) Ready() (ok bool, reasons []string) {
	if src := b.source.Load(); src != nil {
		return src.Ready()
	}
	return false, []string{"the consumer group is about to be joined"}
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
	st := &stream{Stream: b.sink.Stream(name, sink.StreamSettings{}), b: b, name: name, topic: a.Identity.Topic}
	return handoff.Start(b.alive, opt, a, p, st), nil
}

// stream is the sink's stream as the owner wants it. It is created with the
// topic's own retention, which is only looked up when it must be.
type stream struct {
	*sink.Stream
	b           *process
	name, topic string
}

var _ handoff.Stream = (*stream)(nil)

func (s *stream) Create(ctx context.Context) error {
	settings := sink.StreamSettings{StorageClass: s.b.cfg.Stream.StorageClass, Retention: s.b.cfg.Stream.Retention.Age}
	if s.b.cfg.Stream.Retention.FromTopic {
		src := s.b.source.Load()
		if src == nil { // its first partition came before it did
			return errors.New("look up the topic's retention: the group is being joined")
		}
		age, err := src.TopicRetention(ctx, s.topic)
		if err != nil {
			return fmt.Errorf("look up the topic's retention: %w", err)
		}
		settings.Retention = age
	}
	s.b.log.Info("creating stream", "topic", s.topic, "stream", s.name, "retention", describeRetention(settings.Retention), "storage_class", settings.StorageClass)
	return s.b.sink.Stream(s.name, settings).Create(ctx)
}

func describeRetention(age time.Duration) string {
	if age == 0 {
		return "infinite"
	}
	return age.String()
}

func (s *stream) Open(ctx context.Context, on handoff.SessionEvents) handoff.Session {
	return s.Stream.Open(ctx, sink.Events(on))
}

func kafkaConfig(cfg Config, log *slog.Logger) (source.Config, error) {
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

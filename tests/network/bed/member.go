package bed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/sink"
	"kafka-s2-bridge/source"
)

// Dial opens connections in the place of net.Dialer.DialContext.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Setup is what a bridge in this process needs: what cmd/bridge takes from its
// configuration.
type Setup struct {
	Brokers    []string
	Group      string
	Topics     []string
	InstanceID string // static membership; empty: dynamic
	DialKafka  Dial
	Endpoint   string // of S2
	Basin      string
	DialS2     Dial

	Session            time.Duration // kafka.session_timeout
	MetadataAge        time.Duration
	Drain              time.Duration
	AckTimeout         time.Duration
	RequestTimeout     time.Duration
	Linger             time.Duration
	IdleClose          time.Duration
	BackoffMax         time.Duration
	Connections        int
	BatchesPerSecond   float64
	MaxInflightBytes   int
	MaxInflightBatches int
	MaxRecordBytes     int
	Budget             int

	Rand *rand.Rand // seeds the owners
	Log  *slog.Logger
}

// Member is one bridge: a source, its owners and a sink, put together as
// cmd/bridge does it.
type Member struct {
	source atomic.Pointer[source.Source]
	sink   *sink.Client
	log    *slog.Logger
	stop   context.CancelFunc // ends polling: the owners drain
	kill   context.CancelFunc // ends the owners
	done   chan struct{}
}

// Start begins to bridge and returns at once. Stop or Kill must follow.
func (s Setup) Start(ctx context.Context) (*Member, error) {
	names, err := mapping.ParseTemplate("{topic}/{partition}")
	if err != nil {
		return nil, fmt.Errorf("stream names: %w", err)
	}
	registry := prometheus.NewRegistry()
	m := &Member{log: s.Log, done: make(chan struct{})}
	m.sink, err = sink.New(sink.Config{
		Endpoint: s.Endpoint, Basin: s.Basin, Connections: s.Connections, RequestTimeout: s.RequestTimeout,
		BatchesPerSecond: s.BatchesPerSecond, Dial: s.DialS2, Logger: s.Log, Metrics: sink.NewMetrics(registry),
	})
	if err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	alive, kill := context.WithCancel(ctx)
	m.kill = kill
	owners := handoff.Options{
		Config: handoff.Config{
			Packer: mapping.Packer{MaxRecord: s.MaxRecordBytes},
			Group:  s.Group, Bridge: "test",
			MaxInflightBytes: s.MaxInflightBytes, MaxInflightBatches: s.MaxInflightBatches,
			Linger: s.Linger, AckTimeout: s.AckTimeout, IdleClose: s.IdleClose, SessionTimeout: s.Session,
			BackoffMin: 100 * time.Millisecond, BackoffMax: s.BackoffMax, Paced: s.BatchesPerSecond > 0,
		},
		Slots: make(chan struct{}, 64), Reserve: m.sink.Reserve, Metrics: handoff.NewMetrics(registry), Logger: s.Log,
	}
	src, err := source.New(ctx, s.source(), source.NewMetrics(registry), func(a handoff.Assignment, p handoff.Partition) (*handoff.Owner, error) {
		name, err := names.Name(a.Identity)
		if err != nil {
			return nil, err
		}
		opt := owners
		opt.Rand = rand.New(rand.NewPCG(s.Rand.Uint64(), s.Rand.Uint64())) // starting owners is done by one at a time
		return handoff.Start(alive, opt, a, p, &stream{m.sink.Stream(name, sink.StreamSettings{}), m, name, a.Identity.Topic}), nil
	})
	if err != nil {
		kill()
		m.sink.Close()
		return nil, fmt.Errorf("source: %w", err)
	}
	m.source.Store(src)
	polling, stop := context.WithCancel(ctx)
	m.stop = stop
	go func() {
		defer close(m.done)
		src.Run(polling)
	}()
	return m, nil
}

func (s Setup) source() source.Config {
	return source.Config{
		Brokers: s.Brokers, Group: s.Group, Topics: s.Topics, InstanceID: s.InstanceID,
		SessionTimeout: s.Session, MetadataAge: s.MetadataAge, Budget: s.Budget, Drain: s.Drain,
		MaxRecordBytes: s.MaxRecordBytes, Dial: s.DialKafka, Logger: s.Log,
	}
}

// Stop ends as SIGTERM does: owners drain, commits are made, the group is left.
func (m *Member) Stop() {
	m.stop()
	<-m.done
	m.kill()
	m.sink.Close()
}

// Kill ends as a crash does, if its network was taken away before: nothing is
// drained, and what the parts still want to say reaches nobody.
func (m *Member) Kill() {
	m.kill()
	m.stop()
	<-m.done
	m.sink.Close()
}

// Status lists the assigned partitions.
func (m *Member) Status() []source.PartitionStatus { return m.source.Load().Status() }

// stream is the sink's stream as the owner wants it.
type stream struct {
	*sink.Stream
	m           *Member
	name, topic string
}

var _ handoff.Stream = (*stream)(nil)

// Create asks Kafka for the topic's retention, as cmd/bridge does.
func (s *stream) Create(ctx context.Context) error {
	src := s.m.source.Load()
	if src == nil {
		return errors.New("look up the topic's retention: the group is being joined")
	}
	age, err := src.TopicRetention(ctx, s.topic)
	if err != nil {
		return fmt.Errorf("look up the topic's retention: %w", err)
	}
	return s.m.sink.Stream(s.name, sink.StreamSettings{Retention: age}).Create(ctx)
}

func (s *stream) Open(ctx context.Context, on handoff.SessionEvents) handoff.Session {
	return s.Stream.Open(ctx, sink.Events(on))
}

package source

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Config is what the source needs to know of Kafka.
type Config struct {
	Brokers []string // host:port
	Group   string
	Topics  []string // exact names; one that does not exist is waited for
	Regexes []string // topics whose name matches
	Exclude []string // regular expressions: not these
	// ReadUncommitted copies records of open and aborted transactions too.
	ReadUncommitted bool
	InstanceID      string        // static membership; empty: dynamic
	SessionTimeout  time.Duration // a member that is silent for so long is out
	MetadataAge     time.Duration // how soon new topics and partitions are found
	TLS             *tls.Config   // nil: plain text
	SASL            *SASL         // nil: none
	Budget          int           // bytes that all partitions together may hold between fetch and ack
	Drain           time.Duration // how long a revoked partition may wait for its last acks
	MaxRecordBytes  int           // the largest record that a fetch must be able to carry
	Dial            func(ctx context.Context, network, host string) (net.Conn, error)
	Logger          *slog.Logger
}

// SASL is how to log in.
type SASL struct {
	Mechanism      string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	User, Password string
}

// fetchBytes is what one fetch of a broker may bring. The client holds one such
// fetch back for each broker, decoded to up to five times its size.
const fetchBytes = 8 << 20

func (c Config) connectionOptions() ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID("kafka-s2-bridge"),
		kgo.WithLogger(clientLogger{c.Logger}),
	}
	if c.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(c.TLS))
	}
	if c.Dial != nil {
		opts = append(opts, kgo.Dialer(c.Dial))
	}
	if s := c.SASL; s != nil {
		switch s.Mechanism {
		case "PLAIN":
			opts = append(opts, kgo.SASL(plain.Auth{User: s.User, Pass: s.Password}.AsMechanism()))
		case "SCRAM-SHA-256":
			opts = append(opts, kgo.SASL(scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism()))
		case "SCRAM-SHA-512":
			opts = append(opts, kgo.SASL(scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism()))
		default:
			return nil, fmt.Errorf("sasl mechanism %q: must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", s.Mechanism)
		}
	}
	return opts, nil
}

// internalPrefix begins the names of topics that an expression does not mean:
// Kafka's own, and those of programs around it.
const internalPrefix = "__"

func internal(topic string) bool { return strings.HasPrefix(topic, internalPrefix) }

func (c Config) groupOptions() []kgo.Opt {
	isolation := kgo.ReadCommitted()
	if c.ReadUncommitted {
		isolation = kgo.ReadUncommitted()
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(c.Group),
		kgo.FetchIsolationLevel(isolation),
		kgo.SessionTimeout(c.SessionTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, c.SessionTimeout/3)),
		kgo.RebalanceTimeout(max(60*time.Second, 3*c.Drain)),
		kgo.RetryTimeoutFn(c.retryTimeout),
		kgo.MetadataMaxAge(c.MetadataAge),
		kgo.MetadataMinAge(min(time.Second, c.MetadataAge)), // how long a moved leader may stay unknown
		kgo.FetchMaxBytes(fetchBytes),
		kgo.FetchMaxPartitionBytes(1 << 20),
		kgo.BrokerMaxReadBytes(int32(min(max(100<<20, 2*c.MaxRecordBytes+fetchBytes), 1<<31-1))),
		kgo.MaxDecompressBatchBytes(max(c.Budget, 2*c.MaxRecordBytes)),
		kgo.FetchMaxWait(500 * time.Millisecond), // how long a resumed partition may have to wait
		kgo.KeepRetryableFetchErrors(),           // or it repeats them without a pause, and nobody sees it
		kgo.KeepControlRecords(),                 // or lag never reaches 0 behind a transaction
		kgo.BlockRebalanceOnPoll(),
		kgo.AutoCommitMarks(),
		kgo.AutoCommitInterval(500 * time.Millisecond),
		// Without AtStart a group without commits would begin at the end.
		kgo.ConsumeResetOffset(kgo.NoResetOffset().AtStart()),
	}
	if c.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(c.InstanceID))
	}
	if len(c.Regexes) == 0 {
		return append(opts, kgo.ConsumeTopics(c.Topics...))
	}
	topics := append([]string(nil), c.Regexes...)
	for _, t := range c.Topics {
		topics = append(topics, "^"+regexp.QuoteMeta(t)+"$")
	}
	opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics(topics...))
	exclude := append([]string(nil), c.Exclude...)
	if !slices.ContainsFunc(c.Topics, internal) {
		exclude = append(exclude, "^"+internalPrefix) // the client knows only those that the broker calls internal
	}
	if len(exclude) > 0 {
		opts = append(opts, kgo.ConsumeExcludeTopics(exclude...))
	}
	return opts
}

// retryTimeout is how long a request is made again where Kafka does not answer.
// Leaving the group is a courtesy, which must not hold up the end of the process.
func (c Config) retryTimeout(request int16) time.Duration {
	switch kmsg.Key(request) {
	case kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat:
		return c.SessionTimeout
	case kmsg.LeaveGroup, kmsg.FindCoordinator:
		return 3 * time.Second
	}
	return 30 * time.Second
}

// clientLogger shows what the client warns of. It says the rest of what it does
// at debug level only.
type clientLogger struct{ log *slog.Logger }

func (l clientLogger) Level() kgo.LogLevel { return kgo.LogLevelInfo }

func (l clientLogger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	if level <= kgo.LogLevelWarn {
		l.log.Warn("kafka client", append([]any{"says", msg}, keyvals...)...)
		return
	}
	l.log.Debug("kafka client", append([]any{"says", msg}, keyvals...)...)
}

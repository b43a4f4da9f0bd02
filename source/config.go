package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
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

func (c Config) groupOptions() []kgo.Opt {
	isolation := kgo.ReadCommitted()
	if c.ReadUncommitted {
		isolation = kgo.ReadUncommitted()
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(c.Group),
		kgo.FetchIsolationLevel(isolation),
		kgo.SessionTimeout(c.SessionTimeout),
		kgo.RebalanceTimeout(max(60*time.Second, 3*c.Drain)),
		kgo.MetadataMaxAge(c.MetadataAge),
		kgo.FetchMaxBytes(fetchBytes),
		kgo.FetchMaxPartitionBytes(1 << 20),
		kgo.BrokerMaxReadBytes(int32(min(max(100<<20, 2*c.MaxRecordBytes+fetchBytes), 1<<31-1))),
		kgo.FetchMaxWait(500 * time.Millisecond), // how long a resumed partition may have to wait
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
	if len(c.Exclude) > 0 {
		opts = append(opts, kgo.ConsumeExcludeTopics(c.Exclude...))
	}
	return opts
}

// Check connects once, without joining the group, and says in plain words what
// is wrong.
func Check(ctx context.Context, c Config) error {
	opts, err := c.connectionOptions()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer client.Close()
	err = client.Ping(ctx)
	brokers := strings.Join(c.Brokers, ", ")
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kerr.IllegalSaslState):
		return fmt.Errorf("kafka at %s refused the login: check kafka.sasl.mechanism, kafka.sasl.username and the password: %w", brokers, err)
	case c.TLS == nil && errors.Is(err, &kgo.ErrFirstReadEOF{}):
		return fmt.Errorf("kafka at %s closed the connection at once: does it want TLS (kafka.tls.enabled) or a login (kafka.sasl)? %w", brokers, err)
	}
	return fmt.Errorf("kafka at %s cannot be reached: check kafka.brokers, and that the broker runs: %w", brokers, err)
}

// clientLogger shows what the client warns of. It says the rest of what it does
// at debug level only.
type clientLogger struct{ log *slog.Logger }

func (l clientLogger) Level() kgo.LogLevel {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelWarn
}

func (l clientLogger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	to := slog.LevelDebug
	if level <= kgo.LogLevelWarn {
		to = slog.LevelWarn
	}
	l.log.Log(context.Background(), to, "kafka client: "+msg, keyvals...)
}

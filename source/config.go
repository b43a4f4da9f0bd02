package source

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
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
	// DeadLetter names the dead letter topic of a topic; "" or nil: none.
	// DeadLetterTopics are all of them: an expression never means one of these.
	DeadLetter       func(topic string) string
	DeadLetterTopics []string
	// NewStream says whether a topic that is deleted and created anew goes on in
	// a stream of its own without anybody being asked; it must not wait for
	// anything. It needs StreamPerTopicID: the stream's name contains the topic's
	// id.
	NewStream        func(topic string) bool
	StreamPerTopicID bool
	Dial             func(ctx context.Context, network, host string) (net.Conn, error)
	Logger           *slog.Logger
}

// SASL is how to log in.
type SASL struct {
	Mechanism      string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	User, Password string
	// PasswordFrom, where it is set, is asked for the password at each login, by
	// several goroutines at once: one that changes while we run is then the new
	// one.
	PasswordFrom func() (string, error)
}

// password is asked by the client whenever it logs in.
func (s *SASL) password() (string, error) {
	if s.PasswordFrom == nil {
		return s.Password, nil
	}
	text, err := s.PasswordFrom()
	if err != nil {
		return "", &passwordError{err}
	}
	return text, nil
}

// passwordError says that there was no password to log in with.
type passwordError struct{ err error }

func (e *passwordError) Error() string { return "read the password: " + e.err.Error() }
func (e *passwordError) Unwrap() error { return e.err }

func (s *SASL) mechanism() (sasl.Mechanism, error) {
	hashed := func(context.Context) (scram.Auth, error) {
		text, err := s.password()
		return scram.Auth{User: s.User, Pass: text}, err
	}
	switch s.Mechanism {
	case "PLAIN":
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			text, err := s.password()
			return plain.Auth{User: s.User, Pass: text}, err
		}), nil
	case "SCRAM-SHA-256":
		return scram.Sha256(hashed), nil
	case "SCRAM-SHA-512":
		return scram.Sha512(hashed), nil
	}
	return nil, fmt.Errorf("sasl mechanism %q: must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", s.Mechanism)
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
	if c.SASL != nil {
		m, err := c.SASL.mechanism()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(m))
	}
	return opts, nil
}

// internalPrefix begins the names of topics that an expression does not mean:
// Kafka's own, and those of programs around it.
const internalPrefix = "__"

func internal(topic string) bool { return strings.HasPrefix(topic, internalPrefix) }

// isolation is what the client reads with, and its number in requests.
func (c Config) isolation() (kgo.IsolationLevel, int8) {
	if c.ReadUncommitted {
		return kgo.ReadUncommitted(), 0
	}
	return kgo.ReadCommitted(), 1
}

// answerBytes bounds what a broker may answer: a whole fetch behind a record
// of the largest size.
func (c Config) answerBytes() int32 {
	return int32(min(max(100<<20, 2*c.MaxRecordBytes+fetchBytes), 1<<30))
}

func (c Config) groupOptions() []kgo.Opt {
	isolation, _ := c.isolation()
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
		kgo.BrokerMaxReadBytes(c.answerBytes()),
		kgo.MaxDecompressBatchBytes(c.unpacked()),
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
	for _, t := range c.DeadLetterTopics { // or dead letters would beget dead letters
		exclude = append(exclude, "^"+regexp.QuoteMeta(t)+"$")
	}
	if len(exclude) > 0 {
		opts = append(opts, kgo.ConsumeExcludeTopics(exclude...))
	}
	return opts
}

// unpacked bounds what one compressed batch may unpack to, in bytes.
func (c Config) unpacked() int { return min(max(c.Budget, 2*c.MaxRecordBytes), math.MaxInt32) }

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

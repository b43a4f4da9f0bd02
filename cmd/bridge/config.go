package main

import (
	"time"
)

// Config is everything that can be set. config.example.toml says what each key
// means; the table in config_keys.go says which value of it is right. Durations
// and byte sizes are plain Go values here, however they were written.
type Config struct {
	Kafka     KafkaConfig
	S2        S2Config
	Stream    StreamConfig
	Policy    PolicyConfig
	Overrides []TopicPolicy // the tables [[topic]], in their order
	Memory    MemoryConfig
	HTTP      HTTPConfig
	Log       LogConfig
	Drain     DrainConfig
}

// KafkaConfig says what is read, and how to get there.
type KafkaConfig struct {
	Brokers        []string // host:port
	Group          string
	Topics         []string // exact names
	TopicsRegex    []string // RE2; each must match the whole name
	TopicsExclude  []string // RE2; each must match the whole name; wins over both above
	Isolation      string   // isolationCommitted or isolationUncommitted
	InstanceID     string   // static membership; "" = dynamic
	SessionTimeout time.Duration
	MaxRecordBytes int64 // key + value + headers of one record
	TLS            TLSConfig
	SASL           SASLConfig
}

// TLSConfig is one side's TLS. For S2 the endpoint's scheme decides whether TLS
// is spoken, and Enabled is always false.
type TLSConfig struct {
	Enabled            bool
	CAFile             string // PEM; "" = the system's
	CertFile, KeyFile  string // PEM client certificate; both or none
	ServerName         string // "" = the host that was dialled
	InsecureSkipVerify bool
}

// SASLConfig logs in at the brokers. Load has put the text of PasswordFile, if
// that is set, into Password.
type SASLConfig struct {
	Mechanism    string // "" = none
	Username     string
	Password     Secret
	PasswordFile string
}

// S2Config says where the records go. Load has put the text of
// AccessTokenFile, if that is set, into AccessToken.
type S2Config struct {
	Endpoint           string // "" = S2's cloud; else one URL without a path for account and basin
	Basin              string
	AccessToken        Secret // "" only with an endpoint of one's own
	AccessTokenFile    string
	TLS                TLSConfig
	Connections        int
	BatchesPerSecond   float64 // 0 = no limit
	MaxInflightBytes   int64   // a stream
	MaxInflightBatches int     // a stream
	Linger             time.Duration
	AckTimeout         time.Duration
	RequestTimeout     time.Duration
}

// StreamConfig names the streams, and says how missing ones are created.
type StreamConfig struct {
	Name         string // template, see mapping.ParseTemplate
	Retention    Retention
	StorageClass string // "express" or "standard"
}

// Retention is how long a new stream keeps its records: as long as the Kafka
// topic does, for Age, or, if both are zero, for ever.
type Retention struct {
	FromTopic bool
	Age       time.Duration // whole seconds
}

// MemoryConfig bounds what lies between fetch and acknowledgement.
type MemoryConfig struct {
	Budget int64 // bytes
}

// HTTPConfig is the endpoint for metrics and health.
type HTTPConfig struct {
	Listen string // host:port; "" = none
}

// LogConfig is the log on standard error.
type LogConfig struct {
	Level  string // debug, info, warn, error
	Format string // text, json
}

// DrainConfig bounds the end.
type DrainConfig struct {
	Timeout time.Duration
}

const (
	isolationCommitted   = "read_committed"
	isolationUncommitted = "read_uncommitted"

	defaultListen = "127.0.0.1:9464"
)

// Defaults returns the values of all keys that nobody set. Brokers, group,
// topics and basin have none: a guessed group would silently share the
// partitions with a stranger's bridge, the others cannot be guessed.
func Defaults() Config {
	return Config{
		Kafka: KafkaConfig{
			Isolation:      isolationCommitted,
			SessionTimeout: 45 * time.Second,
			MaxRecordBytes: 64 << 20,
		},
		S2: S2Config{
			Connections:        4,
			BatchesPerSecond:   200,
			MaxInflightBytes:   5 << 20,
			MaxInflightBatches: 8,
			Linger:             5 * time.Millisecond,
			AckTimeout:         10 * time.Second,
			RequestTimeout:     10 * time.Second,
		},
		Stream: StreamConfig{
			Name:         "{topic}/{partition}",
			Retention:    Retention{FromTopic: true},
			StorageClass: "express",
		},
		Policy: PolicyConfig{
			LargeRecords:   policyChunk,
			RefusedRecords: policyHold,
			RetentionLost:  policyHold,
			Truncated:      policyHold,
			S2Behind:       policyHold,
			TopicRecreated: policyHold,
		},
		Memory: MemoryConfig{Budget: 512 << 20},
		HTTP:   HTTPConfig{Listen: defaultListen},
		Log:    LogConfig{Level: "info", Format: "text"},
		Drain:  DrainConfig{Timeout: 8 * time.Second},
	}
}

// redactor takes this configuration's secrets out of text.
func (c Config) redactor() redactor {
	return newRedactor(c.S2.AccessToken, c.Kafka.SASL.Password)
}

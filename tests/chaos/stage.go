package chaos

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"kafka-s2-bridge/tests/real/kafka"
	"kafka-s2-bridge/tests/real/s2lite"
	"kafka-s2-bridge/tests/s2mem"
)

// Server is a server that this package started. Its methods are for one goroutine at a time.
type Server interface {
	Pid() int
	Stop() error
	Kill() error
	Restart(ctx context.Context) error
	Log() string
}

// Stage is a Kafka and an S2.
type Stage struct {
	Kafka, S2 Server
	Brokers   string // host:port
	URL       string // of S2, without a path
	Basin     string
	Durable   bool // both survive a SIGKILL with all that they had acknowledged
}

// MemoryOptions of embedded servers.
type MemoryOptions struct {
	Dir        string        // where Kafka's log and what the servers print go; it must exist
	FlushDelay time.Duration // between an append and its durability: there it can be lost sight of
	Rebalance  time.Duration // how long Kafka waits for members that have to let go, whatever they ask for; 0: as they say
	LoseEvery  int           // S2 carries out every n-th batch and resets the session instead of acknowledging; 0: none
}

// Misfortunes are options for random ones: some acknowledgements are lost, and a group that has lost members does not wait long.
func Misfortunes(dir string) MemoryOptions {
	return MemoryOptions{Dir: dir, FlushDelay: 10 * time.Millisecond, Rebalance: 8 * time.Second, LoseEvery: 200}
}

// OpenMemory starts kfake and s2mem, each in a process of its own.
func OpenMemory(ctx context.Context, o MemoryOptions) (*Stage, error) {
	k, err := newServer(o.Dir, kafkaRole, dirVariable+"="+filepath.Join(o.Dir, "kafka"), rebalanceVariable+"="+o.Rebalance.String())
	if err != nil {
		return nil, err
	}
	s, err := newServer(o.Dir, s2Role, delayVariable+"="+o.FlushDelay.String(), everyVariable+"="+strconv.Itoa(o.LoseEvery))
	if err != nil {
		return nil, err
	}
	if err := k.Restart(ctx); err != nil {
		return nil, err
	}
	if err := s.Restart(ctx); err != nil {
		return nil, errors.Join(err, k.Kill())
	}
	return &Stage{Kafka: k, S2: s, Brokers: k.addr(), URL: "http://" + s.addr(), Basin: s2mem.DefaultBasin}, nil
}

// OpenReal starts Apache Kafka and s2-lite, both with their data below dir.
func OpenReal(ctx context.Context, dir string, logf func(format string, args ...any)) (*Stage, error) {
	home := filepath.Join(dir, "kafka")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	k, err := kafka.Start(ctx, kafka.Options{Dir: home, Logf: logf})
	if err != nil {
		return nil, err
	}
	const basin = "chaos-test"
	s, err := s2lite.Start(ctx, s2lite.Options{Dir: dir, LocalRoot: filepath.Join(dir, "s2"), Basin: basin, Logf: logf})
	if err != nil {
		return nil, errors.Join(err, k.Kill())
	}
	return &Stage{Kafka: k, S2: s, Brokers: k.Addr(), URL: s.URL(), Basin: basin, Durable: true}, nil
}

// Close ends both servers.
func (s *Stage) Close() error { return errors.Join(s.Kafka.Kill(), s.S2.Kill()) }

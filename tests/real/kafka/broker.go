package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/real/proc"
)

// Options of a broker. All but Dir may be left zero.
type Options struct {
	Dir        string            // where data, properties and log go; it must exist
	Port       int               // of 127.0.0.1; 0: a free one
	Heap       string            // Java's -Xmx; default 1g
	Properties map[string]string // added to server.properties, or replacing its lines
	Ready      time.Duration     // how long a start may take; default 90 s
	Logf       func(format string, args ...any)
}

// Broker is one Kafka node with its data directory. Its methods are for one goroutine at a time.
type Broker struct {
	opts  Options
	jars  string
	java  string
	child *proc.Child
}

// Start formats an empty directory, starts a broker on it and waits until it takes requests. ctx bounds the start
// only; the broker runs until Stop or Kill, or until this process ends (on Linux).
func Start(ctx context.Context, opts Options) (*Broker, error) {
	if opts.Heap == "" {
		opts.Heap = "1g"
	}
	if opts.Ready == 0 {
		opts.Ready = 90 * time.Second
	}
	if opts.Logf == nil {
		opts.Logf = func(string, ...any) {}
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, fmt.Errorf("kafka: Java 17 or newer is needed: %w", err)
	}
	jars, err := Jars(ctx, opts.Logf)
	if err != nil {
		return nil, err
	}
	b := &Broker{opts: opts, jars: jars, java: java}
	if err := b.format(ctx); err != nil {
		return nil, err
	}
	return b, b.Restart(ctx)
}

// Run is Start for a test: an error is fatal, the broker is stopped when the test ends, and a
// failed test shows the end of the broker's log.
func Run(tb proc.TB, opts Options) *Broker {
	tb.Helper()
	if opts.Dir == "" {
		opts.Dir = tb.TempDir()
	}
	if opts.Logf == nil {
		opts.Logf = tb.Logf
	}
	b, err := Start(context.Background(), opts)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(func() {
		if err := b.Stop(); err != nil {
			tb.Logf("%v", err)
		}
		if tb.Failed() {
			tb.Logf("end of the broker's log:\n%s", proc.Tail(b.Log(), 6000))
		}
	})
	return b
}

// Addr is host:port of the broker.
func (b *Broker) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.opts.Port)) }

// Log is the file with everything that the broker printed, over all its starts.
func (b *Broker) Log() string { return filepath.Join(b.opts.Dir, "kafka.log") }

// Pid of the running broker.
func (b *Broker) Pid() int { return b.child.Pid() }

// Stop ends the broker with SIGTERM, so that it closes its logs. A stopped broker is not an error.
func (b *Broker) Stop() error {
	if b.child == nil || !b.child.Running() {
		return nil
	}
	return b.child.Stop(60 * time.Second)
}

// Kill ends the broker with SIGKILL. What it had acknowledged is in the page cache and so survives.
func (b *Broker) Kill() error {
	if b.child == nil {
		return nil
	}
	return b.child.Kill()
}

// Restart starts the broker again, on the same port and data, and waits until it takes requests.
func (b *Broker) Restart(ctx context.Context) error {
	if b.child != nil && b.child.Running() {
		return errors.New("kafka: restart of a running broker")
	}
	began := time.Now()
	child, err := proc.Start(proc.Spec{
		Name: "kafka", Path: b.java, Dir: b.opts.Dir, Log: b.Log(),
		Args: []string{"-Xmx" + b.opts.Heap, "-Xms256m", "-Dlog4j2.configurationFile=" + b.path("log4j2.properties"),
			"-cp", filepath.Join(b.jars, "*"), "kafka.Kafka", b.path("server.properties")},
	})
	if err != nil {
		return err
	}
	b.child = child
	ctx, cancel := context.WithTimeoutCause(ctx, b.opts.Ready, fmt.Errorf("kafka: not ready after %s", b.opts.Ready))
	defer cancel()
	err = proc.Poll(ctx, 50*time.Millisecond, func(ctx context.Context) error {
		if !child.Running() {
			return proc.Final(fmt.Errorf("kafka ended while starting: %w", errors.Join(child.Err(), errors.New(proc.Tail(b.Log(), 3000)))))
		}
		return b.ready(ctx)
	})
	if err != nil {
		return errors.Join(err, child.Kill())
	}
	b.opts.Logf("kafka on %s (pid %d) ready after %.1f s", b.Addr(), child.Pid(), time.Since(began).Seconds())
	return nil
}

// ready asks whether the broker is registered with its controller; before that it knows no brokers and makes no topics.
func (b *Broker) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", b.Addr()) // cheap while nobody listens; a kgo client is not
	if err != nil {
		return err
	}
	_ = conn.Close()
	cl, err := b.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	meta, err := kadm.NewClient(cl).BrokerMetadata(ctx)
	if err != nil {
		return err
	}
	if len(meta.Brokers) == 0 {
		return errors.New("the broker is not registered yet")
	}
	return nil
}

// Client is a new kgo client of the broker. The caller closes it.
func (b *Broker) Client(opts ...kgo.Opt) (*kgo.Client, error) {
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Addr())}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	return cl, nil
}

// CreateTopic makes a topic with one replica. config may be nil.
func (b *Broker) CreateTopic(ctx context.Context, name string, partitions int32, config map[string]string) error {
	cl, err := b.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	values := make(map[string]*string, len(config))
	for k, v := range config {
		values[k] = &v
	}
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, values, name); err != nil {
		return fmt.Errorf("topic %s: %w", name, err)
	}
	return nil
}

func (b *Broker) path(name string) string { return filepath.Join(b.opts.Dir, name) }

// format writes the properties and prepares the data directory, once.
func (b *Broker) format(ctx context.Context) error {
	dir, err := filepath.Abs(b.opts.Dir)
	if err != nil {
		return fmt.Errorf("kafka directory: %w", err)
	}
	b.opts.Dir = dir
	if b.opts.Port == 0 {
		if b.opts.Port, err = proc.FreePort(); err != nil {
			return err
		}
	}
	controller, err := proc.FreePort()
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.path("log4j2.properties"), []byte(logging), 0o644); err != nil {
		return fmt.Errorf("kafka logging: %w", err)
	}
	if err := os.WriteFile(b.path("server.properties"), properties(b.opts, controller), 0o644); err != nil {
		return fmt.Errorf("kafka properties: %w", err)
	}
	return proc.Run(ctx, proc.Spec{Name: "kafka storage tool", Path: b.java, Args: []string{"-cp", filepath.Join(b.jars, "*"),
		"kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", clusterID(), "-c", b.path("server.properties")}})
}

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/tests/real/proc"
	"kafka-s2-bridge/tests/s2mem"
)

// The variables by which this program is told to be a server.
const (
	roleVariable      = "CHAOS_SERVE"
	portVariable      = "CHAOS_PORT"
	dirVariable       = "CHAOS_DIR"
	delayVariable     = "CHAOS_FLUSH_DELAY"
	everyVariable     = "CHAOS_LOSE_EVERY"
	rebalanceVariable = "CHAOS_REBALANCE"

	kafkaRole = "kafka"
	s2Role    = "s2"
)

// Serve comes first in a program that opens an embedded stage. In the process that is to be one of the servers it serves until
// SIGTERM and returns true: then that process has nothing more to do.
func Serve() (served bool, err error) {
	role := os.Getenv(roleVariable)
	if role == "" {
		return false, nil
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	stop, err := serve(role)
	if err != nil {
		return true, err
	}
	<-end
	stop()
	return true, nil
}

func serve(role string) (stop func(), err error) {
	port, err := strconv.Atoi(os.Getenv(portVariable))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", portVariable, err)
	}
	if role == kafkaRole {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.ClusterID("chaos"),
			kfake.DataDir(os.Getenv(dirVariable)), kfake.SyncWrites())
		if err != nil {
			return nil, fmt.Errorf("kfake: %w", err)
		}
		// Where a response reaches the MaxBytes of its request, this kfake leaves out which transactions of the last partition
		// were aborted, and a consumer takes their records for committed. Only a partition's own limit is kept to.
		cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			req.(*kmsg.FetchRequest).MaxBytes = math.MaxInt32
			return nil, nil, false
		})
		// A member that dies while the group is about to share its partitions anew: Kafka forgets it after its session time-out,
		// this kfake waits for it as long as members may take to let go.
		if limit, err := time.ParseDuration(os.Getenv(rebalanceVariable)); err == nil && limit > 0 {
			cluster.ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				req.(*kmsg.JoinGroupRequest).RebalanceTimeoutMillis = int32(limit.Milliseconds())
				return nil, nil, false
			})
		}
		return cluster.Close, nil
	}
	delay, err := time.ParseDuration(os.Getenv(delayVariable))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", delayVariable, err)
	}
	srv := s2mem.New(s2mem.Options{FlushDelay: delay})
	spy(srv)
	if every, err := strconv.Atoi(os.Getenv(everyVariable)); err == nil && every > 0 {
		n := 0
		srv.Fault(s2mem.Fault{Op: s2mem.OpBatch, Do: s2mem.ApplyReset, Count: -1, When: func(s2mem.Call) bool {
			n++
			return n%every == 0
		}})
	}
	if err := srv.Listen(net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err != nil {
		srv.Close()
		return nil, err
	}
	return srv.Close, nil
}

// fencedOut is what the S2 process says of everything that it refuses since the stream has another's fence.
const fencedOut = "refused for its fencing token: stream"

// spy compares the token of each append with the stream's last durable fence.
func spy(srv *s2mem.Server) {
	var mu sync.Mutex
	tokens := map[string]string{}
	srv.OnAppend(func(a s2mem.Append) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range a.Records {
			if len(r.Headers) == 1 && len(r.Headers[0].Name) == 0 && string(r.Headers[0].Value) == "fence" {
				tokens[a.Stream] = string(r.Body)
			}
		}
	})
	for _, op := range []s2mem.Op{s2mem.OpBatch, s2mem.OpAppend} { // records and markers; fences
		srv.Fault(s2mem.Fault{Op: op, Do: s2mem.Observe, Count: -1, When: func(c s2mem.Call) bool {
			mu.Lock()
			defer mu.Unlock()
			if c.Token != nil && *c.Token != tokens[c.Stream] {
				fmt.Println(fencedOut, c.Stream)
			}
			return false // the next fault may have it
		}})
	}
}

// server is an embedded server as a process.
type server struct {
	spec  proc.Spec
	port  int
	child *proc.Child
}

func newServer(dir, role string, env ...string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("the path of this program: %w", err)
	}
	port, err := proc.FreePort()
	if err != nil {
		return nil, err
	}
	return &server{port: port, spec: proc.Spec{
		Name: role, Path: self, Log: filepath.Join(dir, role+".log"),
		Env: append(env, roleVariable+"="+role, portVariable+"="+strconv.Itoa(port)),
	}}, nil
}

func (s *server) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Pid of the process.
func (s *server) Pid() int { return s.child.Pid() }

// Log is the file with what the process printed.
func (s *server) Log() string { return s.spec.Log }

// Stop ends it with SIGTERM.
func (s *server) Stop() error { return s.child.Stop(10 * time.Second) }

// Kill ends it with SIGKILL.
func (s *server) Kill() error { return s.child.Kill() }

// Restart starts it, on its port, and waits until it listens.
func (s *server) Restart(ctx context.Context) (err error) {
	if s.child, err = proc.Start(s.spec); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, fmt.Errorf("%s does not listen after 20 s", s.spec.Name))
	defer cancel()
	return proc.Poll(ctx, 10*time.Millisecond, func(ctx context.Context) error {
		if !s.child.Running() {
			return proc.Final(errors.Join(s.child.Err(), errors.New(s.child.Tail(2000))))
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.addr())
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/proc"
)

// measure is what one process of a mover took, from its start to its end.
type measure struct {
	bytes   int
	elapsed time.Duration // from the start to the last record
	cpu     time.Duration // user and system, of the whole life
	peak    float64       // resident memory, MiB
}

func (m measure) rate() float64      { return float64(m.bytes) / mib / m.elapsed.Seconds() }
func (m measure) cpuPerGiB() float64 { return m.cpu.Seconds() / (float64(m.bytes) / (1 << 30)) }

func (m measure) String() string {
	return fmt.Sprintf("%.0f MiB/s, %.2f CPU s/GiB, %.0f MiB", m.rate(), m.cpuPerGiB(), m.peak)
}

// measure runs a mover once, with an S2 server of its own.
func (p *plan) measure(ctx context.Context, mover string, s size) (m measure, err error) {
	p.seq++
	name := fmt.Sprintf("%s-%d-%d", mover, s.bytes, p.seq)
	m.bytes = s.total()
	server, endpoint := (*proc.Child)(nil), ""
	if mover != "read" {
		if server, endpoint, err = p.server(ctx, name); err != nil {
			return m, err
		}
		defer func() { err = errors.Join(err, server.Kill()) }()
	}
	began := time.Now()
	var child *proc.Child
	var done func(context.Context) error // returns when the last record is through
	switch mover {
	case "bridge":
		b, err := bridge.Start(bridge.Options{Binary: p.binary, Dir: p.dir, Name: name, Settings: bridge.Settings{
			"kafka.brokers": []string{p.broker.Addr()}, "kafka.group": name, "kafka.topics": []string{s.topic()},
			"s2.endpoint": endpoint, "s2.basin": basin, "s2.batches_per_second": 0, "memory.budget": fmt.Sprintf("%dMiB", p.budget),
			"log.level": "warn",
		}})
		if err != nil {
			return m, err
		}
		child, done = b.Child(), func(ctx context.Context) error { return allThere(ctx, endpoint, s, b.Child()) }
	default:
		args := []string{mover, "-kafka", p.broker.Addr(), "-topic", s.topic(), "-group", name, "-endpoint", endpoint,
			"-bytes", strconv.Itoa(s.bytes), "-each", strconv.Itoa(s.each())}
		if child, err = proc.Start(proc.Spec{Name: mover, Path: p.self, Args: args, Log: filepath.Join(p.dir, name+".log")}); err != nil {
			return m, err
		}
		done = func(ctx context.Context) error { return saysDone(ctx, child) }
	}
	defer func() { err = errors.Join(err, child.Kill()) }()
	ctx, cancel := context.WithTimeoutCause(ctx, 3*time.Minute, errors.New("not through after 3 minutes"))
	defer cancel()
	if err := done(ctx); err != nil {
		return m, fmt.Errorf("%w\n%s", err, proc.Tail(filepath.Join(p.dir, name+".log"), 3000))
	}
	m.elapsed = time.Since(began)
	if m.peak, err = peak(child.Pid()); err != nil {
		return m, err
	}
	if err := child.Stop(30 * time.Second); err != nil {
		return m, err
	}
	state := child.State()
	m.cpu = state.UserTime() + state.SystemTime()
	return m, nil
}

// server starts the S2 server that only acks.
func (p *plan) server(ctx context.Context, name string) (*proc.Child, string, error) {
	port, err := proc.FreePort()
	if err != nil {
		return nil, "", err
	}
	addr := "127.0.0.1:" + strconv.Itoa(port)
	child, err := proc.Start(proc.Spec{Name: "server", Path: p.self, Args: []string{"server", "-listen", addr}, Log: filepath.Join(p.dir, name+"-server.log")})
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("the S2 server does not answer"))
	defer cancel()
	err = proc.Poll(ctx, 10*time.Millisecond, func(ctx context.Context) error {
		if !child.Running() {
			return proc.Final(errors.Join(child.Err(), errors.New(child.Tail(2000))))
		}
		_, _, err := get(ctx, "http://"+addr+"/health")
		return err
	})
	if err != nil {
		return nil, "", errors.Join(err, child.Kill())
	}
	return child, "http://" + addr, nil
}

// saysDone waits for the line that a child of ours prints when its last record is through. It then waits for SIGTERM, so
// that its memory can be looked at.
func saysDone(ctx context.Context, child *proc.Child) error {
	return proc.Poll(ctx, 10*time.Millisecond, func(context.Context) error {
		if !child.Running() {
			return proc.Final(errors.Join(errors.New("ended early"), child.Err()))
		}
		if child.Tail(100) != "done\n" {
			return errors.New("not done")
		}
		return nil
	})
}

var tailOf = regexp.MustCompile(`"seq_num":(\d+)`)

// allThere waits until every stream has its share: the fence, the open marker, and the records.
func allThere(ctx context.Context, endpoint string, s size, child *proc.Child) error {
	partition := 0
	return proc.Poll(ctx, 20*time.Millisecond, func(ctx context.Context) error {
		if !child.Running() {
			return proc.Final(errors.Join(errors.New("ended early"), child.Err()))
		}
		for ; partition < partitions; partition++ {
			_, text, err := get(ctx, endpoint+"/v1/streams/"+url.PathEscape(fmt.Sprintf("%s/%d", s.topic(), partition))+"/records/tail")
			if err != nil {
				return err
			}
			found := tailOf.FindStringSubmatch(text)
			if found == nil {
				return fmt.Errorf("partition %d: %s", partition, text)
			}
			if tail, err := strconv.Atoi(found[1]); err != nil || tail < s.each()+2 {
				return fmt.Errorf("partition %d at %s of %d", partition, found[1], s.each()+2)
			}
		}
		return nil
	})
}

func get(ctx context.Context, url string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("s2-basin", basin)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak is the most memory that a running process had, MiB. Only Linux tells.
func peak(pid int) (float64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, fmt.Errorf("peak memory: %w", err)
	}
	found := highWater.FindSubmatch(status)
	if found == nil {
		return 0, errors.New("peak memory: no VmHWM")
	}
	kb, err := strconv.Atoi(string(found[1]))
	return float64(kb) / 1024, err
}

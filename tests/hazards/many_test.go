package hazards

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/proc"
	"kafka-s2-bridge/tests/s2mem"
)

const (
	partitions = 10_000
	busy       = 300       // of them get records
	atOnce     = 64        // acquisitions, as docs/hazards.md says
	resident   = 400 << 20 // 40 kB a partition, with what the garbage collector has not taken yet
)

// many is a bridge that has all partitions of a topic.
type many struct {
	t *testing.T
	*bridge.Process
	s2 *s2mem.Server
}

// page gives the samples of /metrics: name{labels} -> value.
func (m *many) page() map[string]float64 {
	m.t.Helper()
	page := map[string]float64{}
	code, body, err := m.Get(m.t.Context(), "/metrics")
	if err != nil || code != http.StatusOK {
		return page
	}
	for line := range strings.Lines(body) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil && !strings.HasPrefix(name, "#") {
			page[strings.TrimPrefix(name, "kafka_s2_bridge_")] = v
		}
	}
	return page
}

func sum(page map[string]float64, begin string) (n float64) {
	for name, v := range page {
		if strings.HasPrefix(name, begin) {
			n += v
		}
	}
	return n
}

func (m *many) until(what string, check func() error) {
	m.t.Helper()
	ctx, cancel := context.WithTimeoutCause(m.t.Context(), 2*time.Minute, fmt.Errorf("not within two minutes: %s", what))
	defer cancel()
	if err := proc.Poll(ctx, 500*time.Millisecond, func(context.Context) error {
		if !m.Child().Running() {
			return proc.Final(fmt.Errorf("the bridge ended with %s:\n%s", m.Child().State(), proc.Tail(m.Log(), 4000)))
		}
		return check()
	}); err != nil {
		m.t.Fatal(err)
	}
}

// rss is the bridge's resident memory in bytes; 0 where the system does not tell.
func (m *many) rss() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.Pid()))
	if err != nil {
		return 0
	}
	if f := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text); f != nil {
		n, _ := strconv.Atoi(string(f[1]))
		return n << 10
	}
	return 0
}

// Ten thousand partitions in one process: while nothing comes each has cost S2 one question, and holds no session and little
// memory; where records come for hundreds at once no more than 64 set out at a time.
func TestManyPartitions(t *testing.T) {
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("cluster"), kfake.SeedTopics(partitions, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	dir := t.TempDir()
	program, err := bridge.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	m := &many{t: t, s2: s2mem.Start(t, s2mem.Options{})}
	asked := m.s2.Fault(s2mem.Fault{Op: s2mem.OpTail, Count: -1, Do: s2mem.Observe})
	m.Process, err = bridge.Start(bridge.Options{Binary: program, Dir: dir, Name: "bridge", Settings: bridge.Settings{
		"kafka.brokers": kafka.ListenAddrs(), "kafka.group": "many", "kafka.topics": []string{"orders"},
		"s2.endpoint": m.s2.URL(), "s2.basin": s2mem.DefaultBasin, "s2.batches_per_second": 0,
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Kill() }()
	began := time.Now()
	m.until("all are assigned, and settled", func() error {
		if code, body, err := m.Get(t.Context(), "/readyz"); err != nil || code != http.StatusOK {
			return fmt.Errorf("/readyz: %d %.200s %w", code, body, err)
		}
		if page := m.page(); page["assigned_partitions"] != partitions || sum(page, "lag{") != 0 {
			return fmt.Errorf("%v assigned, lag %v", page["assigned_partitions"], sum(page, "lag{"))
		}
		return nil
	})
	idle := m.page()
	if n := asked.Hits(); n != partitions {
		t.Errorf("S2 was asked %d times where %d partitions go on", n, partitions)
	}
	if sum(idle, "acquisitions_total{") != 0 || idle["s2_sessions_open"] != 0 || len(m.s2.Streams()) != 0 {
		t.Errorf("idle partitions cost %v acquisitions, %v sessions, %d streams", sum(idle, "acquisitions_total{"), idle["s2_sessions_open"], len(m.s2.Streams()))
	}
	rss := m.rss()
	t.Logf("%d partitions are idle after %v, %d MiB resident", partitions, time.Since(began).Round(time.Millisecond), rss>>20)
	if rss > resident {
		t.Errorf("%d MiB resident, want at most %d", rss>>20, resident>>20)
	}

	// Hundreds at once, and S2 answers no fence: 64 are under way, the others wait.
	held := m.s2.Fault(s2mem.Fault{Op: s2mem.OpAppend, Count: -1, Do: s2mem.Hold})
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	records := make([]*kgo.Record, busy)
	for i := range records {
		records[i] = &kgo.Record{Topic: "orders", Partition: int32(i * (partitions / busy)), Value: []byte("value")}
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	m.until("all that have records set out", func() error {
		if n := sum(m.page(), "acquisitions_total{"); n != busy {
			return fmt.Errorf("%v acquisitions", n)
		}
		if held.Hits() < atOnce {
			return fmt.Errorf("%d fences are under way", held.Hits())
		}
		return nil
	})
	if n := held.Hits(); n != atOnce {
		t.Errorf("%d fences are under way at once, want %d", n, atOnce)
	}
	held.Remove()
	m.until("their records are there", func() error {
		if n := sum(m.page(), "records_acknowledged_total{"); n != busy {
			return fmt.Errorf("%v records are acknowledged", n)
		}
		return nil
	})
	page := m.page()
	if n := len(m.s2.Streams()); n != busy {
		t.Errorf("%d streams, want %d", n, busy)
	}
	histograms := 0
	for name := range page {
		if strings.HasPrefix(name, "append_seconds_count{") {
			histograms++
		}
	}
	if histograms != busy {
		t.Errorf("%d partitions have a histogram, %d have written", histograms, busy)
	}
	t.Logf("%d of them copy after %v, %d MiB resident, %v sessions, %d lines in /metrics", busy, time.Since(began).Round(time.Millisecond), m.rss()>>20, page["s2_sessions_open"], len(page))
}

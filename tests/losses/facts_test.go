package losses

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/s2mem"
)

// facts counts what becomes durable, batch by batch, past the bridge: what its metrics must say. Records that S2 loses later
// stay counted, as they do there.
type facts struct {
	mu      sync.Mutex
	streams map[string]*fact
	lost    map[[2]int]bool // session and batch whose acknowledgement never comes
}

// fact is what has become durable in one stream.
type fact struct {
	fences, batches  int
	records, bytes   int
	unacked, unbytes int            // of them in batches whose acknowledgement was lost
	missing          map[string]int // offsets, by class
	durable          int64
	begun            bool
	key              int // bytes of the key of the chunk group at hand
}

func (w *world) count() *facts {
	f := &facts{streams: map[string]*fact{}, lost: map[[2]int]bool{}}
	w.s2.OnAppend(f.appended)
	return f
}

func (f *facts) appended(a s2mem.Append) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.streams[a.Stream]
	if s == nil {
		s = &fact{missing: map[string]int{}, durable: -1}
		f.streams[a.Stream] = s
	}
	lost := f.lost[[2]int{a.Session, a.Batch}]
	if a.Session > 0 && !lost {
		s.batches++
	}
	for _, r := range a.Records {
		stored := oracle.Stored{Seq: r.Seq, Timestamp: r.Timestamp, Body: r.Body}
		for _, h := range r.Headers {
			stored.Headers = append(stored.Headers, oracle.StoredHeader{Name: h.Name, Value: h.Value})
		}
		s.take(oracle.Decode(stored), lost)
	}
}

func (s *fact) take(it oracle.Item, lost bool) {
	switch it.Kind {
	case oracle.Fence:
		s.fences++
	case oracle.Open:
		if !s.begun {
			s.durable, s.begun = it.Open.Resume-1, true
		}
	case oracle.Gap:
		s.missing["compacted_or_transactional"] += int(max(it.Gap.From-s.durable-1, 0))
		s.missing[it.Gap.Reason] += int(it.Gap.To - it.Gap.From)
		s.durable = it.Gap.To - 1
	case oracle.Data:
		if !it.Chunked || it.Index == 0 {
			s.key = len(it.Record.Key)
		}
		size := s.key + len(it.Record.Value)
		if it.Chunked {
			if it.Index < it.Count-1 {
				return
			}
			size = s.key + int(it.Total)
		}
		s.records++
		s.bytes += size
		if lost {
			s.unacked++
			s.unbytes += size
		} else {
			s.missing["compacted_or_transactional"] += int(max(it.Record.Offset-s.durable-1, 0))
		}
		s.durable = it.Record.Offset
	}
}

// lose makes S2 apply the next batch of a stream and answer with an error, or, with a 412 that is none, not apply it.
func (f *facts) lose(w *world, stream string, fault s2mem.Fault) *s2mem.FaultHandle {
	fault.Op, fault.Stream = s2mem.OpBatch, stream
	if fault.Do == s2mem.ApplyRefuse {
		fault.When = func(c s2mem.Call) bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.lost[[2]int{c.Session, c.Batch}] = true
			return true
		}
	}
	return w.s2.Fault(fault)
}

// metrics are what a bridge's page must have for these partitions, by name and labels.
func (f *facts) metrics(topics map[string]int32) map[string]float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	want := map[string]float64{}
	for topic, parts := range topics {
		for p := range parts {
			s := f.streams[fmt.Sprintf("%s/%d", topic, p)]
			if s == nil {
				continue
			}
			of := fmt.Sprintf("partition=\"%d\",topic=%q", p, topic)
			want["records_acknowledged_total{"+of+"}"] = float64(s.records - s.unacked)
			want["bytes_acknowledged_total{"+of+"}"] = float64(s.bytes - s.unbytes)
			want["append_seconds_count{"+of+"}"] = float64(s.batches)
			want["acquisitions_total{"+of+"}"] = float64(s.fences)
			want["durable_offset{"+of+"}"] = float64(s.durable)
			want["inflight_bytes{"+of+"}"] = 0
			want["lag{"+of+"}"] = 0
			for class, n := range s.missing {
				if n > 0 {
					want["missing_offsets_total{class="+strconv.Quote(class)+","+of+"}"] = float64(n)
				}
			}
		}
	}
	return want
}

// page is what /metrics shows, without the prefix of all names; acquisitions are summed over their reasons.
func (r *run) page() (map[string]float64, error) {
	_, body, err := r.Get(r.t.Context(), "/metrics")
	if err != nil {
		return nil, r.alive(err)
	}
	page := map[string]float64{}
	for line := range strings.Lines(body) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "kafka_s2_bridge_"), "} ")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil || strings.HasPrefix(name, "#") {
			continue
		}
		if strings.HasPrefix(name, "acquisitions_total{") {
			labels := strings.Split(name[strings.Index(name, "{")+1:], ",")
			labels = slices.DeleteFunc(labels, func(l string) bool { return strings.HasPrefix(l, "reason=") })
			name = "acquisitions_total{" + strings.Join(labels, ",")
		}
		page[name+"}"] += v
	}
	for line := range strings.Lines(body) { // those without labels
		name, value, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "kafka_s2_bridge_"), " ")
		if v, err := strconv.ParseFloat(value, 64); found && err == nil && !strings.ContainsAny(name, "{#") {
			page[name] = v
		}
	}
	return page, nil
}

// shows waits until the page has exactly these numbers. Of missing offsets it has no class that is not among them.
func (r *run) shows(want map[string]float64) {
	r.t.Helper()
	await(r.t, patient, func() error {
		page, err := r.page()
		if err != nil {
			return err
		}
		if wrong := differ(page, want); len(wrong) > 0 {
			return fmt.Errorf("metrics are not the facts:\n  %s", strings.Join(wrong, "\n  "))
		}
		return nil
	}, "/metrics")
}

func differ(page, want map[string]float64) (wrong []string) {
	for name, v := range want {
		if have, ok := page[name]; !ok || have != v {
			wrong = append(wrong, fmt.Sprintf("%s is %v (there: %v), the fact is %v", name, have, ok, v))
		}
	}
	for name := range maps.Keys(page) {
		if _, ok := want[name]; !ok && strings.HasPrefix(name, "missing_offsets_total{") {
			wrong = append(wrong, name+" is no fact")
		}
	}
	slices.Sort(wrong)
	return wrong
}

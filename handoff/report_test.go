package handoff

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetrics(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		o := w.own(t.Context())
		synctest.Wait()
		w.serve(o, 0, 9)
		synctest.Wait()
		want := `
			# HELP kafka_s2_bridge_acquisitions_total Times that this process set out to become the writer of the stream.
			# TYPE kafka_s2_bridge_acquisitions_total counter
			kafka_s2_bridge_acquisitions_total{partition="7",reason="first",topic="orders"} 1
			# HELP kafka_s2_bridge_bytes_acknowledged_total Key and value bytes of the records that S2 acknowledged.
			# TYPE kafka_s2_bridge_bytes_acknowledged_total counter
			kafka_s2_bridge_bytes_acknowledged_total{partition="7",topic="orders"} 50
			# HELP kafka_s2_bridge_durable_offset Kafka offset up to which the stream is complete; -1 while nothing is known.
			# TYPE kafka_s2_bridge_durable_offset gauge
			kafka_s2_bridge_durable_offset{partition="7",topic="orders"} 9
			# HELP kafka_s2_bridge_inflight_bytes Encoded bytes sent to S2 and not acknowledged yet.
			# TYPE kafka_s2_bridge_inflight_bytes gauge
			kafka_s2_bridge_inflight_bytes{partition="7",topic="orders"} 0
			# HELP kafka_s2_bridge_records_acknowledged_total Kafka records that S2 acknowledged.
			# TYPE kafka_s2_bridge_records_acknowledged_total counter
			kafka_s2_bridge_records_acknowledged_total{partition="7",topic="orders"} 10
		`
		names := []string{"kafka_s2_bridge_acquisitions_total", "kafka_s2_bridge_bytes_acknowledged_total", "kafka_s2_bridge_durable_offset",
			"kafka_s2_bridge_inflight_bytes", "kafka_s2_bridge_records_acknowledged_total", "kafka_s2_bridge_held"}
		if err := testutil.GatherAndCompare(w.metrics, strings.NewReader(want), names...); err != nil {
			t.Error(err)
		}
		o.Trouble(Trouble{Cut: 1, Kind: TopicRecreated, Detail: "another id"})
		synctest.Wait()
		held := w.opt.Metrics.held.WithLabelValues("orders", "7", "topic-recreated")
		if v := testutil.ToFloat64(held); v != 1 {
			t.Errorf("held %v", v)
		}
		o.Release(time.Second)
		gone(o)
		// Another process reports the gauges now; counters stay.
		for name, n := range map[string]int{"kafka_s2_bridge_held": 0, "kafka_s2_bridge_durable_offset": 0, "kafka_s2_bridge_inflight_bytes": 0,
			"kafka_s2_bridge_records_acknowledged_total": 1} {
			if got, err := testutil.GatherAndCount(w.metrics, name); err != nil || got != n {
				t.Errorf("%s has %d series, want %d (%v)", name, got, n, err)
			}
		}
	})
}

// A hold is one log line with the reason and what to do, its end another; a
// trouble that lasts is logged every 30 s, not at every try.
func TestLog(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var log bytes.Buffer
		w.opt.Logger = slog.New(slog.NewTextHandler(&log, nil))
		fail := func(err error) { w.change(func() { w.onAsk = func(context.Context) error { return err } }) }
		fail(&s2Error{text: "connection refused"})
		w.opt.BackoffMax = time.Second
		o := w.own(t.Context())
		pass(31 * time.Second)
		if n := strings.Count(log.String(), "not writing"); n != 2 {
			t.Errorf("a trouble of 31 s was logged %d times", n)
		}
		fail(&s2Error{text: "403", denied: true})
		pass(time.Minute)
		fail(nil)
		pass(time.Minute)
		w.serve(o, 0, 3)
		synctest.Wait()
		o.Release(time.Second)
		gone(o)
		for _, line := range []string{
			`level=ERROR msg="partition held" topic=orders partition=7 reason=unauthorized detail="S2 refused: ask the stream for its tail and token: 403" next=`,
			`msg="partition goes on" topic=orders partition=7 was_held=unauthorized`,
			`msg=recovered`, `msg=writing topic=orders partition=7 behind_offset=-1`, `msg=released topic=orders partition=7 durable_offset=3 position=4`,
		} {
			if strings.Count(log.String(), line) != 1 {
				t.Errorf("log has %q %d times:\n%s", line, strings.Count(log.String(), line), log.String())
			}
		}
	})
}

// What is left out is said in the metric and in the log, with exact offsets.
func TestLeftOut(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var log bytes.Buffer
		w.opt.Logger = slog.New(slog.NewTextHandler(&log, nil))
		w.opt.Policy.Refused = SkipRecord
		o := w.own(t.Context())
		synctest.Wait()
		recs := records(0, 9)
		recs = append(recs[:3], recs[5:]...) // compacted
		recs[4].Key = make([]byte, 1<<20)
		o.Fetched(1, 100, recs)
		synctest.Wait()
		want := `
			# HELP kafka_s2_bridge_missing_offsets_total Kafka offsets that were passed over, by class: compacted_or_transactional are legal, the others stand in gap markers.
			# TYPE kafka_s2_bridge_missing_offsets_total counter
			kafka_s2_bridge_missing_offsets_total{class="compacted_or_transactional",partition="7",topic="orders"} 2
			kafka_s2_bridge_missing_offsets_total{class="refused",partition="7",topic="orders"} 1
		`
		if err := testutil.GatherAndCompare(w.metrics, strings.NewReader(want), "kafka_s2_bridge_missing_offsets_total"); err != nil {
			t.Error(err)
		}
		if line := `msg="gap marker written: these offsets are not in the stream" topic=orders partition=7 reason=refused from=6 to=7 offsets=1`; !strings.Contains(log.String(), line) {
			t.Errorf("the log lacks %q:\n%s", line, log.String())
		}
		o.Abandon()
		gone(o)
	})
}

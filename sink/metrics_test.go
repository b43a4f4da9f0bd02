package sink

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"kafka-s2-bridge/tests/s2mem"
)

// metric is the value of a counter or gauge.
func metric(t testing.TB, m prometheus.Collector) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(m)
	all, err := reg.Gather()
	if err != nil || len(all) != 1 || len(all[0].Metric) != 1 {
		t.Fatal(all, err)
	}
	one := all[0].Metric[0]
	return one.GetGauge().GetValue() + one.GetCounter().GetValue()
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	srv := s2mem.Start(t, s2mem.Options{Basin: testBasin})
	c := newClient(t, Config{Endpoint: srv.URL(), Metrics: NewMetrics(reg)})
	ctx := deadline(t)
	s, next := fenced(t, c, "orders/0")
	if _, _, _, err := s.Ask(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fence(ctx, "u", "wrong", 0); err == nil {
		t.Fatal("fenced on a wrong condition")
	}
	if _, err := c.Stream("nope", StreamSettings{}).Read(ctx, 0, 1); err == nil {
		t.Fatal("read a missing stream")
	}
	ss, r := open(ctx, s)
	ss.Send(batch(t, 0, 1, 10), next, "t")
	r.awaitAcks(t, ctx, 1)
	if n := metric(t, c.metrics.sessions); n != 1 {
		t.Errorf("%v sessions are open", n)
	}
	ss.Finish()
	r.awaitEnd(t, ctx)
	ss, r = open(ctx, s)
	ss.Abort()
	r.awaitEnd(t, ctx)
	c.Close()

	if n := metric(t, c.metrics.sessions); n != 0 {
		t.Errorf("%v sessions are open at the end", n)
	}
	for _, want := range []struct {
		op, outcome string
		n           float64
	}{
		{opCreate, "ok", 1}, {opFence, "ok", 1}, {opFence, "condition", 1}, {opTail, "ok", 1},
		{opQuestion, "condition", 1}, {opRead, "not_found", 1}, {opSession, "ok", 1}, {opSession, "closed", 1},
	} {
		if n := metric(t, c.metrics.requests.WithLabelValues(want.op, want.outcome)); n != want.n {
			t.Errorf("%s %s: %v, want %v", want.op, want.outcome, n, want.n)
		}
	}
	families, err := reg.Gather()
	if err != nil || len(families) != 4 {
		t.Errorf("%d metrics, %v", len(families), err)
	}
}

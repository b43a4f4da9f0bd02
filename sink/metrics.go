package sink

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Operations, the values of the label "op" and of Error.Op.
const (
	opTail     = "tail"
	opQuestion = "question"
	opFence    = "fence"
	opRead     = "read"
	opCreate   = "create"
	opList     = "list"
	opSession  = "session"
)

// Metrics are the sink's own figures.
//
//	kafka_s2_bridge_s2_requests_total{op,outcome}  requests and sessions ended
//	kafka_s2_bridge_s2_request_seconds{op}         time of requests, not of sessions
//	kafka_s2_bridge_s2_connections_replaced_total  paths that were suspected dead
//	kafka_s2_bridge_s2_sessions_open               append sessions open now
//
// op is tail, question (for the fencing token), fence, read, create, list,
// settings or session. outcome is ok, not_found, condition (412), denied, throttled,
// rejected (any other 4xx), server_error, no_answer or closed (by us).
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	replaced prometheus.Counter
	sessions prometheus.Gauge
}

// NewMetrics registers the metrics with reg, which may be nil. It panics if
// they are registered already.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	return &Metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kafka_s2_bridge_s2_requests_total",
			Help: "Requests to S2 and append sessions that ended, by operation and outcome.",
		}, []string{"op", "outcome"}),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "kafka_s2_bridge_s2_request_seconds",
			Help:    "Time from sending a request to S2 until its whole answer was read.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"op"}),
		replaced: f.NewCounter(prometheus.CounterOpts{
			Name: "kafka_s2_bridge_s2_connections_replaced_total",
			Help: "Connections to S2 that looked dead and were replaced.",
		}),
		sessions: f.NewGauge(prometheus.GaugeOpts{
			Name: "kafka_s2_bridge_s2_sessions_open",
			Help: "Append sessions to S2 that are open.",
		}),
	}
}

func (m *Metrics) request(op string, err error, took time.Duration) {
	m.requests.WithLabelValues(op, outcome(err)).Inc()
	if op != opSession {
		m.seconds.WithLabelValues(op).Observe(took.Seconds())
	}
}

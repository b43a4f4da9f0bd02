package handoff

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"kafka-s2-bridge/mapping"
)

// Metrics are what owners report, by topic and partition.
type Metrics struct {
	records, bytes, acquisitions, missing *prometheus.CounterVec
	durable, inflight, held               *prometheus.GaugeVec
	latency                               *prometheus.HistogramVec
}

// NewMetrics registers the metrics of this package.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	partition := []string{"topic", "partition"}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kafka_s2_bridge_" + name, Help: help}, append(partition, labels...))
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kafka_s2_bridge_" + name, Help: help}, append(partition, labels...))
	}
	m := &Metrics{
		records:      counter("records_acknowledged_total", "Kafka records that S2 acknowledged."),
		bytes:        counter("bytes_acknowledged_total", "Key and value bytes of the records that S2 acknowledged."),
		acquisitions: counter("acquisitions_total", "Times that this process set out to become the writer of the stream.", "reason"),
		missing:      counter("missing_offsets_total", "Kafka offsets that were passed over, by class: compacted_or_transactional are legal, the others stand in gap markers.", "class"),
		durable:      gauge("durable_offset", "Kafka offset up to which the stream is complete; -1 while nothing is known."),
		inflight:     gauge("inflight_bytes", "Encoded bytes sent to S2 and not acknowledged yet."),
		held:         gauge("held", "1 while the partition is held for the reason.", "reason"),
		// Few buckets: there is one histogram for each partition that writes.
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kafka_s2_bridge_append_seconds", Help: "Time from sending a batch to its acknowledgement.",
			Buckets: []float64{.005, .02, .05, .1, .25, .5, 1, 5},
		}, partition),
	}
	reg.MustRegister(m.records, m.bytes, m.acquisitions, m.missing, m.durable, m.inflight, m.held, m.latency)
	return m
}

// gauges and counters of one partition.
type partitionMetrics struct {
	all              *Metrics
	labels           []string
	records, bytes   prometheus.Counter
	durable, inflght prometheus.Gauge
}

func (m *Metrics) partition(id mapping.Identity) partitionMetrics {
	l := []string{id.Topic, strconv.Itoa(int(id.Partition))}
	return partitionMetrics{
		all: m, labels: l,
		records: m.records.WithLabelValues(l...), bytes: m.bytes.WithLabelValues(l...),
		durable: m.durable.WithLabelValues(l...), inflght: m.inflight.WithLabelValues(l...),
	}
}

func (p partitionMetrics) with(last string) []string { return []string{p.labels[0], p.labels[1], last} }

// forget removes what another process will report from now on. Counters stay:
// they count what this process did.
func (p partitionMetrics) forget(hold Reason) {
	p.all.durable.DeleteLabelValues(p.labels...)
	p.all.inflight.DeleteLabelValues(p.labels...)
	p.all.latency.DeleteLabelValues(p.labels...)
	if hold != "" {
		p.all.held.DeleteLabelValues(p.with(string(hold))...)
	}
}

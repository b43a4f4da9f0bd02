package source

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what the Kafka side reports.
type Metrics struct {
	commitFailures *prometheus.CounterVec
	lag, stable    *prometheus.Desc
	open           *prometheus.Desc
	held, assigned *prometheus.Desc
	source         *Source
}

// NewMetrics registers the metrics of this package.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	partition := []string{"topic", "partition"}
	m := &Metrics{
		commitFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kafka_s2_bridge_commit_failures_total", Help: "Commits of the group's offset that failed; they are tried again.",
		}, partition),
		lag:      prometheus.NewDesc("kafka_s2_bridge_lag", "Offsets between the position and the end of what is copied (the last stable offset, or the end where open transactions are copied too); -1 while unknown.", partition, nil),
		stable:   prometheus.NewDesc("kafka_s2_bridge_last_stable_offset", "Kafka's last stable offset; -1 while unknown.", partition, nil),
		open:     prometheus.NewDesc("kafka_s2_bridge_open_transaction_offsets", "Offsets that wait behind a transaction that stays open; absent where none does.", partition, nil),
		held:     prometheus.NewDesc("kafka_s2_bridge_memory_held_bytes", "Bytes between fetch and acknowledgement, of all partitions.", nil, nil),
		assigned: prometheus.NewDesc("kafka_s2_bridge_assigned_partitions", "Partitions that the group gives to this process.", nil, nil),
	}
	reg.MustRegister(m.commitFailures, m)
	return m
}

func (m *Metrics) watch(s *Source) { m.source = s }

func (m *Metrics) commitFailed(topic string, partition int32) {
	m.commitFailures.WithLabelValues(topic, strconv.Itoa(int(partition))).Inc()
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.lag, m.stable, m.open, m.held, m.assigned} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	if m.source == nil {
		return
	}
	held := 0
	list := m.source.Status()
	for _, p := range list {
		n := strconv.Itoa(int(p.Partition))
		held += p.HeldBytes
		ch <- prometheus.MustNewConstMetric(m.lag, prometheus.GaugeValue, float64(p.Lag), p.Topic, n)
		ch <- prometheus.MustNewConstMetric(m.stable, prometheus.GaugeValue, float64(p.LastStable), p.Topic, n)
		if p.Blocked != "" {
			ch <- prometheus.MustNewConstMetric(m.open, prometheus.GaugeValue, float64(p.HighWatermark-p.LastStable), p.Topic, n)
		}
	}
	ch <- prometheus.MustNewConstMetric(m.held, prometheus.GaugeValue, float64(held))
	ch <- prometheus.MustNewConstMetric(m.assigned, prometheus.GaugeValue, float64(len(list)))
}

package main

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// retentionGauge shows the streams that are too short, of the partitions that are
// this process's: another process tells of the others.
type retentionGauge struct {
	desc  *prometheus.Desc
	short func() []partitionKey
}

func newRetentionGauge(reg prometheus.Registerer, short func() []partitionKey) {
	reg.MustRegister(&retentionGauge{
		desc: prometheus.NewDesc("kafka_s2_bridge_stream_retention_short",
			"1 where the stream keeps records for a shorter time than the topic; absent else.", []string{"topic", "partition"}, nil),
		short: short,
	})
}

// Describe implements prometheus.Collector.
func (g *retentionGauge) Describe(ch chan<- *prometheus.Desc) { ch <- g.desc }

// Collect implements prometheus.Collector.
func (g *retentionGauge) Collect(ch chan<- prometheus.Metric) {
	for _, k := range g.short() {
		ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, 1, k.topic, strconv.Itoa(int(k.number)))
	}
}

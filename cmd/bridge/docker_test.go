package main

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/sink"
	"kafka-s2-bridge/source"
)

// The configuration that compose.yaml mounts must start the bridge of this tree.
func TestComposeConfig(t *testing.T) {
	cfg, err := Load("../../docker/bridge.toml", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Kafka.Brokers, want.Kafka.Group, want.Kafka.Topics = []string{"redpanda:9092"}, "compose-demo", []string{"orders", "payments"}
	want.S2.Endpoint, want.S2.Basin, want.S2.BatchesPerSecond = "http://s2:8080", "compose-demo", 0
	want.HTTP.Listen = ":9464"
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got  %+v\nwant %+v", cfg, want)
	}
}

// The dashboard draws metrics that exist. (A name that does not exist draws an
// empty panel, and nobody notices.)
func TestDashboardMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	handoff.NewMetrics(registry)
	sink.NewMetrics(registry)
	source.NewMetrics(registry)
	descs := make(chan *prometheus.Desc)
	go func() { defer close(descs); registry.Describe(descs) }()
	var known strings.Builder
	for d := range descs {
		known.WriteString(d.String())
	}
	dashboard, err := os.ReadFile("../../docker/grafana/bridge.json")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`kafka_s2_bridge_[a-z_]+`).FindAllString(string(dashboard), -1)
	if len(names) < 8 {
		t.Fatalf("only these metrics in the dashboard: %v", names)
	}
	for _, name := range names {
		if !strings.Contains(known.String(), `fqName: "`+strings.TrimSuffix(name, "_bucket")+`"`) {
			t.Errorf("the dashboard draws %s, which no room registers", name)
		}
	}
}

package main

import (
	stdflag "flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/sink"
	"kafka-s2-bridge/source"
)

var updateMetrics = stdflag.Bool("update-metrics", false, "write the table of metrics in docs/operations.md anew")

// collected is a registerer that remembers what was registered.
type collected struct {
	prometheus.Registerer
	all []prometheus.Collector
}

func (c *collected) MustRegister(more ...prometheus.Collector) {
	c.all = append(c.all, more...)
	c.Registerer.MustRegister(more...)
}

var description = regexp.MustCompile(`fqName: "([^"]*)", help: "([^"]*)"(?:, unit: "[^"]*")?, constLabels: \{[^}]*\}, variableLabels: \{([^}]*)\}`)

// TestMetricsTable: an operator builds alerts on names, so each name in the code
// is in the table and each name in the table is in the code.
func TestMetricsTable(t *testing.T) {
	reg := &collected{Registerer: prometheus.NewRegistry()}
	handoff.NewMetrics(reg)
	source.NewMetrics(reg)
	sink.NewMetrics(reg)
	newRetentionGauge(reg, nil)
	var rows []string
	for _, c := range reg.all {
		descs := make(chan *prometheus.Desc, 32)
		c.Describe(descs)
		close(descs)
		for d := range descs {
			m := description.FindStringSubmatch(d.String())
			if m == nil {
				t.Fatalf("cannot read %s", d)
			}
			if !strings.HasPrefix(m[1], "kafka_s2_bridge_") {
				t.Errorf("metric %s: names begin with kafka_s2_bridge_", m[1])
			}
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |", m[1], strings.ReplaceAll(m[3], ",", ", "), m[2]))
		}
	}
	slices.Sort(rows)
	if len(rows) < 15 {
		t.Fatalf("only %d metrics found: the test looks in the wrong place", len(rows))
	}
	file := filepath.Join("..", "..", "docs", "operations.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head := "| metric | labels | what it is |\n|---|---|---|\n"
	before, rest, ok := strings.Cut(string(text), head)
	if !ok {
		t.Fatalf("%s has no table of metrics", file)
	}
	table, after, _ := strings.Cut(rest, "\n\n")
	if *updateMetrics {
		if err := os.WriteFile(file, []byte(before+head+strings.Join(rows, "\n")+"\n\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := strings.Split(table, "\n"); !slices.Equal(got, rows) {
		t.Errorf("the table in %s differs from the code; run with -update-metrics\ncode:\n%s\ntable:\n%s", file, strings.Join(rows, "\n"), table)
	}
}

// TestHoldsTable: each reason for which a partition may stop is explained.
func TestHoldsTable(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range handoff.Reasons() {
		if !strings.Contains(string(text), "\n| `"+string(r)+"` | ") {
			t.Errorf("docs/operations.md does not explain the hold %s", r)
		}
		if r.Next() == "" {
			t.Errorf("the hold %s does not say what to do next", r)
		}
	}
}

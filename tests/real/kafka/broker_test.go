//go:build real

package kafka_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/real/kafka"
)

// What was acknowledged before a kill or a stop is served afterwards, on the same address.
func TestBrokerKeepsWhatItAcknowledged(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	b := kafka.Run(t, kafka.Options{})
	if err := b.CreateTopic(ctx, "kept", 1, map[string]string{"retention.ms": "-1"}); err != nil {
		t.Fatal(err)
	}
	addr := b.Addr()
	produced := 0
	for _, end := range []func() error{b.Kill, b.Stop, b.Kill} {
		produced += produce(ctx, t, b, produced, 1000)
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if err := b.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		if b.Addr() != addr {
			t.Fatalf("address %s, was %s", b.Addr(), addr)
		}
		read(ctx, t, b, produced)
	}
	if err := b.Restart(ctx); err == nil {
		t.Error("a running broker was started again")
	}
}

// produce writes n records with the numbers from first on.
func produce(ctx context.Context, t *testing.T, b *kafka.Broker, first, n int) int {
	t.Helper()
	cl, err := b.Client(kgo.DefaultProduceTopic("kept"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for i := range n {
		cl.Produce(ctx, kgo.StringRecord(fmt.Sprint(first+i)), func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	return n
}

// read expects the numbers 0 to n-1.
func read(ctx context.Context, t *testing.T, b *kafka.Broker, n int) {
	t.Helper()
	cl, err := b.Client(kgo.ConsumeTopics("kept"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for next := 0; next < n; {
		fs := cl.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			t.Fatal(err)
		}
		for r := range fs.RecordsAll() {
			if string(r.Value) != fmt.Sprint(next) {
				t.Fatalf("record %d is %q", next, r.Value)
			}
			next++
		}
	}
}

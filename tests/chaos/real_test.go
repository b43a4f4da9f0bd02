//go:build real

package chaos

import (
	"context"
	"testing"
	"time"

	"kafka-s2-bridge/tests/oracle/produce"
)

// realWorld is Apache Kafka and s2-lite on disk.
func realWorld(ctx context.Context, t *testing.T, topics ...produce.Topic) *World {
	t.Helper()
	dir := folder(t)
	stage, err := OpenReal(ctx, dir, t.Logf)
	must(t, err)
	return newWorld(ctx, t, stage, dir, topics...)
}

// The same misfortunes on Apache Kafka and s2-lite on disk, which are killed and stopped too: go test -tags real -span 5m.
func TestRealChaos(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3**span+6*time.Minute)
	defer cancel()
	w := realWorld(ctx, t, produce.Topic{Name: topic, Partitions: 8})
	playHavoc(ctx, t, w, 3000, 2)
}

// Each crash point on the real servers, too, first to fifth passing.
func TestRealCrashPoints(t *testing.T) {
	wide := shapes["wide"]
	wide.worlds, wide.rate = 1, 1500
	wide.run(t, wide.plan(0), func(ctx context.Context) *World { return realWorld(ctx, t, wide.topic()) })
}

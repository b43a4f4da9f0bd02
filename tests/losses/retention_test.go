package losses

import (
	"context"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/tests/real/bridge"
)

// Kafka deletes records while the bridge is down. Held with the exact offsets, found before any new record comes; `retry`
// gives nothing up; `gap` goes on, and says what it gave up wherever one looks.
func TestT25H26RecordsDeletedWhileDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 3)
	w.produceAll("orders", 3, 20)
	r := start(t, w.settings(nil, "orders"))
	w.copied("orders", 0, 1, 2)
	w.keep("orders")
	r.stop()
	w.produce("orders", 0, 20)
	w.delete("orders", 0, 35) // some of them
	w.produce("orders", 1, 20)
	w.delete("orders", 1, 40) // all of them
	w.keep("orders")
	r.again()

	r.loses("orders", 0, "retention-lost", 20, 35, "offset 35", "20")
	r.loses("orders", 1, "retention-lost", 20, 40, "offset 40", "20")
	w.flow("orders", 2)
	r.refuses("orders/0", "replay", "does not fit", "gap")
	r.refuses("orders/2", "gap", "not held")
	r.resume("orders/0", "retry")
	r.loses("orders", 0, "retention-lost", 20, 35)
	if tail := w.position("orders/0"); tail != 19 {
		t.Errorf("the stream went on to %d", tail)
	}
	r.resume("orders", "gap") // both
	w.reaches("orders", 0, "orders/0", 40)
	w.reaches("orders", 1, "orders/1", 40)
	r.gone("orders", 0, "retention", 15)
	r.gone("orders", 1, "retention", 20)
	r.says("gap marker written", "topic=orders", "partition=0", "reason=retention", "from=20", "to=35", "offsets=15")
	r.says("gap marker written", "topic=orders", "partition=1", "reason=retention", "from=20", "to=40", "offsets=20")
	r.green()
	w.flow("orders", 0, 1, 2)
	w.keep("orders")
	w.exact("orders", 0, "orders/0", expect{gaps: []gap{lost("retention", 20, 35)}})
	w.exact("orders", 1, "orders/1", expect{gaps: []gap{lost("retention", 20, 40)}})
	w.exactAll("orders", 2)
	if list := r.gaps("orders/0"); len(list) != 1 || list[0] != lost("retention", 20, 35) {
		t.Errorf("bridge gaps lists %v", list)
	}
	out, _, _ := r.types("gaps", "-c", r.Config(), "--topic", "orders")
	if word := missing(out, []string{"orders/0", "20", "35", "retention"}); word != "" || strings.Contains(out, "unexplained") {
		t.Errorf("bridge gaps does not say %q:\n%s", word, out)
	}

	// What was given up is not asked for again.
	r.stop()
	r.again()
	w.flow("orders", 0, 1, 2)
	r.unheld("orders", 0, 1, 2)
}

// The same while the bridge runs: a right to read was missing for a while, and retention went on.
func TestT24H26RecordsDeletedWhileRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 2)
	w.produceAll("orders", 2, 20)
	r := start(t, w.settings(nil, "orders"))
	w.copied("orders", 0, 1)
	w.keep("orders")
	denied := w.unread("orders", 0)
	w.flow("orders", 1) // a fetch was waiting
	w.hit(denied, 1)
	w.produce("orders", 0, 20)
	w.delete("orders", 0, 35)
	denied.Remove()
	w.keep("orders")
	r.loses("orders", 0, "retention-lost", 20, 35, "starts at offset 35")
	w.flow("orders", 1)
	r.resume("orders/0", "gap")
	w.flow("orders", 0)
	r.gone("orders", 0, "retention", 15)
	w.keep("orders")
	w.exact("orders", 0, "orders/0", expect{gaps: []gap{lost("retention", 20, 35)}})
	w.exactAll("orders", 1)
	r.green()
}

// unread keeps a partition from being fetched until the fault is removed.
func (w *world) unread(topic string, partition int32) *kfake.FaultHandle {
	return w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, TopicID: w.kafka.TopicInfo(topic).TopicID, Partitions: []int32{partition}, Count: -1, Err: kerr.TopicAuthorizationFailed})
}

// hit waits until a fault of Kafka's has hit n times.
func (w *world) hit(f interface {
	Wait(ctx context.Context, n int) error
}, n int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patient)
	defer cancel()
	if err := f.Wait(ctx, n); err != nil {
		w.t.Fatalf("a fault did not hit %d times: %v", n, err)
	}
}

// A standing policy answers by itself, each time, for its topics only; and where to begin is another question: "latest" is never
// used to get over a loss.
func TestT26H26RecordsDeletedByStandingPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, topic := range []string{"orders", "logs"} {
		w.topic(topic, 1)
	}
	r := start(t, w.settings(bridge.Settings{
		"policy.start": "latest", "policy.retention_lost": "gap",
		"topic": tables(`{ name = "orders", retention_lost = "hold" }`),
	}, "orders", "logs"))
	for _, topic := range []string{"orders", "logs"} {
		r.known(topic, 0, 0)
		w.produce(topic, 0, 20)
		w.copied(topic, 0)
	}
	w.keep("orders", "logs")
	for round := range int64(2) {
		r.stop()
		for _, topic := range []string{"orders", "logs"} {
			w.produce(topic, 0, 20)
			w.delete(topic, 0, 30+20*round)
			w.keep(topic)
		}
		r.again()
		w.copied("logs", 0)
		r.says("gap marker written", "topic=logs", "reason=retention")
	}
	r.loses("orders", 0, "retention-lost", 20, 50)
	w.flow("logs", 0)
	w.keep("logs")
	w.exact("logs", 0, "logs/0", expect{gaps: []gap{lost("retention", 20, 30), lost("retention", 40, 50)}})
	w.exact("orders", 0, "orders/0", expect{before: 20})
	r.gone("logs", 0, "retention", 10)
}

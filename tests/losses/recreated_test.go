package losses

import (
	"fmt"
	"strings"
	"testing"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/real/bridge"
)

// withID gives each topic id streams of its own.
func withID(s bridge.Settings) bridge.Settings {
	s["stream.name"] = "{topic}/{topic_id}/{partition}"
	return s
}

func streamOf(id oracle.Identity, partition int32) string {
	return fmt.Sprintf("%s/%s/%d", id.Topic, id.UUID(), partition)
}

// A topic is deleted and created anew under a bridge that runs, or is down, and gets records at once, or none. Both ids are named,
// the old stream stays as it was; what becomes of the new topic is the operator's to say.
func TestT31T32H28TopicCreatedAnewHasAStreamOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ idle, standing bool }{"asked": {}, "asked without records": {idle: true}, "by standing policy": {standing: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.topic("orders", 2)
			w.topic("other", 1)
			settings := withID(bridge.Settings{"policy.start": "latest"}) // that is not for the new topic
			if c.standing {
				settings["policy.topic_recreated"] = "new_stream"
			}
			r := start(t, w.settings(settings, "orders", "other"))
			for p := range int32(2) {
				r.known("orders", p, 0)
			}
			r.known("other", 0, 0)
			w.produceAll("orders", 2, 20)
			for p := range int32(2) {
				w.reaches("orders", p, streamOf(w.identity("orders", p), p), 20)
			}
			other := streamOf(w.identity("other", 0), 0)
			w.keep("orders")
			parts := int32(2)
			if c.standing {
				parts = 3 // and one more
			}
			was, now := w.recreate("orders", parts)
			if !c.idle {
				w.produceAll("orders", parts, 7)
			}
			if !c.standing {
				for p := range int32(2) {
					s := r.held("orders", p, "topic-recreated", was.UUID(), now.UUID())
					if strings.Join(s.Accepts, " ") != "new-stream retry" {
						t.Errorf("it takes %v", s.Accepts)
					}
				}
				w.produce("other", 0, 5)
				w.reaches("other", 0, other, 5)
				r.refuses("orders/0", "adopt", "new-stream")
				r.resume("orders/0", "new-stream") // all of its partitions here
			}
			w.produceAll("orders", parts, 7)
			end := w.kafka.PartitionInfo("orders", 0).HighWatermark
			for p := range parts {
				w.reaches("orders", p, streamOf(now, p), end)
			}
			r.says("topic was deleted and created anew", was.UUID(), now.UUID())
			w.produce("other", 0, 5)
			w.reaches("other", 0, other, w.kafka.PartitionInfo("other", 0).HighWatermark)
			w.keep("orders", "other")
			for p := range parts {
				if w.exact("orders", p, streamOf(now, p), expect{}); p < 2 {
					w.exact("orders", p, streamOf(was, p), expect{id: &was})
				}
			}
			w.exact("other", 0, other, expect{})
			r.green()
		})
	}
}

// While the bridge is down, with streams of their own: nobody needs to be asked, and nothing is skipped by the old commit, whether
// the brokers keep that or not.
func TestT31H28TopicCreatedAnewWhileDown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kept  bool
		start string
	}{"its commit is gone": {start: "earliest"}, "its commit is kept": {kept: true, start: "latest"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.topic("orders", 1)
			r := start(t, w.settings(withID(bridge.Settings{"policy.start": c.start}), "orders"))
			r.known("orders", 0, 0)
			was := w.identity("orders", 0)
			w.produce("orders", 0, 30)
			w.reaches("orders", 0, streamOf(was, 0), 30)
			w.keep("orders")
			r.stop()
			commit := w.commit("orders", 0)
			_, now := w.recreate("orders", 1)
			w.produce("orders", 0, 35) // the old commit is in range
			w.keep("orders")
			if c.kept {
				w.setCommit(commit)
			}
			r.again()
			w.reaches("orders", 0, streamOf(now, 0), 35)
			w.exact("orders", 0, streamOf(now, 0), expect{})
			w.exact("orders", 0, streamOf(was, 0), expect{id: &was})
			r.green()
		})
	}
}

// Without {topic_id} both topics have one stream. It is held, also after a restart; adopting it is refused, because it holds other
// records; with the old stream out of the way the new topic is copied from its beginning.
func TestT33H28TopicCreatedAnewInAStreamThatIsTaken(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"running": true, "down": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.topic("orders", 1)
			w.topic("other", 1)
			w.produce("orders", 0, 20)
			w.show("orders/0")
			r := start(t, w.settings(nil, "orders", "other"))
			w.copied("orders", 0)
			if !running {
				r.stop()
			}
			was, now := w.recreate("orders", 1)
			w.produce("orders", 0, 25)
			w.keep("orders")
			if !running {
				r.again()
			}
			r.held("orders", 0, "topic-recreated", was.UUID(), now.UUID())
			w.flow("other", 0)
			r.refuses("orders/0", "new-stream", "does not fit")
			before := len(w.s2.Records("orders/0"))
			r.resume("orders/0", "adopt")
			r.held("orders", 0, "topic-recreated", "not adopted", "differs")
			if n := len(w.s2.Records("orders/0")); n != before {
				t.Errorf("the stream grew by %d records, although it was not adopted", n-before)
			}
			r.stop()
			r.again()
			r.held("orders", 0, "topic-recreated", was.UUID(), now.UUID())
			w.flow("other", 0)
			w.s2.Delete("orders/0")
			r.resume("orders/0", "retry")
			w.copied("orders", 0)
			w.keep("other")
			w.exactAll("orders", 0)
			w.exactAll("other", 0)
			r.green()
		})
	}
}

// A topic that was restored from a backup is another one to Kafka, with the same records: adopting it is right.
func TestT33H28TopicRestoredUnderItsNameIsAdopted(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"running": true, "down": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.topic("orders", 2)
			w.show("orders/0")
			backup := w.recorded("orders", 20)
			w.send(backup()...)
			r := start(t, w.settings(nil, "orders"))
			w.copied("orders", 0, 1)
			w.keep("orders")
			if !running {
				r.stop()
			}
			was, now := w.recreate("orders", 2)
			w.send(backup()...)
			w.produceAll("orders", 2, 5)
			w.keep("orders")
			if !running {
				r.again()
			}
			for p := range int32(2) {
				r.held("orders", p, "topic-recreated", was.UUID(), now.UUID())
			}
			if running {
				r.resume("orders/0", "adopt") // the owner of orders/1 ends as well
				r.is("orders", 1, func(s status) error {
					if missing(s.Detail, []string{"the stream belongs to an earlier topic"}) != "" {
						return errWaiting
					}
					return nil
				}, "not held by its next owner")
				r.resume("orders/1", "adopt")
			} else {
				r.resume("orders", "adopt")
			}
			w.copied("orders", 0, 1)
			w.flow("orders", 0, 1)
			w.keep("orders")
			for p := range int32(2) {
				w.adopted(w, "orders", p, was, 20)
			}
			r.green()
			r.stop()
			r.again()
			w.flow("orders", 0, 1)
			r.unheld("orders", 0, 1)
		})
	}
}

// The topic is deleted, and nobody has made it anew yet: it is waited for, and its neighbours flow. Then it comes back, as another
// one.
func TestT34H28TopicDeletedAndLaterCreatedAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 1)
	w.topic("other", 1)
	w.produce("orders", 0, 20)
	r := start(t, w.settings(nil, "orders", "other"))
	w.copied("orders", 0)
	w.keep("orders")
	was := w.identity("orders", 0)
	if err := w.kafka.DeleteTopic("orders"); err != nil {
		t.Fatal(err)
	}
	r.says("topic does not exist", "topic=orders")
	w.flow("other", 0)
	w.client.PurgeTopicsFromClient("orders")
	w.topic("orders", 2)
	now := w.identity("orders", 0)
	w.produceAll("orders", 2, 25)
	r.held("orders", 0, "topic-recreated", was.UUID(), now.UUID())
	w.copied("orders", 1)
	w.flow("other", 0)
	w.exact("orders", 0, "orders/0", expect{id: &was})
	w.keep("orders", "other")
	w.exactAll("orders", 1)
	w.exactAll("other", 0)
}

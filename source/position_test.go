package source

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
)

// wantHeld waits until a partition is held for a reason.
func (w *world) wantHeld(m *member, topic string, partition int32, reason handoff.Reason) PartitionStatus {
	w.t.Helper()
	w.until("a hold for "+string(reason), func() bool {
		st, _ := m.of(topic, partition)
		return st.Hold.Reason == reason
	})
	st, _ := m.of(topic, partition)
	return st
}

// wantQuiet checks that a partition is not fetched over and over again while
// its neighbour flows.
func (w *world) wantQuiet(topic string, partition, neighbour int32) {
	w.t.Helper()
	id := w.kafka.TopicInfo(topic).TopicID
	asked := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Count: -1, Observe: true, When: func(r kmsg.Request) bool {
		for _, t := range r.(*kmsg.FetchRequest).Topics {
			for _, p := range t.Partitions {
				if t.TopicID == id && p.Partition == partition {
					return true
				}
			}
		}
		return false
	}})
	defer asked.Remove()
	all := w.requests(kmsg.Fetch)
	defer all.Remove()
	have := int64(len(w.copied(topic, neighbour)))
	for i := int64(1); i <= 20; i++ {
		w.produce(topic, neighbour, 1, 10)
		w.wantCopied(topic, neighbour, 0, have+i)
	}
	if n := asked.Hits(); n > 2 {
		w.t.Errorf("%s/%d stands still, and was fetched %d times", topic, partition, n)
	}
	if n := all.Hits(); n > 200 {
		w.t.Errorf("%d fetches for 20 records", n)
	}
}

// Retention took records that were not copied. The partition stands, and says
// which; its neighbour flows.
func TestRetentionPassedThePosition(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	w.produce("orders", 0, 30, 10)
	w.produce("orders", 1, 5, 10)
	first := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 30)
	w.wantCommitted("orders", 1, 5)
	first.leave()
	w.produce("orders", 0, 20, 10)
	if err := w.kafka.DeleteRecords("orders", 0, 40); err != nil {
		t.Fatal(err)
	}
	m := w.join(w.config("orders"))
	st := w.wantHeld(m, "orders", 0, handoff.RetentionLost)
	if st.Acquisitions[handoff.KafkaPosition] != 1 {
		t.Errorf("the owner was told %d times", st.Acquisitions[handoff.KafkaPosition])
	}
	w.wantQuiet("orders", 0, 1)
	w.wantCopied("orders", 0, 0, 30)
	if c := w.committed("orders", 0); c.Offset != 30 {
		t.Errorf("the commit moved to %d", c.Offset)
	}
	if ok, why := m.Ready(); !ok { // Status tells of holds
		t.Errorf("not ready: %v", why)
	}
}

// Commits were lost, and retention passed the old one; but the stream is further.
func TestTheStreamIsBeyondACommitThatIsOutOfRange(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 30, 10)
	first := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 30)
	lose := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Count: -1, Err: kerr.GroupAuthorizationFailed})
	w.produce("orders", 0, 20, 10)
	w.wantCopied("orders", 0, 0, 50)
	first.leave()
	lose.Remove()
	if err := w.kafka.DeleteRecords("orders", 0, 40); err != nil {
		t.Fatal(err)
	}
	m := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 50)
	w.produce("orders", 0, 10, 10)
	w.wantCopied("orders", 0, 0, 60)
	w.wantCommitted("orders", 0, 60)
	w.until("nothing against being ready", func() bool { ok, _ := m.Ready(); return ok })
}

func TestWithoutAStreamTheLogStartIsTheStart(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 50, 10)
	if err := w.kafka.DeleteRecords("orders", 0, 40); err != nil {
		t.Fatal(err)
	}
	m := w.join(w.config("orders"))
	w.wantCopied("orders", 0, 40, 50)
	w.wantCommitted("orders", 0, 50)
	if n := m.log.count("fetch error"); n != 0 {
		t.Errorf("%d fetch errors on the way", n)
	}
}

// cut takes the batches from an offset on out of a partition's segment.
func cut(t *testing.T, dir, topic string, from int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "partitions", topic+"-0", "*.dat"))
	if err != nil || len(files) != 1 {
		t.Fatalf("segments %v: %v", files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(raw); at += 12 + int(binary.BigEndian.Uint32(raw[at+8:])) {
		if base := int64(binary.BigEndian.Uint64(raw[at:])); base >= from {
			if err := os.Truncate(files[0], int64(at)); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no batch at offset %d", from)
}

// An unclean election: Kafka's log is cut from 20 to 14, and grows over it with
// other records. The client would go on by itself.
func truncated(t *testing.T, running bool) {
	dir := t.TempDir()
	w := newWorld(t, kfake.DataDir(dir))
	w.topic("orders", 1)
	w.topic("other", 1)
	for range 20 {
		w.produce("orders", 0, 1, 10)
	}
	m := w.join(w.config("orders", "other"))
	w.wantCommitted("orders", 0, 20)
	if !running {
		m.leave()
	}
	w.restart(dir, func() { cut(t, dir, "orders", 14) })
	// A leader knows where its epoch begins; kfake only when something was
	// written in it. So nobody is told before that.
	filled := make(chan struct{})
	w.kafka.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		w.kafka.SleepControl(func() { <-filled })
		return nil, nil, false
	})
	w.kafka.ShufflePartitionLeaders()
	if !running {
		m = w.join(w.config("orders", "other"))
	}
	for range 12 {
		w.produce("orders", 0, 1, 10) // 14 to 25
	}
	close(filled)
	st := w.wantHeld(m, "orders", 0, handoff.Truncated)
	if st.Durable != 19 {
		t.Errorf("the stream is complete up to %d, want 19", st.Durable)
	}
	w.produce("other", 0, 5, 10)
	w.wantCopied("other", 0, 0, 5)
	w.wantCopied("orders", 0, 0, 20)
	if c := w.committed("orders", 0); c.Offset != 20 {
		t.Errorf("the commit moved to %d", c.Offset)
	}
	w.wantQuietTopic("orders", "other")
}

func TestATruncatedLogIsNoticedAtTheStart(t *testing.T) { truncated(t, false) }

func TestATruncatedLogIsNoticedWhileRunning(t *testing.T) { truncated(t, true) }

// wantQuietTopic checks that errors of a topic do not keep the client busy.
func (w *world) wantQuietTopic(topic, neighbour string) {
	w.t.Helper()
	all := w.requests(kmsg.Fetch)
	defer all.Remove()
	have := int64(len(w.copied(neighbour, 0)))
	for i := int64(1); i <= 20; i++ {
		w.produce(neighbour, 0, 1, 10)
		w.wantCopied(neighbour, 0, 0, have+i)
	}
	if n := all.Hits(); n > 200 {
		w.t.Errorf("%d fetches for 20 records while %s stands still", n, topic)
	}
}

// Kafka's topic was deleted and created again under the bridge.
func TestATopicThatWasCreatedAnewIsHeld(t *testing.T) {
	for name, running := range map[string]bool{"while running": true, "while stopped": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.topic("orders", 1)
			w.topic("other", 1)
			w.produce("orders", 0, 10, 10)
			m := w.join(w.config("orders", "other"))
			w.wantCommitted("orders", 0, 10)
			before := handoffID(w, "orders")
			if !running {
				m.leave()
			}
			if err := w.kafka.DeleteTopic("orders"); err != nil {
				t.Fatal(err)
			}
			w.topic("orders", 1)
			w.kafkaC.PurgeTopicsFromClient("orders")
			w.produce("orders", 0, 15, 10)
			if !running {
				m = w.join(w.config("orders", "other"))
			}
			st := w.wantHeld(m, "orders", 0, handoff.Recreated)
			if after := handoffID(w, "orders"); running && !(contains([]string{st.Hold.Detail}, before) && contains([]string{st.Hold.Detail}, after)) {
				t.Errorf("%q does not name the ids %s and %s", st.Hold.Detail, before, after)
			}
			w.produce("other", 0, 5, 10)
			w.wantCopied("other", 0, 0, 5)
			w.wantQuietTopic("orders", "other")
			w.wantCopied("orders", 0, 0, 10)
		})
	}
}

func handoffID(w *world, topic string) string {
	return mapping.Identity{TopicID: w.kafka.TopicInfo(topic).TopicID}.TopicUUID()
}

// A broker that has just become leader may not know an epoch yet. One such
// answer is no truncation.
func TestAnEpochThatIsUnknownForAMoment(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	first := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 10)
	first.leave()
	w.produce("orders", 0, 5, 10)
	asked := 0
	w.kafka.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if asked++; asked > 2 {
			return nil, nil, false // for good
		}
		w.kafka.KeepControl()
		req := r.(*kmsg.OffsetForLeaderEpochRequest)
		resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		for _, t := range req.Topics {
			rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				rp.Partition, rp.LeaderEpoch, rp.EndOffset = p.Partition, -1, -1
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	m := w.join(w.config("orders"))
	w.wantCopied("orders", 0, 0, 15)
	w.wantCommitted("orders", 0, 15)
	if n := m.log.count("partition held"); n > 0 {
		t.Errorf("held %d times", n)
	}
}

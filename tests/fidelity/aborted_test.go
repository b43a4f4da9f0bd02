package fidelity

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker may list aborted transactions in any order; Redpanda gives the newest first. (kgo before 1.21.4 took records of the
// older ones for committed.)
func TestT40AbortedTransactionsInAnyOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.topic("order", 1, nil)
	p := w.writer("order", 0)
	for range 6 {
		p.begin(0, 3)
		p.plain(1)
		p.abort(0)
		p.begin(0, 1)
		p.commit(0)
	}
	truth := w.truth("order")
	whole := w.fetchAll("order")
	aborted := whole.Topics[0].Partitions[0].AbortedTransactions
	if len(aborted) != 6 || truth.Records() != 12 {
		t.Fatalf("%d aborted transactions, %d records are served: the test does not play what it says", len(aborted), truth.Records())
	}
	slices.Reverse(aborted)
	answered := make(chan struct{}, 1)
	w.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fetch := req.(*kmsg.FetchRequest)
		if len(fetch.Topics) != 1 || fetch.Topics[0].Partitions[0].FetchOffset != 0 {
			return nil, nil, false
		}
		answer := *whole // without a session: the client asks for everything again
		answer.Version = fetch.Version
		select {
		case answered <- struct{}{}:
		default:
		}
		w.kafka.KeepControl()
		return &answer, nil, true
	})
	r := w.start("one", nil, "order")
	w.caughtUp(r, "order")
	w.judge(truth, "order")
	select {
	case <-answered:
	default:
		t.Error("the bridge was never given the list in the other order")
	}
}

// fetchAll is the broker's answer to a read_committed fetch of everything in partition 0, outside of any session.
func (w *world) fetchAll(topic string) *kmsg.FetchResponse {
	w.t.Helper()
	ctx, cancel := w.context()
	defer cancel()
	part := kmsg.NewFetchRequestTopicPartition()
	part.PartitionMaxBytes, part.CurrentLeaderEpoch = 64<<20, -1
	of := kmsg.NewFetchRequestTopic()
	of.Topic, of.TopicID, of.Partitions = topic, w.kafka.TopicInfo(topic).TopicID, []kmsg.FetchRequestTopicPartition{part}
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.IsolationLevel, req.SessionEpoch, req.Topics = 64<<20, 1, -1, []kmsg.FetchRequestTopic{of}
	resp, err := w.client.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		w.t.Fatal(err)
	}
	answer := resp.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil || len(answer.Topics) != 1 || answer.Topics[0].Partitions[0].ErrorCode != 0 {
		w.t.Fatalf("fetch: %v, %+v", err, answer.Topics)
	}
	answer.Topics[0].Topic = topic
	return answer
}

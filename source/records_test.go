package source

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/mapping"
)

func offsetsOf(records []mapping.Record) (list []int64) {
	for _, r := range records {
		list = append(list, r.Offset)
	}
	return list
}

// The log: 0 to 9 plain, 10 to 12 committed, marker 13, 14 to 16 aborted, marker
// 17, 18 and 19 plain, 20 and 21 in an open transaction; deleted up to 2.
func TestRecordsAreReadAgain(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 10, 10)
	w.transact("orders", 0, 3, kgo.TryCommit)
	w.transact("orders", 0, 3, kgo.TryAbort)
	w.produce("orders", 0, 2, 10)
	w.begin("orders", 0, 2)
	if err := w.kafka.DeleteRecords("orders", 0, 3); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		first, last int64
		want        []int64
		uncommitted []int64 // where it differs
	}{
		"one":                       {first: 5, last: 5, want: []int64{5}},
		"some":                      {first: 7, last: 9, want: []int64{7, 8, 9}},
		"behind a marker":           {first: 11, last: 19, want: []int64{11, 12, 18, 19}, uncommitted: []int64{11, 12, 14, 15, 16, 18, 19}},
		"a marker alone":            {first: 13, last: 13},
		"aborted":                   {first: 14, last: 17, uncommitted: []int64{14, 15, 16}},
		"below the log start":       {first: 0, last: 4, want: []int64{3, 4}},
		"all below the log start":   {first: 0, last: 2},
		"beyond what is stable":     {first: 19, last: 21, want: []int64{19}, uncommitted: []int64{19, 20, 21}},
		"all beyond what is stable": {first: 20, last: 40, uncommitted: []int64{20, 21}},
		"beyond the end":            {first: 30, last: 40},
		"the wrong way round":       {first: 6, last: 5},
	} {
		for uncommitted, want := range map[bool][]int64{false: c.want, true: c.uncommitted} {
			if uncommitted && want == nil {
				want = c.want
			}
			cfg := w.config("orders")
			cfg.ReadUncommitted = uncommitted
			ctx, cancel := context.WithTimeout(t.Context(), patient)
			got, err := w.bare("orders", cfg).Records(ctx, c.first, c.last)
			cancel()
			if err != nil || fmt.Sprint(offsetsOf(got)) != fmt.Sprint(want) {
				t.Errorf("%s, uncommitted %v: %v, %v; want %v", name, uncommitted, offsetsOf(got), err, want)
			}
		}
	}
}

func TestRecordsComeAsTheyAre(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	sent := &kgo.Record{Topic: "orders", Key: []byte{}, Value: nil, Timestamp: noon, Headers: []kgo.RecordHeader{{Key: "b", Value: []byte("1")}, {Key: "a"}, {Key: "b", Value: []byte{}}}}
	if err := w.kafkaC.ProduceSync(t.Context(), sent).FirstErr(); err != nil {
		t.Fatal(err)
	}
	got, err := w.bare("orders", w.config("orders")).Records(t.Context(), 0, 0)
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	want := mapping.FromKafka(sent)
	if part := got[0].Differs(&want); part != "" {
		t.Errorf("its %s differs: %+v, want %+v", part, got[0], want)
	}
}

// A comparison looks at a few records; whoever asks for a whole log by mistake
// does not get it.
func TestRecordsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.topic("many", 1)
	w.topic("large", 1)
	w.produce("many", 0, 200, 10)
	for range 12 {
		w.produce("large", 0, 10, 900_000/10)
	}
	got, err := w.bare("many", w.config("many")).Records(t.Context(), 5, 150)
	if err != nil || len(got) != recallRecords || got[0].Offset != 5 {
		t.Errorf("%d records, %v; want %d", len(got), err, recallRecords)
	}
	if got, err = w.bare("large", w.config("large")).Records(t.Context(), 1, 60); err != nil || len(got) != 60 {
		t.Errorf("%d records in several pages, %v; want 60", len(got), err)
	}
}

// The group's consumer does not notice: it neither reads anything twice nor
// moves its position, and the group has no other member.
func TestReadingAgainDisturbsNobody(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 20, 10)
	m := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 20)
	joins := w.requests(kmsg.JoinGroup)
	for i := range int64(5) {
		if got, err := m.part("orders", 0).Records(t.Context(), 10, 14); err != nil || len(got) != 5 {
			t.Fatalf("%v, %v", offsetsOf(got), err)
		}
		w.produce("orders", 0, 2, 10)
		w.wantCopied("orders", 0, 0, 22+2*i)
	}
	if st, _ := m.of("orders", 0); joins.Hits() > 0 || st.Acquisitions[0] != 1 || st.Hold.Reason != "" {
		t.Errorf("%d joins, %+v", joins.Hits(), st)
	}
}

func (m *member) part(topic string, partition int32) *partition {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.parts[key{topic, partition}]
}

// Kafka lists an end and serves nothing below it: that is an error, and ends.
func TestRecordsThatAreNotServed(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 20, 10)
	p := w.bare("orders", w.config("orders"))
	w.kafka.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		req := r.(*kmsg.FetchRequest)
		if req.SessionEpoch != -1 || len(req.Topics) == 0 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		rp := kmsg.NewFetchResponseTopicPartition()
		rp.HighWatermark, rp.LastStableOffset = 20, 20
		resp.Topics = []kmsg.FetchResponseTopic{{TopicID: req.Topics[0].TopicID, Partitions: []kmsg.FetchResponseTopicPartition{rp}}}
		return resp, nil, true
	})
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if got, err := p.Records(ctx, 3, 5); err == nil || ctx.Err() != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// Retention is faster than we are: reading begins at the new log start.
func TestRecordsThatAreDeletedMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 20, 10)
	p := w.bare("orders", w.config("orders"))
	late := true
	w.kafka.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		req := r.(*kmsg.ListOffsetsRequest)
		if req.Topics[0].Partitions[0].Timestamp != askStart || !late {
			return nil, nil, false
		}
		late = false
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		rp := kmsg.NewListOffsetsResponseTopicPartition()
		rp.Offset = 0 // as it was a moment ago
		resp.Topics = []kmsg.ListOffsetsResponseTopic{{Topic: "orders", Partitions: []kmsg.ListOffsetsResponseTopicPartition{rp}}}
		return resp, nil, true
	})
	if err := w.kafka.DeleteRecords("orders", 0, 8); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Records(t.Context(), 5, 9); err != nil || fmt.Sprint(offsetsOf(got)) != "[8 9]" {
		t.Errorf("%v, %v; want 8 and 9", offsetsOf(got), err)
	}
}

// The leader moves: an error at first, which the caller meets by asking again.
func TestRecordsAfterTheLeaderMoved(t *testing.T) {
	w := newWorld(t, kfake.NumBrokers(3))
	w.topic("orders", 1)
	w.produce("orders", 0, 20, 10)
	p := w.bare("orders", w.config("orders"))
	for node := range int32(3) {
		if err := w.kafka.MoveTopicPartition("orders", 0, node); err != nil {
			t.Fatal(err)
		}
		w.until("the records", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			got, err := p.Records(ctx, 3, 5)
			return err == nil && len(got) == 3
		})
	}
}

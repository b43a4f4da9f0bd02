package chaos

import (
	"context"
	"testing"
	"time"

	"github.com/s2-streamstore/s2-sdk-go/s2"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle/produce"
)

// The verdict is a bad one when something is: a record that is in Kafka only, the same one copied by somebody who is no bridge.
func TestTheVerdictCanBeBad(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w := memoryWorld(ctx, t, MemoryOptions{}, produce.Topic{Name: topic, Partitions: 2})
	must(t, mustBridge(t, w, "bridge", nil).Revive(newBridge))
	late := &kgo.Record{Topic: topic, Partition: 1, Value: []byte("late")}
	must(t, w.Write(ctx, &kgo.Record{Topic: topic, Value: []byte("first")}, &kgo.Record{Topic: topic, Partition: 1, Value: []byte("second")}))
	good := settle(ctx, t, w)

	must(t, w.Write(ctx, late))
	v, err := w.Judge(ctx)
	must(t, err)
	if v.OK() || v.Missing != 1 || v.Records != good.Records || v.Served != good.Served+1 {
		t.Errorf("with a record that was not copied: %v", v)
	}

	url := w.URL + "/v1"
	stream := s2.New("none", &s2.ClientOptions{BaseURL: url, MakeBasinBaseURL: func(string) string { return url }}).
		Basin(w.Basin).Stream(s2.StreamName(topic + "/1"))
	_, err = stream.Append(ctx, &s2.AppendInput{Records: []s2.AppendRecord{{Body: late.Value}}})
	must(t, err)
	v, err = w.Judge(ctx)
	must(t, err)
	if v.OK() || v.Missing != 1 || v.Foreign != 1 {
		t.Errorf("with a record that no bridge wrote: %v", v)
	}
}

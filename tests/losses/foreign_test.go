package losses

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/s2-streamstore/s2-sdk-go/s2"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/s2mem"
)

// pending is how long the names of deleted streams are taken.
const pending = 1500 * time.Millisecond

func streamsOf(topic string, partition int32) string { return fmt.Sprintf("%s/%d", topic, partition) }

// stranger is a stream as another program sees it, through S2's own SDK.
func (w *world) stranger(stream string) *s2.StreamClient {
	client := s2.New("none", &s2.ClientOptions{BaseURL: w.s2.URL() + "/v1", MakeBasinBaseURL: func(string) string { return w.s2.URL() + "/v1" }})
	return client.Basin(s2mem.DefaultBasin).Stream(s2.StreamName(stream))
}

// append puts records at the end of a stream; token is the fencing token that it names, nil: none.
func (w *world) append(stream string, token *string, records ...s2.AppendRecord) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), patient)
	defer cancel()
	_, err := w.stranger(stream).Append(ctx, &s2.AppendInput{Records: records, FencingToken: token})
	return err
}

// restore appends records that the stream had before.
func (w *world) restore(stream string, records []s2mem.Record) {
	w.t.Helper()
	for _, r := range records {
		again := s2.AppendRecord{Body: r.Body, Timestamp: &r.Timestamp}
		for _, h := range r.Headers {
			again.Headers = append(again.Headers, s2.Header{Name: h.Name, Value: h.Value})
		}
		if err := w.append(stream, nil, again); err != nil {
			w.t.Fatal(err)
		}
	}
}

const foreignBody = "appended by another program"

func foreign() s2.AppendRecord { return s2.AppendRecord{Body: []byte(foreignBody)} }

func isForeign(s oracle.Stored) bool { return string(s.Body) == foreignBody }

// Another program appends without a token, while the bridge runs, and while it is down. Its records are never taken for ours; the
// partition stands before the next record of Kafka's is written behind them, and goes on when the operator says so.
func TestForeignWriter(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"running": true, "down": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.topic("orders", 3)
			w.produceAll("orders", 3, 20)
			w.show("orders/0")
			r := start(t, w.settings(nil, "orders"))
			w.copied("orders", 0, 1, 2)
			if !running {
				r.stop()
			}
			for _, stream := range []string{"orders/0", "orders/1"} {
				if err := w.append(stream, nil, foreign(), foreign()); err != nil {
					t.Fatal(err)
				}
			}
			if !running {
				r.again()
			}
			w.produceAll("orders", 3, 5)
			for p := range int32(2) {
				if s := r.held("orders", p, "foreign-record", "record 23"); s.Lost != nil {
					t.Errorf("it says that %v is lost", s.Lost)
				}
				if at := w.position(streamsOf("orders", p)); at != 19 {
					t.Errorf("orders/%d went on to %d", p, at)
				}
			}
			w.flow("orders", 2)
			r.resume("orders/0", "retry")
			r.held("orders", 0, "foreign-record")
			r.resume("orders/0", "adopt") // they stay
			w.copied("orders", 0)
			w.s2.Trim("orders/1", 24) // they go, and with them what tells the position
			r.resume("orders/1", "retry")
			r.held("orders", 1, "position-unproven", "24")
			r.resume("orders/1", "replay")
			w.copied("orders", 1)
			w.flow("orders", 0, 1, 2)
			w.keep("orders")
			empty := lost("operator", 20, 20)
			w.exact("orders", 0, "orders/0", expect{gaps: []gap{empty}, planted: isForeign})
			w.exact("orders", 1, "orders/1", expect{from: 24}) // all of it, once more
			w.exactAll("orders", 2)
			r.green()
			r.stop()
			r.again()
			w.flow("orders", 0, 1, 2)
			r.green()
		})
	}
}

// Another program took the stream by its own token, or cleared ours; while the bridge runs, and while it is down.
func TestH08TokenReplacedOrCleared(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"running": true, "down": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.topic("orders", 3)
			w.produceAll("orders", 3, 20)
			w.show("orders/0")
			r := start(t, w.settings(nil, "orders"))
			w.copied("orders", 0, 1, 2)
			if !running {
				r.stop()
			}
			fence := func(stream, token string) {
				if err := w.append(stream, nil, s2.NewFenceCommandRecord(token, nil)); err != nil {
					t.Fatal(err)
				}
			}
			fence("orders/0", "mine")
			mine := "mine"
			if err := w.append("orders/0", &mine, foreign()); err != nil {
				t.Fatal(err)
			}
			fence("orders/1", "")
			if !running {
				r.again()
			}
			w.produceAll("orders", 3, 5)
			r.held("orders", 0, "foreign-identity", `"mine"`)
			r.held("orders", 1, "token-cleared")
			if err := w.append("orders/0", &mine, foreign()); err != nil {
				t.Errorf("the stranger was fenced out: %v", err)
			}
			w.flow("orders", 2)
			r.resume("orders/0", "adopt")
			r.resume("orders/1", "adopt")
			w.copied("orders", 0, 1)
			if err := w.append("orders/0", &mine, foreign()); err == nil {
				t.Error("the stranger was not fenced out")
			}
			w.flow("orders", 0, 1, 2)
			w.keep("orders")
			empty := lost("operator", 20, 20)
			for p := range int32(2) {
				w.exact("orders", p, streamsOf("orders", p), expect{gaps: []gap{empty}, planted: func(s oracle.Stored) bool {
					it := oracle.Decode(s)
					return isForeign(s) || it.Kind == oracle.Fence && (it.Token == "mine" || it.Token == "")
				}})
			}
			w.exactAll("orders", 2)
			r.green()
		})
	}
}

// A newer version of the bridge has written the stream: this one does not guess.
func TestH54FormatOfANewerVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 2)
	w.produceAll("orders", 2, 20)
	r := start(t, w.settings(nil, "orders"))
	w.copied("orders", 0, 1)
	r.stop()
	newer := s2.AppendRecord{Headers: []s2.Header{{Name: []byte("~"), Value: []byte{2 << 5, 20, 0, 0}}}, Body: []byte("what this is, nobody knows yet")}
	if err := w.append("orders/0", nil, newer); err != nil {
		t.Fatal(err)
	}
	w.produceAll("orders", 2, 5)
	r.again()
	s := r.held("orders", 0, "format-unknown", "22", "version")
	if len(s.Accepts) != 1 || s.Accepts[0] != "retry" {
		t.Errorf("it takes %v", s.Accepts)
	}
	w.flow("orders", 1)
	r.resume("orders/0", "retry")
	r.held("orders", 0, "format-unknown")
	if at := w.position("orders/0"); at != 19 {
		t.Errorf("the stream went on to %d", at)
	}
	w.keep("orders")
	w.exactAll("orders", 1)
}

// S2 cannot decrypt the stream for us, as with a key that was changed: that partition stands still, and writes no data; when the key
// is right again it goes on by itself.
func TestH24StreamThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 2)
	w.produceAll("orders", 2, 20)
	w.show("orders/0")
	r := start(t, w.settings(nil, "orders"))
	w.copied("orders", 0, 1)
	r.stop()
	unreadable := w.s2.Fault(s2mem.Fault{Op: s2mem.OpRead, Stream: "orders/0", Count: -1, Do: s2mem.Refuse, Status: 400, Code: "decryption_failed", Message: "decryption failed"})
	w.produceAll("orders", 2, 5)
	r.again()
	w.copied("orders", 1)
	w.hit(unreadable, 7)
	s := r.is("orders", 0, func(s status) error {
		if missing(s.Trouble, []string{"decryption_failed"}) != "" {
			return errWaiting
		}
		return nil
	}, "no trouble is shown")
	plain(t, s.Trouble)
	r.says("not writing, trying again", "partition=0", "decryption_failed")
	w.flow("orders", 1)
	if at := w.position("orders/0"); at != 19 {
		t.Errorf("the stream went on to %d", at)
	}
	if n := len(w.s2.Records("orders/0")); n > 24 {
		t.Errorf("%d fences were written in vain", n-22)
	}
	unreadable.Remove()
	w.copied("orders", 0)
	w.keep("orders")
	w.exactAll("orders", 0, 1)
	r.green()
}

// S2 has no room for another stream: that is no matter of the access token's scope, and it passes when there is room.
func TestH23StreamQuotaExhausted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 2)
	w.produceAll("orders", 2, 20)
	full := w.s2.Fault(s2mem.Fault{Op: s2mem.OpCreate, Stream: "orders/0", Count: -1, Do: s2mem.Refuse, Status: 403, Code: "quota_exhausted", Message: "too many streams"})
	r := start(t, w.settings(nil, "orders"))
	w.copied("orders", 1)
	w.hit(full, 3)
	s, err := r.status("orders", 0)
	if err != nil || s.Reason != "" || missing(s.Trouble, []string{"quota_exhausted"}) != "" {
		t.Errorf("%+v, %v", s, err)
	}
	full.Remove()
	w.copied("orders", 0)
	w.keep("orders")
	w.exactAll("orders", 0, 1)
}

package badinput

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/s2mem"
)

// What is wrong with each partition of the topic mixed.
const (
	noFence      = 0 // S2 refuses appends outside of sessions: the fence
	noData       = 1 // S2 refuses what is sent in a session, but no fence
	noSession    = 2 // S2 refuses to open append sessions
	foreignToken = 3 // the stream has the fencing token of another topic
	foreignData  = 4 // another program appends behind what we have copied
	tooLarge     = 5 // a record whose key alone is more than S2 takes stands between others
	fine         = 6 // this and the rest
	mixedParts   = 8
)

// Whatever is wrong with a partition holds that one, and says so; the others never notice.
func TestHeldPartitionsLeaveTheOthersAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{kafka: []kfake.Opt{kfake.BrokerConfigs(map[string]string{"message.max.bytes": "8388608"})}})
	w.topic("mixed", mixedParts)
	w.produceAll("mixed", mixedParts, 20)
	denied := s2mem.Fault{Count: -1, Do: s2mem.Refuse, Code: "permission_denied", Message: "not your stream"}
	var faults []*s2mem.FaultHandle
	for p, op := range map[int]s2mem.Op{noFence: s2mem.OpAppend, noData: s2mem.OpBatch, noSession: s2mem.OpOpen} {
		f := denied
		f.Op, f.Stream = op, streamOf(p)
		faults = append(faults, w.s2.Fault(f))
	}
	const stranger = "kb1.AAAAAAAA.5.0123456789abcdef"
	w.s2.Create(streamOf(foreignToken))
	w.s2.SetToken(streamOf(foreignToken), stranger)
	r := start(t, w.settings(nil, "mixed"))

	r.held(foreignToken, "foreign-identity", stranger)
	r.held(noFence, "unauthorized", "403", "not your stream")
	r.held(noData, "unauthorized", "403", "not your stream")
	r.held(noSession, "unauthorized", "403", "not your stream")
	nothing := offsets{noFence: 0, noData: 0, noSession: 0, foreignToken: 0}
	w.copied(prompt, "mixed", nothing)

	// The others go on, and two more are held, behind what they have copied.
	w.appendForeign(streamOf(foreignData))
	w.send(&kgo.Record{Topic: "mixed", Partition: tooLarge, Key: make([]byte, 1<<20), Value: []byte("value")})
	w.produceAll("mixed", mixedParts, 20)
	r.held(foreignData, "foreign-record")
	r.held(tooLarge, "record-refused", "offset 20")
	part := offsets{foreignData: 20, tooLarge: 20}
	for p, at := range nothing {
		part[p] = at
	}
	w.copied(prompt, "mixed", part)
	said := r.red(prompt, "mixed/0 is held", "mixed/1 is held", "mixed/2 is held", "mixed/3 is held", "mixed/4 is held", "mixed/5 is held")
	t.Log(said)
	plain(t, said)
	if strings.Contains(said, "mixed/6") || strings.Contains(said, "mixed/7") || strings.Count(said, "\n") != 7 {
		t.Errorf("/readyz says more than that six partitions are held: %s", said)
	}

	// What heals by itself does, what cannot stays, and the others still go on.
	for _, f := range faults {
		f.Remove()
	}
	w.produceAll("mixed", mixedParts, 20)
	for p := range nothing {
		if p != foreignToken {
			delete(part, p)
		}
	}
	w.copied(45*time.Second, "mixed", part)
	said = r.red(prompt, "mixed/3 is held", "mixed/4 is held", "mixed/5 is held")
	if strings.Count(said, "\n") != 4 {
		t.Errorf("/readyz says more than that three partitions are held: %s", said)
	}
	for p := range mixedParts {
		want := 1
		if p >= fine {
			want = 0
		}
		if lines := r.lines("partition held", fmt.Sprintf("partition=%d", p)); len(lines) != want {
			t.Errorf("mixed/%d is said to be held %d times: %q", p, len(lines), lines)
		}
	}
	r.quiet("", 100)
}

func streamOf(p int) string { return fmt.Sprintf("mixed/%d", p) }

// held waits until log, /readyz and metric say that the partition is held for the reason, with the words.
func (r *run) held(p int, reason string, words ...string) {
	r.t.Helper()
	line := r.awaitLine(prompt, append(words, "partition held", "topic=mixed", fmt.Sprintf("partition=%d", p), "reason="+reason, "next=")...)
	r.t.Log(line)
	r.red(prompt, append(words, fmt.Sprintf("mixed/%d is held (%s)", p, reason))...)
	r.metric(prompt, fmt.Sprintf("kafka_s2_bridge_held{partition=\"%d\",reason=%q,topic=\"mixed\"} 1", p, reason))
}

// appendForeign appends a record to a stream as a program would that knows nothing of fencing.
func (w *world) appendForeign(stream string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://"+w.s2Door.address()+"/v1/streams/"+url.PathEscape(stream)+"/records",
		strings.NewReader(`{"records":[{"body":"`+foreignBody+`"}]}`))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("content-type", "application/json")
	req.Header.Set("s2-basin", basin)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("foreign append: %s", resp.Status)
	}
}

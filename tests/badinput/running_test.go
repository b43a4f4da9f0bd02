package badinput

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/s2mem"
)

const parts = 4

// running is a world whose bridge has copied something from every partition of the topic orders.
func running(t *testing.T, o worldOptions, more bridge.Settings) (*world, *run) {
	t.Helper()
	w := newWorld(t, o)
	w.topic("orders", parts)
	w.produceAll("orders", parts, 20)
	r := start(t, w.settings(more, "orders"))
	r.green(patient)
	w.copied(patient, "orders", nil)
	return w, r
}

// healed waits until all is well again and what was produced meanwhile is there, once; and that more is copied.
func (w *world) healed(r *run, within time.Duration) {
	w.t.Helper()
	r.green(within)
	w.produceAll("orders", parts, 20)
	w.copied(patient, "orders", nil)
	if r.Starts() != 1 {
		w.t.Errorf("the bridge was started %d times", r.Starts())
	}
}

// quiet fails the test if the log has grown by more lines than a person can read.
func (r *run) quiet(before string, most int) {
	r.t.Helper()
	added := strings.TrimPrefix(r.said(), before)
	if n := strings.Count(added, "\n"); n > most {
		r.t.Errorf("the log has %d new lines, at most %d wanted:\n%s", n, most, added)
	} else {
		r.t.Logf("%d lines of log:\n%s", n, added)
	}
	plain(r.t, added)
}

func TestAccessTokenRevokedAndReplaced(t *testing.T) {
	t.Parallel()
	file := secretFile(t, token)
	w, r := running(t, worldOptions{s2: s2mem.Options{AccessTokens: []string{token}}}, bridge.Settings{"s2.access_token_file": file})
	before := r.said()
	w.s2.SetAccessTokens([]string{nextToken}, nil)
	w.s2.CutConnections() // an open session keeps its right
	w.produceAll("orders", parts, 20)
	r.red(prompt, "orders/0", "orders/3", "unauthorized", "401")
	r.metric(prompt, `kafka_s2_bridge_held{partition="3",reason="unauthorized",topic="orders"} 1`)
	r.awaitLine(prompt, "partition held", "reason=unauthorized", "partition=3", "access token")
	writeFile(t, file, nextToken)
	w.healed(r, 45*time.Second)
	r.quiet(before, 40)
	for _, line := range r.lines("was_held=unauthorized") {
		if !strings.Contains(line, "partition goes on") {
			t.Error(line)
		}
	}
}

func TestAccessTokenRevokedAndRestored(t *testing.T) {
	t.Parallel()
	w, r := running(t, worldOptions{s2: s2mem.Options{AccessTokens: []string{token}}}, bridge.Settings{"s2.access_token": token})
	before := r.said()
	w.s2.SetAccessTokens(nil, []string{token})
	w.s2.CutConnections()
	w.produceAll("orders", parts, 20)
	r.red(prompt, "orders/0", "orders/3", "unauthorized", "403", "permission_denied")
	w.s2.SetAccessTokens([]string{token}, nil)
	w.healed(r, 45*time.Second)
	r.quiet(before, 40)
}

// A token that is replaced in its file before the old one ends costs nothing.
func TestAccessTokenRotated(t *testing.T) {
	t.Parallel()
	file := secretFile(t, token)
	w, r := running(t, worldOptions{s2: s2mem.Options{AccessTokens: []string{token}}}, bridge.Settings{"s2.access_token_file": file})
	writeFile(t, file, nextToken)
	w.s2.SetAccessTokens([]string{nextToken}, nil)
	w.s2.CutConnections()
	w.produceAll("orders", parts, 20)
	w.copied(prompt, "orders", nil)
	w.healed(r, prompt)
	if held := r.lines("partition held"); len(held) > 0 {
		t.Errorf("a rotation held partitions: %s", held)
	}
}

func TestS2GoneAndBack(t *testing.T) {
	t.Parallel()
	w, r := running(t, worldOptions{}, nil)
	before := r.said()
	w.s2Door.shut()
	w.produceAll("orders", parts, 20)
	r.red(prompt, "orders/0", "orders/3", w.s2Door.address(), "connection refused")
	r.awaitLine(prompt, "not writing, trying again", "partition=3", "connection refused")
	w.produceAll("orders", parts, 20)
	w.s2Door.open(t)
	w.healed(r, patient)
	r.quiet(before, 40)
}

// S2 that answers nothing any more: no connection is refused, no byte comes.
func TestS2SilentAndBack(t *testing.T) {
	t.Parallel()
	w, r := running(t, worldOptions{}, bridge.Settings{"s2.ack_timeout": "2s", "s2.request_timeout": "2s"})
	before := r.said()
	w.s2.Freeze()
	w.produceAll("orders", parts, 20)
	r.red(prompt, "orders/0", "orders/3")
	w.s2.Thaw()
	w.healed(r, patient)
	r.quiet(before, 40)
}

func TestBasinGoneAndBack(t *testing.T) {
	t.Parallel()
	w, r := running(t, worldOptions{}, nil)
	before := r.said()
	gone := w.s2.Fault(s2mem.Fault{Op: s2mem.OpAny, Count: -1, Do: s2mem.Refuse, Code: "basin_not_found", Message: "basin was deleted"})
	w.s2.CutConnections()
	w.produceAll("orders", parts, 20)
	r.red(prompt, "orders/0", "orders/3", "basin_not_found")
	gone.Remove()
	w.healed(r, patient)
	r.quiet(before, 40)
}

func TestKafkaGoneAndBack(t *testing.T) {
	t.Parallel()
	w, r := running(t, worldOptions{}, nil)
	w.produceAll("orders", parts, 20)
	before := r.said()
	w.kafkaDoor.shut()
	began := time.Now()
	t.Log(r.red(prompt, "kafka at "+w.kafkaDoor.address(), "cannot be reached", "check kafka.brokers"))
	t.Logf("red after %s", time.Since(began))
	w.kafkaDoor.open(t)
	w.healed(r, patient)
	r.quiet(before, 40)
}

// A Kafka that answers nothing any more, for longer than the group waits for a member.
func TestKafkaSilentAndBack(t *testing.T) {
	t.Parallel()
	w, r := running(t, worldOptions{}, nil)
	before := r.said()
	w.kafkaDoor.freeze()
	began := time.Now()
	t.Log(r.red(prompt, "kafka at "+w.kafkaDoor.address(), "does not answer", "check kafka.brokers"))
	t.Logf("red after %s", time.Since(began))
	w.kafkaDoor.thaw()
	w.healed(r, patient)
	r.quiet(before, 40)
}

func TestKafkaPasswordChangedAndBack(t *testing.T) {
	t.Parallel()
	w, r := running(t, withScram(), login("SCRAM-SHA-256", password))
	before := r.said()
	w.setPassword(wrongPassword)
	w.kafkaDoor.cut()
	began := time.Now()
	t.Log(r.red(prompt, "kafka at "+w.kafkaDoor.address(), "the login", "kafka.sasl.username"))
	t.Logf("red after %s", time.Since(began))
	w.setPassword(password)
	w.healed(r, patient)
	r.quiet(before, 40)
}

// setPassword changes the bridge's password at the broker; the test logs in as somebody else.
func (w *world) setPassword(secret string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patient)
	defer cancel()
	altered, err := kadm.NewClient(w.client).AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: user, Mechanism: kadm.ScramSha256, Iterations: 4096, Password: secret}})
	if err == nil {
		err = altered.Error()
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestTopicThatDoesNotExistYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	w.topic("orders", parts)
	w.produceAll("orders", parts, 20)
	r := start(t, w.settings(nil, "orders", "later"))
	t.Log(r.red(prompt, "topic later does not exist", "waited for"))
	r.awaitLine(prompt, "topic does not exist; it is waited for", "topic=later")
	w.copied(prompt, "orders", nil) // the others need not wait
	w.topic("later", 2)
	w.produceAll("later", 2, 20)
	began := time.Now()
	r.green(patient)
	t.Logf("green after %s", time.Since(began))
	w.copied(patient, "later", nil) // from offset 0
	t.Logf("copied after %s", time.Since(began))
	w.healed(r, prompt)
	if n := len(r.lines("topic does not exist")); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
}

package losses

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"kafka-s2-bridge/tests/losses/operator"
	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/proc"
)

// run is a bridge under test. When the test ends it is killed.
type run struct {
	*bridge.Process
	t *testing.T
}

// start runs a bridge with the settings.
func start(t *testing.T, settings bridge.Settings) *run {
	t.Helper()
	p, err := bridge.Start(bridge.Options{Binary: program, Dir: t.TempDir(), Name: "bridge", Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.Child().Running() {
			_ = p.Kill()
		}
		if t.Failed() {
			t.Logf("end of the bridge's log:\n%s", proc.Tail(p.Log(), 6000))
		}
	})
	return &run{p, t}
}

// stop ends the bridge as an operator does.
func (r *run) stop() {
	r.t.Helper()
	if err := r.Stop(15 * time.Second); err != nil {
		r.t.Fatal(err)
	}
}

// again starts it anew.
func (r *run) again() {
	r.t.Helper()
	if err := r.Restart(); err != nil {
		r.t.Fatal(err)
	}
}

// alive gives err, or a final error if the bridge has ended.
func (r *run) alive(err error) error {
	if err != nil && !r.Child().Running() {
		return proc.Final(fmt.Errorf("the bridge ended with %s", r.Child().State()))
	}
	return err
}

type status = operator.Status

// status of a partition; an error where the bridge does not list it.
func (r *run) status(topic string, partition int32) (status, error) {
	s, err := operator.Partition(r.t.Context(), r.Process, topic, partition)
	return s, r.alive(err)
}

// is waits until the status of a partition is as check wants it.
func (r *run) is(topic string, partition int32, check func(status) error, what string) (s status) {
	r.t.Helper()
	await(r.t, patient, func() (err error) {
		if s, err = r.status(topic, partition); err == nil {
			if err = check(s); err != nil {
				err = fmt.Errorf("%w: %+v", err, s)
			}
		}
		return err
	}, "%s/%d: %s", topic, partition, what)
	return s
}

// known waits until it is settled where a partition goes on.
func (r *run) known(topic string, partition int32, position int64) {
	r.t.Helper()
	r.is(topic, partition, func(s status) error {
		if s.Position != position || s.Reason != "" {
			return errWaiting
		}
		return nil
	}, fmt.Sprintf("not at position %d", position))
}

// held waits until the partition is held for the reason, with the words in the detail; and that the log, /readyz, the metric and
// `bridge partitions` say the same, with what to type.
func (r *run) held(topic string, partition int32, reason string, words ...string) status {
	r.t.Helper()
	s := r.is(topic, partition, func(s status) error {
		if s.Reason != reason || s.State != "held" || missing(s.Detail, words) != "" {
			return errWaiting
		}
		return nil
	}, fmt.Sprintf("not held for %s with %q", reason, words))
	name := fmt.Sprintf("%s/%d", topic, partition)
	r.t.Logf("%s is held (%s): %s\n  lost %v; answers %v", name, s.Reason, s.Detail, s.Lost, s.Accepts)
	plain(r.t, s.Detail+"\n"+s.Next)
	first := "bridge resume " + name + " --accept " + s.Accepts[0]
	r.says("partition held", "topic="+topic, fmt.Sprintf("partition=%d", partition), "reason="+reason, first)
	r.metric(fmt.Sprintf("kafka_s2_bridge_held{partition=\"%d\",reason=%q,topic=%q} 1", partition, reason, topic))
	await(r.t, patient, func() error {
		code, body, err := r.Get(r.t.Context(), "/readyz")
		if err == nil && (code != http.StatusServiceUnavailable || missing(body, []string{name + " is held (" + reason + ")", s.Detail, first}) != "") {
			err = fmt.Errorf("it answers %d %s", code, body)
		}
		return r.alive(err)
	}, "/readyz and %s", name)
	out, errout, code := r.types("partitions", name, "-c", r.Config())
	shown := []string{name + " is held: " + reason, s.Detail, first + " -c " + r.Config()}
	if s.Lost != nil {
		shown = append(shown, "lost  offset", fmt.Sprint(s.Lost.From))
	}
	if word := missing(out, shown); code != 1 || word != "" {
		r.t.Errorf("bridge partitions %s ends with %d and does not say %q:\n%s%s", name, code, word, out, errout)
	}
	return s
}

// loses waits for a hold as held does, which must name exactly these offsets.
func (r *run) loses(topic string, partition int32, reason string, from, to int64, words ...string) {
	r.t.Helper()
	if err := r.held(topic, partition, reason, words...).Loses(from, to); err != nil {
		r.t.Error(err)
	}
}

// unheld fails the test if one of the partitions is held.
func (r *run) unheld(topic string, partitions ...int32) {
	r.t.Helper()
	for _, p := range partitions {
		if s, err := r.status(topic, p); err != nil || s.Reason != "" {
			r.t.Errorf("%s/%d: %+v, %v", topic, p, s, err)
		}
	}
}

// green waits until nothing stands against being ready.
func (r *run) green() {
	r.t.Helper()
	await(r.t, patient, func() error {
		code, body, err := r.Get(r.t.Context(), "/readyz")
		if err == nil && code != http.StatusOK {
			err = errors.New(strings.TrimSpace(body))
		}
		return r.alive(err)
	}, "/readyz is not green")
}

// metric waits until a line of /metrics begins with the text.
func (r *run) metric(line string) {
	r.t.Helper()
	name, _, _ := strings.Cut(line, "{")
	await(r.t, patient, func() error {
		_, body, err := r.Get(r.t.Context(), "/metrics")
		if err == nil && !strings.Contains(body, "\n"+line) {
			err = fmt.Errorf("it has %s", strings.Join(regexp.MustCompile("(?m)^"+name+"{.*$").FindAllString(body, -1), "\n"))
		}
		return r.alive(err)
	}, "no metric %s", line)
}

// gone waits until the metric says of a partition that it lacks so many offsets of the class.
func (r *run) gone(topic string, partition int32, class string, n int64) {
	r.t.Helper()
	r.metric(fmt.Sprintf("kafka_s2_bridge_missing_offsets_total{class=%q,partition=\"%d\",topic=%q} %d\n", class, partition, topic, n))
}

// lines of the log that contain all the words.
func (r *run) lines(words ...string) (found []string) {
	r.t.Helper()
	text, err := os.ReadFile(r.Log())
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if missing(line, words) == "" {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// says waits until a line of the log contains all the words.
func (r *run) says(words ...string) {
	r.t.Helper()
	await(r.t, patient, func() error {
		if len(r.lines(words...)) == 0 {
			return r.alive(errWaiting)
		}
		return nil
	}, "a line of the log with %q", words)
}

// types runs a command of the bridge to its end, as an operator does.
func (r *run) types(args ...string) (out, errout string, code int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patient)
	defer cancel()
	said, err := operator.Type(ctx, program, args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return said.Out, said.Err, said.Code
}

// resume answers a hold with the command, which must be accepted.
func (r *run) resume(target, answer string) {
	r.t.Helper()
	out, errout, code := r.types("resume", target, "--accept", answer, "-c", r.Config())
	r.t.Logf("bridge resume %s --accept %s: %s%s", target, answer, out, errout)
	if code != 0 || !strings.Contains(out, answer+" accepted") {
		r.t.Fatalf("bridge resume %s --accept %s ends with %d", target, answer, code)
	}
	plain(r.t, out)
	r.says("hold answered", "answer="+answer)
}

// refuses answers a hold with what does not fit; the words must be in the refusal.
func (r *run) refuses(target, answer string, words ...string) {
	r.t.Helper()
	out, errout, code := r.types("resume", target, "--accept", answer, "-c", r.Config())
	if word := missing(out+errout, words); code != 1 || word != "" {
		r.t.Errorf("bridge resume %s --accept %s ends with %d, and does not say %q: %s%s", target, answer, code, word, out, errout)
	}
}

// gaps is what `bridge gaps` lists of a stream.
func (r *run) gaps(stream string, more ...string) (list []gap) {
	r.t.Helper()
	args := append([]string{"gaps", "s2://s2mem-basin/" + stream, "-c", r.Config(), "--json"}, more...)
	out, errout, code := r.types(args...)
	if code != 0 {
		r.t.Fatalf("%v ends with %d: %s", args, code, errout)
	}
	for line := range strings.Lines(out) {
		var g gap
		if err := json.Unmarshal([]byte(line), &g); err != nil {
			r.t.Fatalf("%v prints %q: %v", args, line, err)
		}
		if !strings.Contains(line, `"totals"`) {
			list = append(list, g)
		}
	}
	return list
}

func missing(text string, words []string) (word string) {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return w
		}
	}
	return ""
}

// crude finds what belongs into no sentence for an operator: addresses of memory, Go values, stack traces.
var crude = regexp.MustCompile(`0x[0-9a-f]{4,}|&\{|map\[|%!|goroutine |panic|<nil>|[*][a-z]+\.[A-Z]|\berrors?\.|runtime\.`)

// plain fails the test if Go shows in a text for people.
func plain(t *testing.T, text string) {
	t.Helper()
	if bad := crude.FindString(text); bad != "" {
		t.Errorf("%q is nothing for an operator in: %s", bad, text)
	}
}

// tables are [[topic]] in one line.
func tables(text string) any { return rawTOML("[" + text + "]") }

// rawTOML is printed as it is.
type rawTOML string

// signal sends one.
func (r *run) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.Child().Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

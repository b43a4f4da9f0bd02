package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// demo runs `bridge demo` in this process; its bridges are children that run
// this test binary.
func demo(t *testing.T, ctx context.Context, errout io.Writer, args ...string) said {
	t.Helper()
	t.Setenv(programVariable, "1")
	var out, told bytes.Buffer
	code := run(ctx, append([]string{"demo"}, args...), strings.NewReader(""), &out, io.MultiWriter(&told, errout))
	got := said{code, out.String(), told.String()}
	nobodyLeft(t, got.out+got.err)
	return got
}

var pidShape = regexp.MustCompile(`pid (\d+)`)

// nobodyLeft looks for the bridges that a text names.
func nobodyLeft(t *testing.T, text string) {
	t.Helper()
	for _, m := range pidShape.FindAllStringSubmatch(text, -1) {
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("bridge with pid %d is still there: %v", pid, err)
		}
	}
}

// oneObject reads a text that must be one JSON object of a verdict and no more.
func oneObject(t *testing.T, text string) verdict {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	var v verdict
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("more than one object: %q", text)
	}
	for _, name := range []string{"records", "partitions", "missing", "duplicates", "reordered", "altered", "foreign", "aborted", "restarts", "verified", "seconds", "edges"} {
		if !strings.Contains(text, `"`+name+`":`) {
			t.Errorf("no %s in %s", name, text)
		}
	}
	return v
}

func TestDemoOnceAsJSON(t *testing.T) {
	got := demo(t, t.Context(), io.Discard, "--once", "--records", "3000", "--partitions", "3", "--seed", "11", "--json")
	v := oneObject(t, got.out)
	if got.code != exitDone || !v.Verified || v.Records != 3000 || v.Partitions != 3 || v.Seed != 11 || v.Restarts != 1 || v.Error != "" || v.Left != "" {
		t.Errorf("code %d, %s\n%s", got.code, got.out, got.err)
	}
	if v.Missing+v.Duplicates+v.Reordered+v.Altered+v.Foreign+v.Aborted+v.Broken+v.Commits+len(v.Problems) != 0 {
		t.Errorf("verified, yet %s", got.out)
	}
	for _, name := range edgeNames {
		if e, ok := v.Edges[name]; !ok || e.Made == 0 || e.Seen != e.Made {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if e := v.Edges[abortedName]; e.Made == 0 || e.Made != v.AbortedLeftOut || e.Seen != 0 || len(v.Edges) != len(edgeNames)+1 {
		t.Errorf("aborted: %+v, %d left out, %d edges", e, v.AbortedLeftOut, len(v.Edges))
	}
	if len(v.KilledAt) != 1 || v.KilledAt[0] < 20 || v.KilledAt[0] > 80 {
		t.Errorf("killed at %v %%: not in the middle", v.KilledAt)
	}
	if v.Fences < 2*v.Partitions-1 {
		t.Errorf("%d take-overs of %d streams by two bridges", v.Fences, v.Partitions)
	}
}

func TestDemoOnceForPeople(t *testing.T) {
	got := demo(t, t.Context(), io.Discard, "--once", "--records", "10", "--seed", "3")
	for _, text := range []string{"verified: every record is in S2 exactly once", "10 in 4 partitions", "restarted once with", "--seed 3 makes", "edges     in Kafka / in S2: large 1/1, tombstones 2/2", "hostile 3/3", "aborted 10/0"} {
		if !strings.Contains(got.out, text) {
			t.Errorf("no %q in %s", text, got.out)
		}
	}
	if got.code != exitDone || strings.Contains(got.out+got.err, "\x1b") || !strings.Contains(got.err, "SIGKILL to the bridge (pid ") {
		t.Errorf("code %d\n%s%s", got.code, got.out, got.err)
	}
}

func TestDemoOnceInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := demo(t, ctx, when("started the bridge again", cancel), "--once", "--records", "5000", "--json")
	v := oneObject(t, got.out)
	if got.code != exitUnknown || v.Verified || v.Error == "" || v.Restarts != 1 || !strings.Contains(got.err, "error: ") {
		t.Errorf("code %d, %s\n%s", got.code, got.out, got.err)
	}
}

func TestDemoUsage(t *testing.T) {
	for args, want := range map[string]string{
		"--records 100":                           "--records needs --once",
		"--json":                                  "--json needs --once",
		"--once --records 9":                      "from 10 to 2,000,000",
		"--once --records 2000001":                "from 10 to 2,000,000",
		"--once --partitions 0":                   "from 1 to 256",
		"--partitions 257":                        "from 1 to 256",
		"--kafka localhost:9092":                  "go together",
		"--s2 http://localhost:8080":              "go together",
		"--basin other-basin":                     "--basin needs",
		"--kafka localhost --s2 http://localhost": "host:port",
		"--kafka a:1 --s2 localhost:8080":         "URL without path",
		"--kafka a:1 --s2 http://b --basin Short": "8 to 48",
		"--seed -1":                               "--seed",
		"--once now":                              "now",
	} {
		got := demo(t, t.Context(), io.Discard, strings.Fields(args)...)
		if got.code != exitUsage || got.out != "" || !strings.Contains(got.err, want) {
			t.Errorf("bridge demo %s: code %d, want %d; %q, want %q", args, got.code, exitUsage, got.err, want)
		}
	}
}

// A round that was played well, and then the streams are spoiled before the
// comparison: it must see it.
func TestDemoFindsDifferences(t *testing.T) {
	t.Setenv(programVariable, "1")
	for name, spoil := range map[string]func(s *stage){
		"missing": func(s *stage) {
			tail, _ := s.memory.Tail("orders/0")
			s.memory.Rewind("orders/0", tail.Seq-1)
		},
		"broken": func(s *stage) { s.memory.Trim("orders/1", 3) },
	} {
		t.Run(name, func(t *testing.T) {
			var r *round
			o := demoOptions{partitions: 2, seed: 1}
			r, err := openRound(t.Context(), t.Context(), o, func(text string) {
				if strings.HasPrefix(text, "comparing") {
					spoil(r.stage)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer r.close()
			v, err := r.finish(t.Context(), r.once(t.Context(), 200))
			if err != nil {
				t.Fatal(err)
			}
			if v.Verified || v.Missing == 0 || len(v.Problems) == 0 {
				t.Errorf("%+v", v)
			}
			if name == "broken" && v.Broken == 0 {
				t.Errorf("a trimmed stream: %+v", v)
			}
			var coded *exitError
			if err := v.wrong(); !errors.As(err, &coded) || coded.code != exitFailed {
				t.Errorf("error %v", err)
			}
			var text bytes.Buffer
			v.print(&text)
			if !strings.Contains(text.String(), "not verified") || !strings.Contains(text.String(), v.Problems[0]) {
				t.Errorf("printed:\n%s", &text)
			}
		})
	}
}

// A round that is full ends by itself, with a comparison.
func TestDemoLiveRound(t *testing.T) {
	t.Setenv(programVariable, "1")
	var out bytes.Buffer
	l := &live{
		screen: newScreen(&out), began: time.Now(), checked: "round 0", size: 2*livePart + 1,
		lifetime: func() time.Duration { return 500 * time.Millisecond }, outage: frame,
	}
	v, err := l.play(t.Context(), t.Context(), demoOptions{partitions: 2, seed: 4})
	if err != nil || !v.Verified || v.Records != 3*livePart || v.Restarts == 0 {
		t.Errorf("%+v, %v\n%s", v, err, &out)
	}
	nobodyLeft(t, out.String())
	for _, want := range []string{"Kafka end ", "SIGKILL to the bridge", "started the bridge again", "comparing every stream"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
}

// Ctrl-C ends the demo with a comparison.
func TestDemoLiveEndsOnSignal(t *testing.T) {
	t.Setenv(programVariable, "1")
	interrupt := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Error(err)
		}
	}
	var out bytes.Buffer
	errout := &bytes.Buffer{}
	code := run(t.Context(), []string{"demo"}, strings.NewReader(""), io.MultiWriter(&out, when("Kafka end", interrupt)), errout)
	if code != exitDone || !strings.Contains(out.String(), "verified: ") || errout.Len() > 0 {
		t.Errorf("code %d, %s\n%s", code, errout, &out)
	}
}

func TestTwoSignals(t *testing.T) {
	stop, now, release := untilTwoSignals(t.Context())
	defer release()
	send := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	send()
	<-stop.Done()
	if !errors.Is(context.Cause(stop), errInterrupted) || now.Err() != nil {
		t.Errorf("after one signal: %v, %v", context.Cause(stop), now.Err())
	}
	began := time.Now()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for now.Err() == nil {
		send() // those that come too soon are the first one's echo
		select {
		case <-again.C:
		case <-now.Done():
		}
	}
	if !errors.Is(context.Cause(now), errAtOnce) || time.Since(began) < echo/2 {
		t.Errorf("after more: %v in %v", context.Cause(now), time.Since(began))
	}
}

// when calls do once, when text is written.
func when(text string, do func()) io.Writer { return &trigger{text: text, do: sync.OnceFunc(do)} }

type trigger struct {
	text string
	do   func()
}

func (w *trigger) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(w.text)) {
		w.do()
	}
	return len(b), nil
}

func TestKillsAreInTheMiddle(t *testing.T) {
	for _, records := range []int{minDemoRecords, 11, 99, 1000, 39_999, 40_000, defaultDemoRecords, 200_000, maxDemoRecords} {
		t.Run(fmt.Sprint(records), func(t *testing.T) {
			written, total := 0, 0
			for i := range onceParts {
				if i == onceGate {
					written = total
				}
				total += onceBurst(records, i)
			}
			if total != records || written*10 > records*8 {
				t.Errorf("%d of %d records are written before the last kill, %d in all", written, records, total)
			}
			before := 0
			for _, at := range killsAt(records) {
				if at*5 < records || at > written || at < before {
					t.Errorf("kills at %v of %d records", killsAt(records), written)
				}
				before = at
			}
		})
	}
	if n := len(killsAt(200_000)); n != 5 {
		t.Errorf("%d kills among 200,000 records", n)
	}
}

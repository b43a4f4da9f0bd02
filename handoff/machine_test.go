package handoff

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"kafka-s2-bridge/mapping"
)

// An operator who reads a hold must find what to do next, for every reason.
func TestReasons(t *testing.T) {
	seen := map[Reason]bool{}
	for _, r := range Reasons() {
		if seen[r] {
			t.Errorf("%s is listed twice", r)
		}
		seen[r] = true
		if !strings.HasSuffix(r.Next(), ".") {
			t.Errorf("%s has nothing to do next: %q", r, r.Next())
		}
		heals := r == S2Behind || r == Rival || r == Unauthorized
		if looks := r.recheck() > 0; looks != heals {
			t.Errorf("%s is looked at again by itself: %t", r, looks)
		}
	}
	if len(seen) != 12 || Reason("other").Next() != "" {
		t.Errorf("the list is closed: 12 reasons, got %d", len(seen))
	}
}

func newTestMachine() *Machine {
	return NewMachine(Config{BackoffMin: 100 * time.Millisecond, BackoffMax: 30 * time.Second, Rand: rand.New(rand.NewPCG(3, 4))},
		Assignment{Identity: me, Generation: 17})
}

// Without jitter, 10,000 partitions come back in the same millisecond; without a
// limit, a partition stands for hours after S2 is healthy again.
func TestBackoff(t *testing.T) {
	m := newTestMachine()
	for failures := range 2000 {
		m.failures = failures
		limit := min(100*time.Millisecond<<min(max(failures-1, 0), 20), 30*time.Second)
		if d := m.backoff(); d < limit/2 || d > limit {
			t.Fatalf("after %d failures: %s, want %s to %s", failures, d, limit/2, limit)
		}
	}
	different := map[time.Duration]bool{}
	for range 100 {
		different[m.backoff()] = true
	}
	if len(different) < 90 {
		t.Errorf("100 pauses have %d different lengths", len(different))
	}
	for _, d := range []time.Duration{0, 1} {
		if got := m.jitter(d); got != d {
			t.Errorf("jitter of %d is %d", d, got)
		}
	}
}

// A token that is used twice would let the late fence of an earlier try pass for
// the one that was acknowledged.
func TestTokensAreFresh(t *testing.T) {
	m := newTestMachine()
	seen := map[string]bool{}
	for range 1000 {
		token := m.freshToken()
		if parsed, ok := mapping.ParseToken(token); !ok || parsed.ID != me.Hash() || parsed.Generation != 17 {
			t.Fatalf("token %q", token)
		}
		if seen[token] {
			t.Fatalf("token %q twice", token)
		}
		seen[token] = true
	}
}

// Whatever the encoder refuses a record for, the partition stands at it.
func TestRefusedForAnotherReason(t *testing.T) {
	m := newTestMachine()
	if m.refuse(&mapping.Record{Offset: 5}, errors.New("no such thing")) {
		t.Error("skipped without anybody's word")
	}
	if m.refused == nil || m.refused.Offset != 5 || m.refused.Why != "no such thing" {
		t.Errorf("refused %+v", m.refused)
	}
}

// Acknowledged chunks are kept until their record is complete, and that memory
// counts; the record counts once, with all its bytes.
func TestAcknowledgedChunksAreHeld(t *testing.T) {
	d := newDriver(t)
	do := func(script string) { d.perform(strings.Split(script, "; ")) }
	do("s2 fence A1; s2 open resume=0; s2 data 0-4; start commit=5/4/7; fetch 5; run")
	before := d.m.count
	do("fetch b6; tick")
	held := d.m.Held()
	if held < 2_500_000 || held > 2*2_500_000 {
		t.Errorf("%d bytes held for a record of 2,500,000", held)
	}
	for range 2 {
		do("ack")
		if d.m.Held() != held || d.m.count != before {
			t.Errorf("in the middle of a record: %d bytes held, not %d; counters %+v", d.m.Held(), held, d.m.count)
		}
	}
	do("ack")
	if d.m.Held() != 0 || d.m.count.Records != before.Records+1 || d.m.count.Bytes != before.Bytes+2_500_000 {
		t.Errorf("behind a record: %d bytes held, counters %+v, they were %+v", d.m.Held(), d.m.count, before)
	}
}

// An answer to a request that nobody waits for any more must not move anything:
// its position is of a stream as it was before the request that is under way.
func TestOldAnswersAreIgnored(t *testing.T) {
	for _, ev := range []Event{
		Asked{ID: 1, Exists: true, Tail: 7}, Created{ID: 1}, Fenced{ID: 1, Seq: 9}, Page{ID: 1},
		EpochEnded{ID: 1, End: 3}, Ranged{ID: 1, Start: 5, End: 9},
	} {
		m := newTestMachine()
		m.Step(0, Begin{})
		m.Step(0, Asked{ID: m.request, Err: errors.New("refused")})
		m.Step(time.Second, Tick{})
		if out := m.Step(time.Second, ev); len(out) > 0 || m.phase != locating {
			t.Errorf("%T of an old request: %v in phase %s", ev, out, m.phase)
		}
	}
}

// Released is the end: not one action more, whatever comes.
func TestNothingAfterTheEnd(t *testing.T) {
	m := newTestMachine()
	m.Step(0, Begin{})
	m.Step(0, Release{})
	for _, ev := range []Event{
		Begin{}, Fetched{Records: []mapping.Record{record(0, 1)}}, Trouble{}, Release{}, Lost{}, Asked{ID: 1}, Acked{}, Ended{},
		Advised{}, Tick{}, Paced{},
	} {
		if out := m.Step(time.Hour, ev); len(out) > 0 {
			t.Errorf("%T after the end: %v", ev, out)
		}
	}
	if _, ok := m.Deadline(); ok {
		t.Error("a deadline after the end")
	}
}

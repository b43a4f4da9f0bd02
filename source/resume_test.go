package source

import (
	"errors"
	"strings"
	"testing"

	"kafka-s2-bridge/handoff"
)

// Without the policy the partition is held, also when it is told to look again.
func TestATopicThatWasCreatedAnewWaitsForAnAnswer(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	for p := range int32(2) {
		w.produce("orders", p, 10, 10)
	}
	m := w.join(w.perTopicID(false, "orders"))
	for p := range int32(2) {
		w.wantCommitted("orders", p, 10)
		w.until("the end to be seen", func() bool { st, _ := m.of("orders", p); return st.LastStable == 10 })
	}
	n := len(w.commits.of("orders", 0))
	old := w.recreate("orders", 2)
	w.produce("orders", 0, 3, 10)
	st := w.wantHeld(m, "orders", 0, handoff.Recreated)
	if want := "its last stable offset was 10 when it was last seen"; !strings.Contains(st.Hold.Detail, want) {
		t.Errorf("%q does not say %q", st.Hold.Detail, want)
	}
	if err := m.Resume(t.Context(), "orders", 0, handoff.AnswerRetry); err != nil {
		t.Fatal(err)
	}
	w.until("another look, and the hold again", func() bool {
		st, _ := m.of("orders", 0)
		return st.Acquisitions[handoff.Answered] == 1 && st.Phase == "held" && st.Hold.Reason == handoff.Recreated
	})
	if err := m.Resume(t.Context(), "orders", 0, handoff.AnswerAdopt); err == nil {
		t.Error("the stream of the old topic is adopted, although the new one has another")
	}
	w.wantOld("orders", old, 10)
	w.wantHeld(m, "orders", 1, handoff.Recreated)
	if got := len(w.commits.of("orders", 0)); got != n {
		t.Errorf("%d commits for the old topic", got-n)
	}

	// The answer is for the topic, whichever partition was asked for.
	if err := m.Resume(t.Context(), "orders", 1, handoff.AnswerNewStream); err != nil {
		t.Fatal(err)
	}
	w.wantCopied("orders", 0, 0, 3)
	w.wantCommitted("orders", 0, 3)
	w.wantOld("orders", old, 10)
	w.produce("orders", 1, 4, 10)
	w.wantCopied("orders", 1, 0, 4)
	w.until("nothing against being ready", func() bool { ok, _ := m.Ready(); return ok })
}

func TestAnswersThatAreNotForHere(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.topic("bad", 1)
	w.refuse = "bad"
	w.produce("orders", 0, 10, 10)
	m := w.join(w.config("orders", "bad"))
	w.wantCommitted("orders", 0, 10)
	if err := m.Resume(t.Context(), "orders", 7, handoff.AnswerRetry); !errors.Is(err, ErrNotAssigned) {
		t.Errorf("a partition of somebody else: %v", err)
	}
	if err := m.Resume(t.Context(), "bad", 0, handoff.AnswerRetry); err == nil || errors.Is(err, ErrNotAssigned) || !strings.Contains(err.Error(), "no name for its stream") {
		t.Errorf("a partition that has not begun: %v", err)
	}
	if err := m.Resume(t.Context(), "orders", 0, handoff.AnswerGap); err == nil || errors.Is(err, ErrNotAssigned) {
		t.Errorf("a partition that flows: %v", err)
	}
	w.recreate("orders", 1)
	w.produce("orders", 0, 10, 10)
	w.wantHeld(m, "orders", 0, handoff.Recreated)
	if err := m.Resume(t.Context(), "orders", 0, handoff.AnswerNewStream); err == nil || !strings.Contains(err.Error(), "{topic_id}") {
		t.Errorf("a new stream of the same name: %v", err)
	}
	w.wantHeld(m, "orders", 0, handoff.Recreated)
	m.leave()
	if err := m.Resume(t.Context(), "orders", 0, handoff.AnswerRetry); !errors.Is(err, ErrNotAssigned) {
		t.Errorf("after the end: %v", err)
	}
}

// The topic was restored under its name with the same records. The owner of the
// old one cannot take the stream over; the next one gets the answer.
func TestTheStreamOfARestoredTopicIsAdopted(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	minutes := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	w.stamped("orders", minutes...)
	m := w.join(w.config("orders"))
	w.wantCommitted("orders", 0, 10)
	w.recreate("orders", 1)
	w.stamped("orders", minutes...)
	w.wantHeld(m, "orders", 0, handoff.Recreated)
	if err := m.Resume(t.Context(), "orders", 0, handoff.AnswerAdopt); err != nil {
		t.Fatal(err)
	}
	w.stamped("orders", 10, 11, 12)
	w.wantCopied("orders", 0, 0, 13)
	w.wantCommitted("orders", 0, 13)
	w.until("nothing against being ready", func() bool { ok, _ := m.Ready(); return ok })
}

package handoff

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kafka-s2-bridge/mapping"
)

// An operator waits at a terminal: the answer is taken or refused with a
// sentence, at once, whatever the partition is doing.
func TestResume(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.s2.append([]mapping.Stored{stored("content-type", "text/plain", []byte("hi"))}, nil, nil)
		o := w.own(t.Context())
		pass(time.Minute)
		if h := o.Status().Hold; h.Reason != TokenCleared {
			t.Fatalf("held for %q", h.Reason)
		}
		if err := o.Resume(t.Context(), AnswerGap); err == nil || !strings.Contains(err.Error(), "adopt, retry") {
			t.Errorf("an answer that does not fit: %v", err)
		}
		if err := o.Resume(t.Context(), AnswerAdopt); err != nil {
			t.Errorf("adopt: %v", err)
		}
		synctest.Wait()
		if h := o.Status().Hold; h.Reason != TokenCleared || !strings.HasPrefix(h.Detail, "not adopted") {
			t.Errorf("a stream without a record of ours: %+v", h)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := o.Resume(ctx, AnswerRetry); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
		o.Abandon()
		gone(o)
		if err := o.Resume(t.Context(), AnswerRetry); err == nil {
			t.Error("an answer to an owner that has ended was taken")
		}
	})
}

// Every request that a machine makes reaches Kafka, and its answer comes back.
func TestOwnerAsksKafka(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.opt.Policy = Policy{Start: StartPolicy{From: FromLatest}, Refused: DeadLetterRecord}
		o := w.own(t.Context())
		synctest.Wait()
		if s := o.Status(); s.Phase != "flowing" || s.Durable != 499 {
			t.Fatalf("a partition that starts at the latest offset, 500: %+v", s)
		}
		big := records(500, 502)
		big[1].Key = make([]byte, 1<<20)
		w.mu.Lock()
		cut := w.seeks[len(w.seeks)-1].Cut
		w.mu.Unlock()
		o.Fetched(cut, 100, big)
		synctest.Wait()
		w.serve(o, 502, 502)
		synctest.Wait()
		w.mu.Lock()
		letters := slices.Clone(w.letters)
		w.mu.Unlock()
		s := o.Status()
		if !slices.Equal(letters, []int64{501}) || s.Durable != 502 || s.Missing[MissingDeadLetter] != 1 || s.Records != 2 {
			t.Errorf("dead letters %v, status %+v", letters, s)
		}
		if g := s.LastGaps; len(g) != 1 || g[0].From != 501 || g[0].To != 502 || g[0].At != time.Now().UnixMilli() {
			t.Errorf("gap markers %+v at %d", g, time.Now().UnixMilli())
		}
		// The stream is emptied: what was acknowledged is gone. Replay copies it
		// again, behind a commit that was set back.
		w.mu.Lock()
		*w.s2 = *newStream()
		w.s2.exists = true
		w.mu.Unlock()
		w.serve(o, 503, 503)
		pass(time.Minute)
		if h := o.Status().Hold; h.Reason != S2Behind {
			t.Fatalf("behind an emptied stream: %+v", o.Status())
		}
		if err := o.Resume(t.Context(), AnswerReplay); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		w.serve(o, 500, 500)
		synctest.Wait()
		if m := w.lastMark(t); m.Offset != 501 || m.Last != 500 {
			t.Errorf("after the replay: marked %+v, status %+v", m, o.Status())
		}
		o.Abandon()
		gone(o)
	})
}

// Adopting compares with Kafka.
func TestOwnerAdopts(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		for o := range int64(5) {
			w.s2.append(dataRecords(o, 1), nil, nil)
		}
		o := w.own(t.Context())
		pass(time.Minute)
		if err := o.Resume(t.Context(), AnswerAdopt); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := o.Status(); s.Phase != "flowing" || s.Durable != 4 || s.Hold.Reason != "" {
			t.Errorf("status %+v", s)
		}
		o.Abandon()
		gone(o)
	})
}

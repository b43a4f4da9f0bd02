package handoff

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// world is Kafka and S2 around one owner, in memory and in the test's clock.
// Its funcs, where set, come before what it does by itself; while the owner is
// at work they are set through change.
type world struct {
	t       *testing.T
	opt     Options
	metrics *prometheus.Registry

	mu       sync.Mutex
	silent   bool // S2 does not answer a half-close
	onAsk    func(context.Context) error
	onEpoch  func(context.Context) (int64, error)
	onSend   func(*session, *mapping.Batch) bool // false: the batch stays under way
	onAbort  func(*session)
	s2       *stream
	sessions []*session
	marks    []offsets.Mark
	seeks    []Seek
	suspects int     // calls of Suspect
	letters  []int64 // offsets in the dead letter topic
	held     int     // what Held reported in all
	done     <-chan struct{}
}

// session is an append session that acknowledges at once.
type session struct {
	w        *world
	on       SessionEvents
	ended    bool
	finished bool
	aborted  bool
	sent     []sentBytes // and not acknowledged
}

// sentBytes is what a session reads from, and what it has to be.
type sentBytes struct{ live, want []byte }

var (
	_ Partition = (*world)(nil)
	_ Stream    = (*world)(nil)
	_ Session   = (*session)(nil)
)

func newWorld(t *testing.T) *world {
	w := &world{t: t, s2: newStream(), metrics: prometheus.NewRegistry()}
	w.opt = Options{
		Config: Config{
			Group: "g", Bridge: "0.1", MaxInflightBytes: 5 << 20, MaxInflightBatches: 8,
			Linger: 5 * time.Millisecond, AckTimeout: 5 * time.Second, IdleClose: time.Minute, SessionTimeout: 45 * time.Second,
			BackoffMin: 100 * time.Millisecond, BackoffMax: 30 * time.Second, Rand: rand.New(rand.NewPCG(1, 2)),
		},
		Slots: make(chan struct{}, 4), Metrics: NewMetrics(w.metrics),
		Logger: slog.New(slog.DiscardHandler),
	}
	return w
}

// own starts an owner that has nothing committed.
func (w *world) own(ctx context.Context) *Owner {
	o := Start(ctx, w.opt, Assignment{Identity: me, Generation: 3, Parts: 12}, w, w)
	w.mu.Lock()
	w.done = o.Done()
	w.mu.Unlock()
	return o
}

// serve hands data records over, at the cut that was asked for last.
func (w *world) serve(o *Owner, from, to int64) {
	w.mu.Lock()
	cut := w.seeks[len(w.seeks)-1].Cut
	w.mu.Unlock()
	o.Fetched(cut, int(to-from+1)*100, records(from, to))
}

func records(from, to int64) (recs []*kgo.Record) {
	for ; from <= to; from++ {
		recs = append(recs, &kgo.Record{Offset: from, LeaderEpoch: 1, Value: []byte("value"), Timestamp: time.UnixMilli(from)})
	}
	return recs
}

func (w *world) alive(what string) {
	w.t.Helper()
	select {
	case <-w.done:
		w.t.Errorf("%s after Done", what)
	default:
	}
}

func (w *world) Seek(cut uint64, offset int64, epoch int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seeks = append(w.seeks, Seek{cut, offset, epoch})
}

func (w *world) Pause() {}

func (w *world) Mark(m offsets.Mark, _ bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alive("Mark")
	w.marks = append(w.marks, m)
}

func (w *world) Held(delta int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held += delta
}

func (w *world) Range(context.Context) (int64, int64, error) { return 0, 1000, nil }

func (w *world) EpochEnd(ctx context.Context, epoch int32) (int32, int64, error) {
	w.mu.Lock()
	hook := w.onEpoch
	w.mu.Unlock()
	if hook != nil {
		end, err := hook(ctx)
		return epoch, end, err
	}
	return epoch, 1000, nil
}

func (w *world) Locate(context.Context, StartPolicy) (int64, error) { return 500, nil }

func (w *world) Records(_ context.Context, first, last int64) (all []mapping.Record, err error) {
	for ; first <= last; first++ {
		all = append(all, record(first, 1))
	}
	return all, nil
}

func (w *world) Overwrite(_ context.Context, m offsets.Mark) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alive("Overwrite")
	w.marks = append(w.marks, m)
	return nil
}

func (w *world) DeadLetter(_ context.Context, l Letter) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.letters = append(w.letters, l.Record.Offset)
	return nil
}

func (w *world) Ask(ctx context.Context) (uint64, string, bool, error) {
	w.mu.Lock()
	hook := w.onAsk
	w.mu.Unlock()
	if hook != nil {
		if err := hook(ctx); err != nil {
			return 0, "", false, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.s2.tail, w.s2.token, w.s2.exists, nil
}

func (w *world) Create(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.s2.exists = true
	return nil
}

func (w *world) Fence(_ context.Context, token, seen string, tail uint64) (uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	match := &tail
	if seen != "" {
		match = nil
	}
	return w.s2.append([]mapping.Stored{fenceRecord(token)}, &seen, match)
}

func (w *world) Read(_ context.Context, from uint64, count int) ([]mapping.Stored, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.s2.read(from, count), nil
}

func (w *world) Open(_ context.Context, on SessionEvents) Session {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &session{w: w, on: on}
	w.sessions = append(w.sessions, s)
	return s
}

func (w *world) Suspect() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.suspects++
}

func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) session(i int) *session {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sessions[i]
}

func (s *session) Send(b *mapping.Batch, seq uint64, token string) {
	w := s.w
	w.mu.Lock()
	s.sent = append(s.sent, sentBytes{b.Bytes(), bytes.Clone(b.Bytes())})
	hook := w.onSend
	w.mu.Unlock()
	if hook != nil && !hook(s, b) {
		return
	}
	w.mu.Lock()
	start, err := w.s2.append(decode(b.Bytes()), &token, &seq)
	if w.s2.broken != "" {
		w.t.Error(w.s2.broken)
	}
	s.sent = nil // acknowledged: not read any more
	w.mu.Unlock()
	if err != nil {
		s.end(err)
		return
	}
	s.on.Acked(start, start+uint64(b.Count()))
}

func (s *session) Finish() {
	s.w.mu.Lock()
	s.finished = true
	silent := s.w.silent
	s.w.mu.Unlock()
	if !silent {
		s.end(nil)
	}
}

// Abort checks that what the session was reading until now is what it was sent.
func (s *session) Abort() {
	s.w.mu.Lock()
	if !s.aborted && !s.ended {
		for _, sent := range s.sent {
			if !bytes.Equal(sent.live, sent.want) {
				s.w.t.Error("a batch was used for something else before its session was aborted")
			}
		}
	}
	s.aborted = true
	s.w.mu.Unlock()
	if s.w.onAbort != nil {
		s.w.onAbort(s)
		return
	}
	s.end(errors.New("aborted"))
}

func (s *session) end(err error) {
	s.w.mu.Lock()
	again := s.ended
	s.ended = true
	s.w.mu.Unlock()
	if !again {
		s.on.Ended(err)
	}
}

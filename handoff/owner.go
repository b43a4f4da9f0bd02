package handoff

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/mapping"
)

// Options is what an owner needs besides the machine's own configuration.
type Options struct {
	Config
	Slots   chan struct{}        // at most cap(Slots) acquisitions at work at once in this process
	Reserve func() time.Duration // with Config.Paced: how long to wait before the next append
	Metrics *Metrics
	Logger  *slog.Logger
}

// Owner drives the machine of one partition. One goroutine owns all its state;
// everything reaches it through the mailbox, so that nobody who brings
// something ever waits.
//
//	Fetched, Trouble, Release ... -> mailbox -> run -> Machine.Step -> carry out
//	acks, answers to requests     ->
type Owner struct {
	opt       Options
	machine   *Machine
	partition Partition
	stream    Stream
	report    *report
	start     time.Time
	mail      *mailbox
	done      chan struct{}

	// Owned by run.
	ctx         context.Context
	work        sync.WaitGroup // requests under way
	sessions    map[uint64]*running
	outstanding int // requests without an answer
	claims      int // of these, those that take a slot of their own
	slots       int // acquisition slots that we hold
	finished    bool
	held        int
	scratch     []mapping.Record
	paceAt      time.Duration // when the permit for an append comes; 0: none is awaited
	drainBy     time.Duration // when draining ends at the latest; 0: not given up

	mu     sync.Mutex
	status Status
}

// running is a session that has not ended yet.
type running struct {
	Session
	cut *time.Timer // after Finish
}

// finish closes the session politely; a server that does not answer within the
// time is cut off.
func (r *running) finish(within time.Duration) {
	r.Finish()
	r.cut = time.AfterFunc(within, r.Abort)
}

func (r *running) over() {
	if r != nil && r.cut != nil {
		r.cut.Stop()
	}
}

// fetch is a Fetched whose records are still the client's.
type fetch struct {
	cut  uint64
	cost int
	recs []*kgo.Record
}

// answer is the answer to a request, and the acquisition slots that it took.
type answer struct {
	ev    Event
	claim int // it was to take a slot
	slots int // and did
}

// giveUp is a Release with its deadline.
type giveUp struct{ within time.Duration }

// told is an operator's answer, with who waits to hear whether it fits.
type told struct {
	answer Answer
	reply  chan<- error // takes one without blocking
}

func (fetch) event()  {}
func (answer) event() {}
func (giveUp) event() {}
func (told) event()   {}

// Start begins to own a partition. The context ends everything at once, as a
// crash would; the ordinary ends are Release and Abandon.
func Start(ctx context.Context, opt Options, a Assignment, p Partition, s Stream) *Owner {
	start := time.Now()
	opt.Zero = start
	o := &Owner{
		opt: opt, machine: NewMachine(opt.Config, a), partition: p, stream: s,
		report: newReport(opt, a.Identity), start: start, mail: newMailbox(), done: make(chan struct{}),
		sessions: map[uint64]*running{},
	}
	o.status = o.machine.Status()
	go o.run(ctx)
	return o
}

// Fetched hands records over, with the memory that they cost until they are
// encoded. It never blocks.
func (o *Owner) Fetched(cut uint64, cost int, recs []*kgo.Record) {
	o.mail.put(fetch{cut, cost, recs})
}

// Trouble reports what Kafka said instead of serving records. It never blocks.
func (o *Owner) Trouble(t Trouble) { o.mail.put(t) }

// Release asks the owner to finish what is in flight and to end, within the
// deadline. Wait for Done.
func (o *Owner) Release(deadline time.Duration) { o.mail.put(giveUp{deadline}) }

// Abandon ends the owner at once: the partition is somebody else's.
func (o *Owner) Abandon() { o.mail.put(Lost{}) }

// Resume gives the operator's answer to a hold, and returns when the machine has
// taken it. The error says in a sentence why it does not fit.
func (o *Owner) Resume(ctx context.Context, a Answer) error {
	reply := make(chan error, 1)
	o.mail.put(told{a, reply})
	select {
	case err := <-reply:
		return err
	case <-o.done:
		return errors.New("the partition is being given up by this process")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Done is closed when the owner has ended: it will mark nothing any more.
func (o *Owner) Done() <-chan struct{} { return o.done }

// Status is a recent snapshot.
func (o *Owner) Status() Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.status
}

func (o *Owner) run(parent context.Context) {
	defer close(o.done)
	ctx, cancel := context.WithCancel(parent)
	o.ctx = ctx
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	o.step(Begin{})
	for !o.finished {
		timer.Reset(o.untilDeadline())
		select {
		case <-o.mail.wake:
			o.open()
		case <-timer.C:
			o.tick()
		case <-ctx.Done():
			o.step(Lost{})
		}
	}
	// Whatever is under way is cut off and waited for.
	cancel()
	for _, s := range o.sessions {
		s.Abort()
	}
	o.work.Wait()
	for o.open(); len(o.sessions) > 0; o.open() {
		<-o.mail.wake
	}
	o.freeSlots()
	o.report.close()
}

// open goes through the mail.
func (o *Owner) open() {
	mail := o.mail.take()
	for i, ev := range mail {
		mail[i] = nil // a record that is kept would pin its whole fetch
		o.take(ev)
	}
}

// take puts one event into the machine's terms.
func (o *Owner) take(ev Event) {
	crashOn(ev)
	switch ev := ev.(type) {
	case fetch:
		o.fetched(ev)
	case giveUp:
		if o.drainBy == 0 { // else it drains already: two callers may give it up
			o.drainBy = max(o.now()+ev.within, 1) // 0 is: not given up
		}
		o.step(Release{})
	case told:
		err := o.machine.unfit(ev.answer)
		ev.reply <- err
		if err == nil {
			o.step(Resume{ev.answer})
		}
	case answer:
		if _, letter := ev.ev.(DeadLettered); !letter {
			o.outstanding--
		}
		o.claims -= ev.claim
		o.slots += ev.slots
		o.step(ev.ev)
		if o.outstanding == 0 || o.claims > 0 {
			o.freeSlots() // or a later request would wait for the slot that its own owner holds
		}
	case Ended:
		o.sessions[ev.Session].over()
		delete(o.sessions, ev.Session)
		o.step(ev)
	default:
		o.step(ev)
	}
}

func (o *Owner) fetched(f fetch) {
	o.scratch = o.scratch[:0]
	for _, r := range f.recs {
		o.scratch = append(o.scratch, mapping.FromKafka(r))
	}
	o.held += f.cost // until here it was counted by whoever brought it
	o.step(Fetched{Cut: f.cut, Records: o.scratch})
	clear(o.scratch)
}

// freeSlots: an acquisition that waits, or has come to its end, leaves its
// place to another partition.
func (o *Owner) freeSlots() {
	for ; o.slots > 0; o.slots-- {
		<-o.opt.Slots
	}
}

func (o *Owner) tick() {
	if o.drainBy > 0 && o.now() >= o.drainBy {
		o.step(Lost{})
		return
	}
	if o.paceAt > 0 && o.now() >= o.paceAt {
		o.paceAt = 0
		o.step(Paced{})
	}
	o.step(Tick{})
}

func (o *Owner) now() time.Duration { return time.Since(o.start) }

func (o *Owner) untilDeadline() time.Duration {
	next := time.Hour
	at, ok := o.machine.Deadline()
	if ok {
		next = min(next, at-o.now())
	}
	for _, at := range []time.Duration{o.paceAt, o.drainBy} {
		if at > 0 {
			next = min(next, at-o.now())
		}
	}
	return max(next, 0)
}

func (o *Owner) step(ev Event) {
	if o.finished {
		return
	}
	now := o.now()
	o.report.event(now, ev)
	paced := o.carryOut(now, o.machine.Step(now, ev))
	for paced && !o.finished {
		paced = o.carryOut(now, o.machine.Step(now, Paced{}))
	}
	if held := o.machine.Held(); held != o.held {
		o.partition.Held(held - o.held)
		o.held = held
	}
	status := o.machine.Status()
	o.mu.Lock()
	o.status = status
	o.mu.Unlock()
	o.report.status(now, status)
	crashDraining(o)
}

// carryOut does what the machine says, in order. True: an append was permitted
// at once.
func (o *Owner) carryOut(now time.Duration, actions []Action) (paced bool) {
	for _, a := range actions {
		crashBefore(a)
		switch a := a.(type) {
		case Send:
			o.report.sent(now)
			o.sessions[a.Session].Send(a.Batch, a.Seq, a.Token)
		case Open:
			o.sessions[a.Session] = &running{Session: o.openSession(a.Session)}
		case Finish:
			o.sessions[a.Session].finish(o.opt.AckTimeout)
		case Abort:
			o.report.aborted()
			if s := o.sessions[a.Session]; s != nil {
				s.Abort()
			}
			if a.Suspect {
				o.stream.Suspect()
			}
		case Pace:
			if wait := o.opt.Reserve(); wait > 0 {
				o.paceAt = now + wait
			} else {
				paced = true
			}
		case Seek:
			o.partition.Seek(a.Cut, a.Offset, a.Epoch)
		case Pause:
			o.partition.Pause()
		case Commit:
			o.partition.Mark(a.Mark, a.Explicit)
		case Done:
			o.finished = true
		default:
			o.request(a)
		}
		crashAfter(a)
	}
	return paced
}

func (o *Owner) openSession(id uint64) Session {
	return o.stream.Open(o.ctx, SessionEvents{
		Acked:   func(start, end uint64) { o.mail.put(Acked{id, start, end}) },
		Advised: func() { o.mail.put(Advised{id}) },
		Ended:   func(err error) { o.mail.put(Ended{id, err}) },
	})
}

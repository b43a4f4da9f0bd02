package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/handoff"
)

// StartOwner begins to own a partition.
type StartOwner func(handoff.Assignment, handoff.Partition) (*handoff.Owner, error)

// Source consumes as one member of the group.
type Source struct {
	cfg     Config
	log     *slog.Logger
	start   StartOwner
	metrics *Metrics
	client  *kgo.Client
	commits context.Context // carries the metadata hook; the client lives no longer
	end     context.CancelFunc
	ready   chan struct{} // closed when client is set: callbacks may come earlier
	later   *time.Timer   // wakes the poll loop for what could not be applied at once
	every   time.Duration // between two looks of the watch
	due     chan struct{} // one token: there is something in urgent
	soon    chan struct{} // one token: the watch is to look now
	letters letters

	mu         sync.Mutex
	parts      map[key]*partition
	changed    []*partition // owners asked for something
	urgent     []*partition // marks that are not left to the client's timer
	held       int          // bytes of all partitions between fetch and ack
	overfull   bool
	wake       context.CancelFunc // ends the poll under way
	woken      bool
	health     health
	work       sync.WaitGroup // what goes on in the background, until ending
	ending     bool
	firstIDs   map[string][16]byte // ids that topics had when they were first seen
	past       map[key]past        // partitions that were given up
	anew       map[key]bool        // partitions that begin as new ones, whatever their commits say
	answers    map[key]given       // for owners that begin
	looks      int                 // of the watch
	readmitted map[string]int      // by topic, the look after which it was subscribed to anew
}

// New joins the group; Run must follow. Start gives an owner whose context
// outlives that of Run: owners drain when Run ends.
func New(ctx context.Context, cfg Config, metrics *Metrics, start StartOwner) (*Source, error) {
	s := &Source{
		cfg: cfg, log: cfg.Logger, start: start, metrics: metrics,
		parts: map[key]*partition{}, health: newHealth(), ready: make(chan struct{}),
		every: watchEvery, due: make(chan struct{}, 1), soon: make(chan struct{}, 1),
		firstIDs: map[string][16]byte{}, past: map[key]past{}, anew: map[key]bool{}, answers: map[key]given{}, readmitted: map[string]int{},
	}
	opts, err := cfg.connectionOptions()
	if err != nil {
		return nil, err
	}
	alive, end := context.WithCancel(context.WithoutCancel(ctx)) // the last commit comes when ctx has ended
	s.commits, s.end = s.commitContext(alive), end
	opts = append(append(opts, cfg.groupOptions()...),
		kgo.WithContext(s.commits), // the client's own commits use it
		kgo.AutoCommitCallback(s.committed),
		kgo.OnPartitionsAssigned(s.assigned),
		kgo.OnPartitionsRevoked(s.revoked),
		kgo.OnPartitionsLost(s.lost),
		kgo.OnOffsetsFetched(s.offsetsFetched),
		kgo.AdjustFetchOffsetsFn(s.adjust),
	)
	if s.client, err = kgo.NewClient(opts...); err != nil {
		end()
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	s.later = time.AfterFunc(time.Hour, s.nudge)
	metrics.watch(s)
	close(s.ready)
	return s, nil
}

// applyEvery bounds how often positions are set anew: each time costs the
// client everything that it has fetched ahead.
const applyEvery = 50 * time.Millisecond

// Run polls until the context ends, then lets the owners drain, commits and
// leaves the group.
func (s *Source) Run(ctx context.Context) {
	var watching sync.WaitGroup
	watching.Go(func() { s.watch(ctx) })
	var saving sync.WaitGroup
	closed := make(chan struct{})
	saving.Go(func() { s.saveUrgent(closed) })
	var lastApply time.Time
	for ctx.Err() == nil {
		poll, cancel := context.WithCancel(ctx)
		s.mu.Lock()
		s.wake = cancel
		if s.woken {
			s.woken = false
			cancel()
		}
		s.mu.Unlock()
		fetches := s.client.PollFetches(poll)
		cancel()
		if fetches.IsClientClosed() {
			break
		}
		s.deliver(fetches)
		// Between a poll and AllowRebalance nothing is revoked: what owners
		// asked for is applied to partitions that are still theirs.
		if wait := applyEvery - time.Since(lastApply); s.apply(wait <= 0) {
			lastApply = time.Now()
		}
		s.client.AllowRebalance()
	}
	watching.Wait()
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	s.leave()
	s.work.Wait()
	close(closed)
	saving.Wait()
	s.letters.close()
	s.later.Stop()
}

// leaveTimeout is how long the group may take to let us go.
const leaveTimeout = 3 * time.Second

// leave drains, and closes the client. A client that is joining lets go of nothing,
// and does not leave, before the group has answered: that lasts as long as its
// slowest member takes, or the session of a dead one. So the owners do not wait for
// the client's callbacks, and the client has a limit; it is then a member that went
// silent, and its commit is a little old.
func (s *Source) leave() {
	s.mu.Lock()
	all := map[string][]int32{}
	for k := range s.parts {
		all = add(all, k)
	}
	s.mu.Unlock()
	owners := s.released(all)
	for _, o := range owners {
		<-o.Done()
	}
	timer := time.AfterFunc(leaveTimeout, s.end)
	s.client.CloseAllowingRebalance() // runs revoked for all that is assigned, which commits
	timer.Stop()
	s.end()
}

// wakeLocked ends the poll under way, so that what owners asked for is applied
// now and not when the next record comes.
func (s *Source) wakeLocked() {
	s.woken = true
	if s.wake != nil {
		s.wake()
	}
}

func (s *Source) touch(p *partition) {
	if !p.queued {
		p.queued = true
		s.changed = append(s.changed, p)
	}
}

func (s *Source) deliver(fetches kgo.Fetches) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.woken = false
	for _, fetch := range fetches {
		for j := range fetch.Topics {
			t := &fetch.Topics[j]
			for k := range t.Partitions {
				s.deliverTo(s.parts[key{t.Topic, t.Partitions[k].Partition}], t, &t.Partitions[k])
			}
		}
	}
}

// deliverTo takes what the client has for one partition; nil: it is not ours.
func (s *Source) deliverTo(p *partition, t *kgo.FetchTopic, f *kgo.FetchPartition) {
	if p != nil && differ(t.TopicID, p.id.TopicID) {
		s.stray(p)
		return
	}
	if f.Err != nil {
		s.fetchError(p, t.Topic, f)
	}
	if p != nil {
		p.deliver(f)
	}
}

// fetchError takes what the client reports in the place of records; Source.mu
// is held. Errors of a position are the owner's to judge; the client repeats
// them thousands of times a second, so the partition is paused until then.
func (s *Source) fetchError(p *partition, topic string, f *kgo.FetchPartition) {
	var loss *kgo.ErrDataLoss
	var session *kgo.ErrGroupSession
	switch {
	case errors.Is(f.Err, context.Canceled), errors.Is(f.Err, context.DeadlineExceeded):
		// we ended the poll ourselves
	case errors.As(f.Err, &session):
		s.health.group = fmt.Sprintf("not a member of group %s: %v", s.cfg.Group, session.Err)
		s.log.Warn("no membership in the group; the client tries again", "group", s.cfg.Group, "error", session.Err)
	case p == nil && kerr.IsRetriable(f.Err):
		// a topic that is waited for, a partition that just went
	case p == nil:
		s.log.Warn("fetch error", "topic", topic, "partition", f.Partition, "error", f.Err)
	case p.owner == nil && !p.adjusted:
		// The group would not tell its commit: the client leaves the partition
		// out until it is assigned anew. The watch sees to that (readmit).
		s.log.Error("the group's offset cannot be fetched: the partition is not read; asking again", "topic", topic, "partition", f.Partition, "error", f.Err)
		s.health.fetch[p.key] = f.Err.Error()
		p.leftOut = true
	case p.owner == nil || p.seek != nil || p.stopped || p.gone || p.astray:
		s.touch(p) // it is about to be paused, or to read from elsewhere
	case errors.Is(f.Err, kerr.OffsetOutOfRange):
		s.halt(p)
		p.owner.Trouble(handoff.Trouble{Cut: p.cut, Kind: handoff.OutOfRange, Offset: -1, Detail: "Kafka does not have the offset that is next to read"})
	case errors.As(f.Err, &loss):
		s.halt(p)
		p.owner.Trouble(handoff.Trouble{Cut: p.cut, Kind: handoff.DataLoss, Offset: loss.ResetTo,
			Detail: fmt.Sprintf("Kafka's log was cut back: the client had read up to offset %d and was reset to %d", loss.ConsumedTo, loss.ResetTo)})
	case kerr.IsRetriable(f.Err) && p.rested < 8:
		// A leader moves, a topic is new.
		s.rest(p)
	default:
		// Unknown topic id, authorization, corrupt batches: whether it passes
		// shows when the watch looks at the partition again.
		why := f.Err
		if bomb := (*kgo.ErrDecompressTooLarge)(nil); errors.As(f.Err, &bomb) {
			// Such a batch stays as it is; the client gives the partition up.
			p.hopeless = true
			why = fmt.Errorf("the compressed batch at offset %d unpacks to more than %d MiB, which is memory.budget or twice kafka.max_record_bytes: "+
				"nothing is skipped; raise memory.budget and restart the bridge", bomb.Offset, s.cfg.unpacked()>>20)
		}
		if !p.failing {
			s.log.Warn("fetch error; the partition waits", "topic", topic, "partition", f.Partition, "error", why)
		}
		p.failing = true
		s.health.fetch[p.key] = why.Error()
		s.touch(p)
	}
}

// restEvery is how long a partition is left alone after an error that should
// pass by itself: the client alone would repeat it thousands of times a second.
const restEvery = 250 * time.Millisecond

func (s *Source) rest(p *partition) {
	if p.resting {
		return
	}
	p.resting = true
	p.rested++
	s.touch(p)
	time.AfterFunc(restEvery, func() { p.change(func() { p.resting = false }) })
}

// halt pauses a partition until its owner seeks.
func (s *Source) halt(p *partition) {
	p.stopped = true
	s.touch(p)
}

// apply tells the client what owners and budget want: positions in one batch,
// and pauses. It says whether positions were set. Nothing is revoked or assigned
// meanwhile. Source.mu is not held while the client is told: to move, it waits
// until what it asks of Kafka has ended, which a mute broker delays for as long
// as its time-outs, and owners, status and metrics must not wait for that.
func (s *Source) apply(seekNow bool) (sought bool) {
	s.mu.Lock()
	changed := s.changed
	s.changed = nil
	seeks := map[*partition]seek{}
	for _, p := range changed {
		p.queued = false
		if s.parts[p.key] != p || p.seek == nil {
			continue
		}
		if seekNow {
			seeks[p] = *p.seek
		} else {
			s.touch(p)
			s.later.Reset(applyEvery)
		}
	}
	s.mu.Unlock()
	if len(seeks) > 0 {
		s.setPositions(seeks)
	}
	var pause, resume map[string][]int32
	s.mu.Lock()
	for _, p := range changed {
		if s.parts[p.key] != p {
			continue
		}
		want := p.owner == nil || p.stopped || p.gone || p.astray || p.failing || p.resting || p.full || s.overfull || p.seek != nil
		switch {
		case want && !p.paused:
			pause = add(pause, p.key)
		case !want && p.paused:
			resume = add(resume, p.key)
		}
		p.paused = want
	}
	s.mu.Unlock()
	if pause != nil {
		s.client.PauseFetchPartitions(pause)
	}
	if resume != nil {
		s.client.ResumeFetchPartitions(resume)
	}
	return len(seeks) > 0
}

// nudge wakes the poll loop for what could not be applied at once.
func (s *Source) nudge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeLocked()
}

// setPositions moves the client. It takes an offset that it believes to stand
// at for no change, although it may have moved by itself after data loss: so
// each position is set by way of another one. Partitions that it does not know
// yet are skipped in silence: they are tried again.
func (s *Source) setPositions(seeks map[*partition]seek) {
	var aside, there map[string]map[int32]kgo.EpochOffset
	for p, to := range seeks {
		aside = put(aside, p.key, kgo.EpochOffset{Epoch: to.epoch, Offset: to.offset + 1})
		there = put(there, p.key, kgo.EpochOffset{Epoch: to.epoch, Offset: to.offset})
	}
	s.client.SetOffsets(aside)
	s.client.SetOffsets(there)
	now := s.client.CommittedOffsets()
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, to := range seeks {
		if p.seek == nil || *p.seek != to {
			continue // the owner wants something else by now, and has said so
		}
		if got, ok := now[p.key.topic][p.key.partition]; !ok || got.Offset != to.offset {
			s.touch(p)
			s.later.Reset(applyEvery)
			continue
		}
		p.cut, p.seek, p.stopped, p.failing, p.hopeless = to.cut, nil, false, false, false
		p.sought, p.rested = &to, 0
		p.top = kgo.EpochOffset{Epoch: to.epoch, Offset: to.offset}
		if p.gone && !p.leaving { // it was told to look again, and there is nothing to read
			s.holdRecreated(p, p.strange)
		}
		delete(s.health.fetch, p.key)
	}
}

func add(m map[string][]int32, k key) map[string][]int32 {
	if m == nil {
		m = map[string][]int32{}
	}
	m[k.topic] = append(m[k.topic], k.partition)
	return m
}

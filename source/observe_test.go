package source

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
	"kafka-s2-bridge/tests/s2mem"
)

func ownerOptions(cfg Config, slots chan struct{}, metrics *handoff.Metrics) handoff.Options {
	return handoff.Options{
		Config: handoff.Config{
			Group: cfg.Group, Bridge: "test", MaxInflightBytes: 5 << 20, MaxInflightBatches: 8,
			Linger: 2 * time.Millisecond, AckTimeout: time.Minute, IdleClose: time.Minute, SessionTimeout: cfg.SessionTimeout,
			BackoffMin: 5 * time.Millisecond, BackoffMax: 100 * time.Millisecond, Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		},
		Slots: slots, Metrics: metrics, Logger: cfg.Logger,
	}
}

// logBook keeps what a member logged, and the assignments that it saw.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
	got  []handoff.Assignment
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBook) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: level}))
}

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBook) count(line string) int { return strings.Count(b.String(), line) }

func (b *logBook) assigned(a handoff.Assignment) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, a)
}

// assignments lists what owners were started with, for one partition.
func (b *logBook) assignments(topic string, partition int32) (list []handoff.Assignment) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.got {
		if a.Identity.Topic == topic && a.Identity.Partition == partition {
			list = append(list, a)
		}
	}
	return list
}

// sentCommit is one partition of an OffsetCommit as it reached the cluster.
type sentCommit struct {
	key    key
	id     [16]byte
	offset int64
	epoch  int32
	meta   *string
	member string
	next   uint64 // S2's tail at that instant
}

// commitLog sees every commit at the instant when Kafka gets it, beside what S2
// has acknowledged by then.
type commitLog struct {
	w     *world
	mu    sync.Mutex
	names map[[16]byte]string
	tail  map[string]uint64
	list  []sentCommit
	// Metadata of the commits that an operator's answer has made: they may fall.
	lowered map[string]bool
}

func newCommitLog(w *world) *commitLog {
	l := &commitLog{w: w, names: map[[16]byte]string{}, tail: map[string]uint64{}, lowered: map[string]bool{}}
	w.s2.OnAppend(func(a s2mem.Append) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.tail[a.Stream] = a.First + uint64(a.Count)
	})
	return l
}

// watch begins to observe the world's cluster.
func (l *commitLog) watch() {
	l.w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Count: -1, Observe: true, When: func(r kmsg.Request) bool {
		l.see(r.(*kmsg.OffsetCommitRequest))
		return false
	}})
}

func (l *commitLog) see(req *kmsg.OffsetCommitRequest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range req.Topics {
		if len(t.Partitions) == 0 {
			l.w.t.Errorf("a commit names topic %q without a partition", t.Topic)
		}
		for _, p := range t.Partitions {
			name := t.Topic
			if name == "" {
				name = l.names[t.TopicID]
			}
			c := sentCommit{key: key{name, p.Partition}, id: t.TopicID, offset: p.Offset, epoch: p.LeaderEpoch, member: req.MemberID}
			if p.Metadata != nil {
				meta := *p.Metadata
				c.meta = &meta
			}
			c.next = l.tail[l.w.streamOf(name, t.TopicID, p.Partition)]
			l.list = append(l.list, c)
		}
	}
}

// name tells whose id it is: newer requests have no names.
func (l *commitLog) name(id [16]byte, topic string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names[id] = topic
}

// forget begins anew: what was committed counts a stream that has changed since.
func (l *commitLog) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = nil
}

// of lists the commits of a partition.
func (l *commitLog) of(topic string, partition int32) (list []sentCommit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.list {
		if c.key == (key{topic, partition}) && c.member != "" {
			list = append(list, c)
		}
	}
	return list
}

// check holds every commit of a member to the promise: it carries our metadata,
// counts only what S2 had acknowledged then, and never falls.
func (l *commitLog) check() {
	l.mu.Lock()
	defer l.mu.Unlock()
	type log struct {
		key key
		id  [16]byte // a topic that was created anew begins anew
	}
	last := map[log]sentCommit{}
	for _, c := range l.list {
		if c.member == "" {
			continue // made by the test
		}
		where := log{c.key, c.id}
		if c.meta == nil {
			l.w.t.Errorf("commit %v has no metadata", c)
			continue
		}
		meta, ok := offsets.ParseMeta(*c.meta)
		if !ok {
			l.w.t.Errorf("commit of %v at %d: metadata %q is not ours", c.key, c.offset, *c.meta)
			continue
		}
		if meta.Next > c.next {
			l.w.t.Errorf("commit of %v at %d counts sequence numbers below %d, but S2 had acknowledged those below %d", c.key, c.offset, meta.Next, c.next)
		}
		if through, ok := l.through(c, meta.Next); ok && through != meta.Last {
			l.w.t.Errorf("commit of %v at %d counts offset %d, but below sequence number %d the stream is complete up to %d", c.key, c.offset, meta.Last, meta.Next, through)
		}
		if c.offset <= meta.Last {
			l.w.t.Errorf("commit of %v at %d is not behind the record %d that it counts", c.key, c.offset, meta.Last)
		}
		if before, ok := last[where]; ok && c.offset < before.offset && !l.lowered[*c.meta] {
			l.w.t.Errorf("commit of %v falls from %d to %d", c.key, before.offset, c.offset)
		}
		last[where] = c
	}
}

// through is what the record before a sequence number says of the position.
func (l *commitLog) through(c sentCommit, next uint64) (offset int64, ok bool) {
	for _, r := range l.w.s2.Records(l.w.streamOf(c.key.topic, c.id, c.key.partition)) {
		if r.Seq+1 == next {
			return mapping.Classify(stored(r)).Through()
		}
	}
	return 0, false
}

// committed is what the group has for a partition; nil: nothing.
func (w *world) committed(topic string, partition int32) *kfake.GroupCommit {
	info := w.kafka.GroupInfo(group)
	if info == nil {
		return nil
	}
	if c, ok := info.Commits[topic][partition]; ok {
		return &c
	}
	return nil
}

// wantCommitted waits until the group's commit stands at an offset.
func (w *world) wantCommitted(topic string, partition int32, offset int64) offsets.Meta {
	w.t.Helper()
	w.until("the commit of "+streamOf(topic, partition), func() bool {
		c := w.committed(topic, partition)
		return c != nil && c.Offset == offset
	})
	meta, ok := offsets.ParseMeta(w.committed(topic, partition).Metadata)
	if !ok {
		w.t.Fatalf("metadata %q is not ours", w.committed(topic, partition).Metadata)
	}
	return meta
}

// requests counts the requests of a kind that reach the cluster from now on.
func (w *world) requests(k kmsg.Key) *kfake.FaultHandle {
	return w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{k}, Count: -1, Observe: true})
}

func contains(list []string, part string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, part) })
}

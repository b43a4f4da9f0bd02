package source

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sort"
	"time"

	"kafka-s2-bridge/handoff"
)

// watchEvery is how often Kafka is asked for what the fetches do not tell: ends
// of partitions that stand still, topics that are missing.
const watchEvery = 4 * time.Second

// lookTimeout bounds one look: with watchEvery less than the 10 s within which
// /readyz has to say what is wrong.
const lookTimeout = 4 * time.Second

// health is what stands against being ready; Source.mu guards it.
type health struct {
	kafka   string         // the last look at the cluster failed
	group   string         // no membership
	fetch   map[key]string // partitions that cannot be fetched
	missing []string       // topics named exactly that do not exist
}

// notAnswered stands until the first look.
const notAnswered = "Kafka has not answered yet"

func newHealth() health {
	return health{kafka: notAnswered, fetch: map[key]string{}}
}

func (s *Source) watch(ctx context.Context) {
	ticker := time.NewTicker(s.every)
	defer ticker.Stop()
	for {
		s.look(ctx)
		// kgo may lose the start of a broker's fetches when its positions are set
		// twice in a row (a session that ends before its loop has counted itself
		// in leaves the loop unstarted): resuming nobody starts what stands still.
		s.client.ResumeFetchPartitions(nil)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.soon:
		}
	}
}

// lookSoon has the watch look now and not at its next time.
func (s *Source) lookSoon() {
	select {
	case s.soon <- struct{}{}:
	default:
	}
}

// sight is what one look has learnt of the cluster.
type sight struct {
	ends      ends
	endsErr   error
	topics    map[string]*topicInfo
	unknown   map[string]bool
	topicsErr error
	related   siblings // of partitions that could not be begun
	readable  []string // topics whose commits the group would not tell before
}

// look asks Kafka, and then takes what it has learnt, so that nobody waits for
// Kafka with the lock. The ends come first: those of a topic that has still its
// id afterwards are that topic's.
func (s *Source) look(parent context.Context) {
	ctx, cancel := context.WithTimeout(parent, lookTimeout)
	defer cancel()
	s.settleDoubts(parent)
	var v sight
	assigned := s.topics()
	v.ends, v.endsErr = s.listEnds(ctx, assigned)
	v.topics, v.unknown, v.topicsErr = s.topicInfos(ctx, s.watched(assigned))
	if v.topicsErr == nil {
		v.related = s.askSiblings(ctx, s.waiting(), v.topics)
		v.readable = s.askLeftOut(ctx, v.topics)
	}
	if parent.Err() == nil {
		s.blame(ctx, s.take(v))
	}
}

// take goes through what a look has learnt. It gives the partitions that stand
// behind an open transaction for which nobody was asked yet.
func (s *Source) take(v sight) (blocked []*partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repeatCommits()
	s.noteAnswer(telling(v.endsErr, v.topicsErr))
	if v.topicsErr != nil {
		return nil
	}
	s.noteMissing(v.unknown)
	for name, t := range v.topics {
		s.knowID(name, t.id)
	}
	_, generation := s.client.GroupMetadata()
	for _, p := range s.parts {
		s.revisit(p, v, generation)
	}
	for _, topic := range v.readable {
		s.resubscribe(topic)
	}
	if v.endsErr != nil {
		return nil
	}
	for k, p := range s.parts {
		if t := v.topics[k.topic]; t == nil || p.owner == nil || p.gone || differ(t.id, p.id.TopicID) {
			continue
		}
		if end, ok := v.ends[k]; ok {
			p.seen(end.lastStable, end.high)
			if s.standsStill(p) {
				blocked = append(blocked, p)
			}
		}
	}
	return blocked
}

// telling is the error that says most: that time ran out says least.
func telling(errs ...error) (err error) {
	for _, e := range errs {
		if err == nil || (e != nil && errors.Is(err, context.DeadlineExceeded)) {
			err = e
		}
	}
	return err
}

func (s *Source) noteAnswer(err error) {
	if err != nil {
		err = s.cfg.explain(err)
		if s.health.kafka == "" || s.health.kafka == notAnswered {
			s.log.Warn("no answer from Kafka; trying again", "error", err)
		}
		s.health.kafka = err.Error()
		return
	}
	if s.health.kafka != "" && s.health.kafka != notAnswered {
		s.log.Info("Kafka answers again")
	}
	s.health.kafka = ""
}

// noteMissing notes which of the topics that are named exactly do not exist.
func (s *Source) noteMissing(unknown map[string]bool) {
	var missing []string
	for _, name := range s.cfg.Topics {
		if unknown[name] {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	if !slices.Equal(missing, s.health.missing) {
		for _, name := range missing {
			s.log.Warn("topic does not exist; it is waited for", "topic", name)
		}
	}
	s.health.missing = missing
}

// waiting are the partitions that could not be begun.
func (s *Source) waiting() (parts []*partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		if p.waits() {
			parts = append(parts, p)
		}
	}
	return parts
}

func (p *partition) waits() bool { return p.owner == nil && p.adjusted && !p.refused && !p.leaving }

// revisit looks at a partition: what could not be begun is begun, what could not
// be fetched is tried again, unless its topic is another one by now.
func (s *Source) revisit(p *partition, v sight, generation int32) {
	t := v.topics[p.key.topic]
	if p.waits() {
		from := s.begin(p, t, v.related, generation)
		p.stopped = from == nil // until the owner seeks
		if from != nil {
			p.seek = &seek{0, from.Offset, from.Epoch}
		}
		s.touch(p)
		s.wakeLocked()
		return
	}
	s.compareIDs(p, t)
	s.deliverAnswer(p)
	switch {
	case p.owner == nil || p.hopeless || p.gone || p.astray:
	case p.failing:
		p.failing = false // the next error pauses it again
		s.touch(p)
		s.wakeLocked()
	default:
		delete(s.health.fetch, p.key) // a whole round without an error
	}
}

// askLeftOut looks whether the group tells by now what it would not tell when
// the partitions of some topics were assigned: then those topics are subscribed
// to anew, for the client has left such partitions out. That is a rebalance, so
// it is not done for a topic time after time.
func (s *Source) askLeftOut(ctx context.Context, topics map[string]*topicInfo) (readable []string) {
	s.mu.Lock()
	s.looks++
	wanted := map[string]*topicInfo{}
	for k, p := range s.parts {
		last, before := s.readmitted[k.topic]
		if t := topics[k.topic]; p.leftOut && !p.leaving && t != nil && (!before || s.looks-last > 15) {
			wanted[k.topic] = t
		}
	}
	s.mu.Unlock()
	if len(wanted) == 0 {
		return nil
	}
	answer, err := s.fetchSiblings(ctx, wanted)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic := range wanted {
		if answer.failed[topic] == nil {
			readable = append(readable, topic)
			s.readmitted[topic] = s.looks
		}
	}
	return readable
}

func (s *Source) topics() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	for k := range s.parts {
		if !seen[k.topic] {
			seen[k.topic] = true
			names = append(names, k.topic)
		}
	}
	return names
}

// watched adds the topics that are named exactly.
func (s *Source) watched(assigned []string) iter.Seq[string] {
	set := map[string]bool{}
	for _, list := range [][]string{assigned, s.cfg.Topics} {
		for _, name := range list {
			set[name] = true
		}
	}
	return maps.Keys(set)
}

// Ready says whether everything flows that could, and if not, why. Partitions that
// are held are not among the reasons: they wait for somebody, and Status lists them.
func (s *Source) Ready() (ok bool, reasons []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range []string{s.health.kafka, s.health.group} {
		if r != "" {
			reasons = append(reasons, r)
		}
	}
	for _, name := range s.health.missing {
		reasons = append(reasons, fmt.Sprintf("topic %s does not exist; it is waited for", name))
	}
	for k, why := range s.health.fetch {
		reasons = append(reasons, fmt.Sprintf("%s/%d cannot be fetched: %s", k.topic, k.partition, why))
	}
	for _, p := range s.status() {
		if p.Trouble != "" && p.Hold.Reason == "" {
			reasons = append(reasons, fmt.Sprintf("%s/%d is not writing: %s", p.Topic, p.Partition, p.Trouble))
		}
	}
	return len(reasons) == 0, reasons
}

// PartitionStatus is a snapshot of one assigned partition.
type PartitionStatus struct {
	Topic     string
	Partition int32
	handoff.Status
	LastStable    int64  // Kafka's last stable offset; -1 unknown
	HighWatermark int64  // the end of Kafka's log; -1 unknown
	Lag           int64  // offsets between the position and the end of what is copied; -1 unknown
	Blocked       string // a sentence, where an open transaction holds the last stable offset
	HeldBytes     int    // memory between fetch and ack
}

// Status lists the assigned partitions, by topic and number.
func (s *Source) Status() []PartitionStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status()
}

func (s *Source) status() []PartitionStatus {
	list := make([]PartitionStatus, 0, len(s.parts))
	for k, p := range s.parts {
		if p.owner == nil {
			continue
		}
		st := PartitionStatus{
			Topic: k.topic, Partition: k.partition, Status: p.owner.Status(), LastStable: p.lso, HighWatermark: p.hw,
			Lag: -1, Blocked: p.blocked(), HeldBytes: p.held,
		}
		if end := s.visible(p); st.Position >= 0 && end >= 0 {
			st.Lag = max(end-st.Position, 0)
		}
		list = append(list, st)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		return a.Topic < b.Topic || (a.Topic == b.Topic && a.Partition < b.Partition)
	})
	return list
}

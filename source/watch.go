package source

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

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
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (s *Source) look(parent context.Context) {
	ctx, cancel := context.WithTimeout(parent, lookTimeout)
	defer cancel()
	admin := kadm.NewClient(s.client)
	topics := s.topics()
	err := s.lookForMissing(ctx, admin)
	if err == nil {
		err = s.revisit(ctx)
	}
	var ends kadm.ListedOffsets
	if err == nil && len(topics) > 0 {
		if ends, err = admin.ListCommittedOffsets(ctx, topics...); errors.Is(err, kerr.UnknownTopicOrPartition) {
			err = nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if parent.Err() != nil {
		return
	}
	s.repeatCommits()
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
	ends.Each(func(o kadm.ListedOffset) {
		if p := s.parts[key{o.Topic, o.Partition}]; p != nil && o.Err == nil {
			p.lso = max(o.Offset, 0)
		}
	})
}

// revisit looks at partitions that could not be fetched: a topic that was
// created anew is their owners' matter, everything else is tried again. What
// could not be begun, because Kafka did not describe its topic, is begun.
func (s *Source) revisit(ctx context.Context) error {
	s.mu.Lock()
	waiting := map[string][]*partition{}
	for _, p := range s.parts {
		if p.hopeless {
			continue
		}
		if p.failing || (p.owner == nil && p.adjusted && !p.refused) {
			waiting[p.key.topic] = append(waiting[p.key.topic], p)
		} else if p.owner != nil {
			delete(s.health.fetch, p.key) // a whole round without an error
		}
	}
	s.mu.Unlock()
	if len(waiting) == 0 {
		return nil
	}
	infos, err := s.topicInfos(ctx, maps.Keys(waiting))
	if err != nil {
		return err
	}
	_, generation := s.client.GroupMetadata()
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, parts := range waiting {
		for _, p := range parts {
			if s.parts[p.key] == p {
				s.tryAgain(p, infos[topic], generation)
			}
		}
	}
	s.wakeLocked()
	return nil
}

func (s *Source) tryAgain(p *partition, t *topicInfo, generation int32) {
	switch {
	case p.owner == nil && (t == nil || p.refused):
		return
	case p.owner == nil:
		delete(s.health.fetch, p.key)
		if c := s.begin(p, t, generation); c != nil {
			p.seek = &seek{0, c.Offset, c.Epoch}
		} else {
			p.stopped = true
		}
		return
	case t != nil && t.id != p.id.TopicID && t.id != [16]byte{} && p.id.TopicID != [16]byte{}:
		s.recreated(p, t.id)
	}
	p.failing = false // the next error pauses it again
	s.touch(p)
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

// lookForMissing looks for the topics that are named exactly.
func (s *Source) lookForMissing(ctx context.Context, admin *kadm.Client) error {
	if len(s.cfg.Topics) == 0 {
		_, err := admin.BrokerMetadata(ctx)
		return err
	}
	listed, err := admin.ListTopics(ctx, s.cfg.Topics...)
	if err != nil {
		return err
	}
	var missing []string
	for _, name := range s.cfg.Topics {
		if t, ok := listed[name]; !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
			missing = append(missing, name)
		}
	}
	sort.Strings(missing)
	s.mu.Lock()
	defer s.mu.Unlock()
	if fmt.Sprint(missing) != fmt.Sprint(s.health.missing) {
		for _, name := range missing {
			s.log.Warn("topic does not exist; it is waited for", "topic", name)
		}
	}
	s.health.missing = missing
	return nil
}

// Ready says whether everything that should flow does, and if not, why.
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
		switch {
		case p.Hold.Reason != "":
			reasons = append(reasons, fmt.Sprintf("%s/%d is held (%s): %s", p.Topic, p.Partition, p.Hold.Reason, p.Hold.Detail))
		case p.Trouble != "":
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
	LastStable int64 // Kafka's last stable offset; -1 unknown
	Lag        int64 // offsets between the position and the last stable offset; -1 unknown
	HeldBytes  int   // memory between fetch and ack
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
		st := PartitionStatus{Topic: k.topic, Partition: k.partition, Status: p.owner.Status(), LastStable: p.lso, Lag: -1, HeldBytes: p.held}
		if st.Position >= 0 && p.lso >= 0 {
			st.Lag = max(p.lso-st.Position, 0)
		}
		list = append(list, st)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		return a.Topic < b.Topic || (a.Topic == b.Topic && a.Partition < b.Partition)
	})
	return list
}

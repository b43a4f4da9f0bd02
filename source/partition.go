package source

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// key names a partition.
type key struct {
	topic     string
	partition int32
}

// partition is one assigned partition: what its owner asked for, and what the
// client was told. All fields are guarded by Source.mu.
type partition struct {
	s     *Source
	key   key
	id    mapping.Identity
	owner *handoff.Owner // nil until the position is known

	member   string         // our id in the group at the assignment
	commit   *fetchedCommit // what the group had committed at the assignment
	adjusted bool           // the client knows where to read
	refused  bool           // no owner can be started, or is to be
	cut      uint64         // of the position that the client reads from
	seek     *seek          // wanted, not applied yet
	sought   *seek          // applied, and nothing has come from there yet
	stopped  bool           // the owner wants nothing fetched
	full     bool           // holds its share of the budget
	paused   bool           // what the client was told
	failing  bool           // the client reports an error of the partition again and again
	hopeless bool           // failing, and it will not pass
	resting  bool           // the client reports an error that passes by itself
	rested   int            // times in a row
	queued   bool           // in Source.changed
	held     int            // bytes between fetch and ack
	marks    []offsets.Mark // the last one is the position; what is committed already is forgotten
	unsaved  bool           // Kafka has not confirmed the last mark
	doubted  bool           // somebody else may have committed a higher one since: we were out of the group
	least    int64          // somebody else has committed this meanwhile: nothing below it is
	urgent   bool           // in Source.urgent
	overdue  int64          // the last mark when the watch looked before, if it was unsaved

	overwrite *offsets.Mark   // is being committed in the place of a higher one
	top       kgo.EpochOffset // the highest mark that the client holds: it takes none below

	lso, hw int64 // last stable offset and high watermark as last seen; -1 unknown
	end     int64 // the highest last stable offset seen of the topic with our id; -1 unknown

	strange [16]byte       // another id that the topic was seen with
	astray  bool           // the client reads a topic with another id
	gone    bool           // the topic with our id is no more, or has to go: nothing is committed
	leaving bool           // the client is about to forget the topic
	told    bool           // it was logged what became of the old topic
	leftOut bool           // the client does not read it: the group would not tell its commit
	answer  handoff.Answer // for the owner, when it holds for the topic's sake
	block   block
}

func newPartition(s *Source, k key) *partition {
	return &partition{s: s, key: k, paused: true, overdue: -1, top: kgo.EpochOffset{Epoch: -1, Offset: -1}, lso: -1, hw: -1, end: -1}
}

type seek struct {
	cut    uint64
	offset int64
	epoch  int32
}

var _ handoff.Partition = (*partition)(nil)

// Seek is carried out by the poll loop between two polls.
func (p *partition) Seek(cut uint64, offset int64, epoch int32) {
	p.change(func() { p.seek = &seek{cut, offset, epoch} })
}

// Pause is carried out by the poll loop between two polls.
func (p *partition) Pause() {
	p.change(func() { p.stopped, p.seek = true, nil })
}

func (p *partition) change(f func()) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	f()
	p.s.touch(p)
	p.s.wakeLocked()
}

// Held keeps the account of the memory budget.
func (p *partition) Held(delta int) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.s.hold(p, delta)
}

// Mark lets the client commit with the next automatic commit; what the client
// would take for committed already is committed at once.
func (p *partition) Mark(mark offsets.Mark, explicit bool) {
	p.s.mark(p, mark, explicit)
}

// EpochEnd asks the leader where an epoch ends in its log, or the one before it
// where it never had that.
func (p *partition) EpochEnd(ctx context.Context, epoch int32) (of int32, end int64, err error) {
	rp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	rp.Partition, rp.CurrentLeaderEpoch, rp.LeaderEpoch = p.key.partition, -1, epoch
	rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
	rt.Topic, rt.Partitions = p.key.topic, []kmsg.OffsetForLeaderEpochRequestTopicPartition{rp}
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.ReplicaID, req.Topics = -1, []kmsg.OffsetForLeaderEpochRequestTopic{rt}
	for _, shard := range p.s.client.RequestSharded(ctx, req) {
		switch {
		case errors.Is(shard.Err, kerr.UnsupportedVersion):
			return 0, 0, errors.ErrUnsupported
		case shard.Err != nil:
			return 0, 0, shard.Err
		}
		for _, t := range shard.Resp.(*kmsg.OffsetForLeaderEpochResponse).Topics {
			for _, r := range t.Partitions {
				if r.EndOffset < 0 {
					p.s.client.ForceMetadataRefresh()
				}
				if another := p.here(); another != nil {
					return 0, 0, another
				}
				return r.LeaderEpoch, r.EndOffset, kerr.ErrorForCode(r.ErrorCode)
			}
		}
	}
	return 0, 0, errors.New("kafka did not answer for the partition")
}

// seen notes the ends of the log.
func (p *partition) seen(lastStable, highWatermark int64) {
	p.lso, p.hw, p.end = lastStable, highWatermark, max(p.end, lastStable)
}

// deliver hands a fetch to the owner.
func (p *partition) deliver(f *kgo.FetchPartition) {
	if f.LastStableOffset >= 0 && (len(f.Records) > 0 || f.Err == nil) {
		p.seen(f.LastStableOffset, f.HighWatermark)
	}
	if len(f.Records) == 0 || p.owner == nil || p.seek != nil || p.stopped || p.gone || p.astray {
		return // of a position that is left: read again from the next one
	}
	if p.sought != nil && f.Records[0].Offset < p.sought.offset {
		// The client was still looking the partition up when it was moved, and
		// began where the assignment had put it.
		p.seek = p.sought
		p.s.touch(p)
		return
	}
	p.sought, p.rested = nil, 0
	delete(p.s.health.fetch, p.key)
	cost := 0
	for _, r := range f.Records {
		cost += len(r.Key) + len(r.Value) + recordCost
		for _, h := range r.Headers {
			cost += len(h.Key) + len(h.Value) + headerCost
		}
	}
	p.s.hold(p, cost)
	p.owner.Fetched(p.cut, cost, f.Records)
}

// What the client allocates for a record and for a header besides their bytes
// (measured: some 330 bytes a record).
const (
	recordCost = 350
	headerCost = 48
)

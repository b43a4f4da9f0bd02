package losses

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"kafka-s2-bridge/tests/losses/history"
	"kafka-s2-bridge/tests/oracle"
)

// expect is what a stream must hold. The zero value: everything that Kafka ever served of the partition, and no gap.
type expect struct {
	id      *oracle.Identity           // whose stream it is; nil: the partition of the topic that has the name now
	start   int64                      // records below are not asked for
	before  int64                      // nor these from here on; 0: no end
	gaps    []gap                      // all gap markers, in order
	planted func(s oracle.Stored) bool // what the test put there
	from    uint64                     // sequence number of the first record that is looked at
	to      uint64                     // and behind the last one; 0: the tail
	shared  bool                       // more groups than ours write it
}

type gap = history.Gap

// lost is the gap [from, to).
func lost(reason string, from, to int64) gap { return gap{From: from, To: to, Reason: reason} }

// exact fails the test unless the stream holds what it must, by the oracle.
func (w *world) exact(topic string, partition int32, stream string, want expect) {
	w.t.Helper()
	var id oracle.Identity
	if want.id != nil {
		id = *want.id
		id.Partition = partition
	} else {
		id = w.identity(topic, partition)
	}
	served, err := w.history.Served(id, want.before)
	if err != nil {
		w.t.Fatal(err)
	}
	section, of := history.Section(w.stored(stream), want.from, want.to), group
	if want.shared {
		of = ""
	}
	report, err := oracle.Check(served, history.All(section), oracle.Expect{Start: want.start, Group: of, AllowGaps: true, Planted: want.planted})
	if err != nil {
		w.t.Fatal(err)
	}
	if !report.OK() || report.Records == 0 {
		w.t.Errorf("%s is not what Kafka served: %s", stream, report)
	}
	if gaps := history.Gaps(section); !slices.Equal(gaps, want.gaps) {
		w.t.Errorf("%s has the gaps %v, want %v", stream, gaps, want.gaps)
	}
}

// stored is what a stream holds, past the network.
func (w *world) stored(stream string) (list []oracle.Stored) {
	for _, r := range w.s2.Records(stream) {
		s := oracle.Stored{Seq: r.Seq, Timestamp: r.Timestamp, Body: r.Body}
		for _, h := range r.Headers {
			s.Headers = append(s.Headers, oracle.StoredHeader{Name: h.Name, Value: h.Value})
		}
		list = append(list, s)
	}
	return list
}

// dump is a stream in words.
func (w *world) dump(stream string) string {
	var b strings.Builder
	for _, s := range w.stored(stream) {
		fmt.Fprintf(&b, "%d ", s.Seq)
		switch it := oracle.Decode(s); it.Kind {
		case oracle.Data:
			fmt.Fprintf(&b, "offset %d epoch %d\n", it.Record.Offset, it.Record.Epoch)
		case oracle.Open:
			fmt.Fprintf(&b, "open, resume %d, epoch %d, id %s\n", it.Open.Resume, it.Open.Epoch, it.Open.TopicID)
		case oracle.Gap:
			fmt.Fprintf(&b, "gap %d to %d, %s\n", it.Gap.From, it.Gap.To, it.Gap.Reason)
		case oracle.Foreign:
			fmt.Fprintf(&b, "foreign: %q, %s\n", s.Body, it.Why)
		case oracle.Fence:
			fmt.Fprintf(&b, "fence %s\n", it.Token)
		default:
			fmt.Fprintf(&b, "kind %d %s\n", it.Kind, it.Why)
		}
	}
	return b.String()
}

// position is where a stream stands: the offset of its last data record or marker; -1: none.
func (w *world) position(stream string) int64 {
	list := w.stored(stream)
	for i := range list {
		switch it := oracle.Decode(list[len(list)-1-i]); it.Kind {
		case oracle.Data:
			return it.Record.Offset
		case oracle.Open:
			return it.Open.Resume - 1
		case oracle.Gap:
			return it.Gap.To - 1
		}
	}
	return -1
}

// reaches waits until a stream stands right before the offset, and the group has committed it.
func (w *world) reaches(topic string, partition int32, stream string, end int64) {
	w.t.Helper()
	await(w.t, patient, func() error {
		if at := w.position(stream); at != end-1 {
			return fmt.Errorf("it stands at %d, want %d", at, end-1)
		}
		return nil
	}, "stream %s", stream)
	w.committed(topic, partition, end)
}

// committed waits until the group has committed an offset.
func (w *world) committed(topic string, partition int32, offset int64) {
	w.t.Helper()
	await(w.t, patient, func() error {
		ctx, cancel := context.WithTimeout(w.t.Context(), patient)
		defer cancel()
		commits, err := w.admin.FetchOffsets(ctx, group)
		if err != nil {
			return err
		}
		if at, ok := commits.Lookup(topic, partition); !ok || at.At != offset {
			return fmt.Errorf("%d is committed, want %d", at.At, offset)
		}
		return nil
	}, "commit of %s/%d", topic, partition)
}

// copied waits until all that Kafka has of these partitions is in their streams, topic/partition.
func (w *world) copied(topic string, partitions ...int32) {
	w.t.Helper()
	for _, p := range partitions {
		w.reaches(topic, p, fmt.Sprintf("%s/%d", topic, p), w.kafka.PartitionInfo(topic, p).HighWatermark)
	}
}

// flow shows that partitions are copied: a few more records of each arrive.
func (w *world) flow(topic string, partitions ...int32) {
	w.t.Helper()
	for _, p := range partitions {
		w.produce(topic, p, 3)
	}
	w.copied(topic, partitions...)
}

// exactAll judges the streams topic/partition of partitions without losses.
func (w *world) exactAll(topic string, partitions ...int32) {
	w.t.Helper()
	for _, p := range partitions {
		w.exact(topic, p, fmt.Sprintf("%s/%d", topic, p), expect{})
	}
}

// show adds a stream to the output of a failed test.
func (w *world) show(stream string) {
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("stream %s:\n%s", stream, w.dump(stream))
		}
	})
}

// firstOffset is the offset of the first data record of a stream.
func (w *world) firstOffset(stream string) int64 {
	for _, s := range w.stored(stream) {
		if it := oracle.Decode(s); it.Kind == oracle.Data {
			return it.Record.Offset
		}
	}
	return -1
}

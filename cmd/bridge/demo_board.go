package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/sink"
	"kafka-s2-bridge/tests/oracle"
)

const (
	pollKafka = 200 * time.Millisecond // how often Kafka is asked where its logs end
	pollS2    = 20 * time.Millisecond  // how often the ends of eight streams are looked at for more
	retryS2   = 300 * time.Millisecond // after a failed read; a stream that does not exist yet is one
)

// board is where those who watch Kafka and the streams write down what they
// see. Safe for concurrent use.
type board struct {
	stir  chan struct{} // holds one token when something changed
	edges bool          // whether the lanes' Made and Seen are counted

	mu       sync.Mutex
	lanes    []lane    // by partition
	asked    time.Time // when the newest numbers of Kafka were asked for
	moved    time.Time // when S2 or the group last came forward
	kafkaErr error     // of the last question; nil: answered
	s2Err    error
}

// lane is one partition and its stream.
type lane struct {
	End       int64 // Kafka's last stable offset
	Start     int64 // Kafka's log start
	Committed int64 // offset that the group has committed; -1: none
	Durable   int64 // offset of the last record in the stream; -1: none
	Records   int   // in the stream
	Backward  int   // of them at or below an offset that was there already
	Fences    int   // take-overs of the stream

	Made, Seen edgeCounts // of the records that Kafka serves, and of those in the stream
}

// Done is the offset below which everything that counts is in S2.
func (l lane) Done() int64 { return max(l.Durable+1, l.Committed, l.Start) }

// Known is where Kafka's log ends at least: what is in S2 was in Kafka, also if
// Kafka was asked before.
func (l lane) Known() int64 { return max(l.End, l.Done()) }

// Lag is how many offsets Kafka is ahead.
func (l lane) Lag() int64 { return max(l.End-l.Done(), 0) }

func newBoard(partitions int32) *board {
	b := &board{stir: make(chan struct{}, 1), lanes: make([]lane, partitions), moved: time.Now()}
	for i := range b.lanes {
		b.lanes[i] = lane{Committed: -1, Durable: -1}
	}
	return b
}

// look is a copy of what is known.
func (b *board) look() []lane {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.lanes)
}

// records is how many are in the streams, as far as they have been read.
func (b *board) records() (n int) {
	for _, l := range b.look() {
		n += l.Records - l.Backward
	}
	return n
}

// caughtUp says that the group has committed everything that Kafka had at a
// moment after since.
func (b *board) caughtUp(since time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kafkaErr != nil || !b.asked.After(since) {
		return false
	}
	for _, l := range b.lanes {
		if l.End > max(l.Committed, l.Start) {
			return false
		}
	}
	return true
}

// still is for how long nothing came forward.
func (b *board) still() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.moved)
}

// trouble is what Kafka or S2 last failed with; "" if they answer.
func (b *board) trouble() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.kafkaErr != nil:
		return fmt.Sprintf("Kafka does not answer: %v", b.kafkaErr)
	case b.s2Err != nil:
		return fmt.Sprintf("S2 does not answer: %v", b.s2Err)
	}
	return ""
}

// write changes the board. change says whether the bridge came forward.
func (b *board) write(change func() (forward bool)) {
	b.mu.Lock()
	if change() {
		b.moved = time.Now()
	}
	b.mu.Unlock()
	select {
	case b.stir <- struct{}{}:
	default: // there is one already
	}
}

// watchKafka asks for ends and commits until ctx ends.
func (b *board) watchKafka(ctx context.Context, s *stage) {
	for {
		asked := time.Now()
		ask, cancel := context.WithTimeout(ctx, 5*time.Second)
		commits, err := oracle.ReadCommits(ask, s.kafka, s.group, s.topic)
		cancel()
		b.write(func() (forward bool) {
			if b.kafkaErr = err; err != nil {
				return false
			}
			b.asked = asked
			behind := false
			for _, c := range commits {
				l := &b.lanes[c.Partition]
				forward = forward || c.Offset > l.Committed
				l.End, l.Start, l.Committed = c.Stable, c.Start, c.Offset
				behind = behind || l.Lag() > 0
			}
			return forward || !behind // with nothing to do, standing still is right
		})
		if !pause(ctx, pollKafka) {
			return
		}
	}
}

// watchStream reads a stream as it grows, until ctx ends.
func (b *board) watchStream(ctx context.Context, client *sink.Client, name string, partition int32) {
	stream, seen := client.Stream(name, sink.StreamSettings{}), &streamTally{}
	poll := pollS2 * time.Duration(1+len(b.lanes)/8) // many streams: the same number of requests
	next := uint64(0)
	for {
		page, err := stream.Read(ctx, next, 1000)
		if len(page) > 0 {
			next = page[len(page)-1].Seq + 1
		}
		var s2 *sink.Error
		if errors.As(err, &s2) && s2.NotFound() {
			err = nil // nobody has created it yet
			page = nil
		}
		if b.edges {
			for i := range page {
				seen.stored(decode(&page[i]))
			}
		}
		b.write(func() bool {
			b.s2Err = err
			for _, stored := range page {
				b.lanes[partition].note(stored)
			}
			b.lanes[partition].Seen = seen.counts
			return len(page) > 0
		})
		wait := time.Duration(0)
		switch {
		case err != nil, s2 != nil:
			wait = retryS2
		case len(page) == 0:
			wait = poll
		}
		if !pause(ctx, wait) {
			return
		}
	}
}

// watchRecords counts what Kafka serves to a read_committed consumer, until ctx
// ends.
func (b *board) watchRecords(ctx context.Context, consumer *kgo.Client) {
	made := make([]edgeTally, len(b.lanes))
	for ctx.Err() == nil {
		fetches := consumer.PollFetches(ctx)
		for r := range fetches.RecordsAll() {
			rec := oracle.FromKafka(r)
			made[r.Partition].add(&rec, len(rec.Value))
		}
		b.write(func() bool {
			for p := range made {
				b.lanes[p].Made = made[p].counts
			}
			return false
		})
	}
}

// note counts one stored record.
func (l *lane) note(stored mapping.Stored) {
	switch e := mapping.Classify(stored); e.Kind {
	case mapping.Fence:
		l.Fences++
	case mapping.Data:
		if c := e.Position.Chunk; c != nil && c.Index != c.Count-1 {
			return // the last chunk completes the record
		}
		l.Records++
		if e.Position.Offset <= l.Durable {
			l.Backward++
			return
		}
		l.Durable = e.Position.Offset
	}
}

// pause waits; false means that ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

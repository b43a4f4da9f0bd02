//go:build real

package real_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/real/bridge"
)

// What tests/fidelity plays on stand-ins, on the real servers: the broker's own markers, cleaner, clock and limits, and S2's own
// commands. It says of each of its cases what Kafka must have done, or the case would show nothing.

// realTails are ways in which a log may end, with the number of records that count.
var realTails = []struct {
	name    string
	write   func(p *partitionWriter)
	visible int
	open    bool
}{
	{"committed", func(p *partitionWriter) { p.plain(5); p.begin(p.records(5)...); p.commit() }, 10, false},
	{"aborted", func(p *partitionWriter) { p.plain(5); p.begin(p.records(5)...); p.abort() }, 5, false},
	{"all aborted", func(p *partitionWriter) { p.begin(p.records(5)...); p.abort() }, 0, false},
	{"many markers", func(p *partitionWriter) {
		for range 8 {
			p.begin(p.records(1)...)
			p.abort()
		}
		p.begin(p.records(1)...)
		p.commit()
		for range 8 {
			p.begin(p.records(1)...)
			p.abort()
		}
	}, 1, false},
	{"plain inside of an aborted one", func(p *partitionWriter) {
		p.begin(p.records(2)...)
		p.plain(3)
		p.f.send(p.tx, p.records(2)...)
		p.abort()
	}, 3, false},
	{"open", func(p *partitionWriter) { p.plain(5); p.begin(p.records(5)...); p.plain(5) }, 5, true},
	{"open from the start", func(p *partitionWriter) { p.begin(p.records(5)...) }, 0, true},
}

// Transactions, timestamps, headers and sizes as Apache Kafka serves them.
func TestFidelity(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	f := newFaithful(ctx, t, "1g", nil)
	f.topic("tails", int32(len(realTails)), nil)
	f.topic("stamped", 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	f.topic("mixed", 1, nil)
	f.topic("hostile", 1, nil)
	f.topic("sizes", 4, map[string]string{"max.message.bytes": fmt.Sprint(70 << 20)})
	b := f.bridge(t, f.bin, t.TempDir(), "one", nil)

	t.Run("transactions", func(t *testing.T) {
		var writers []*partitionWriter
		for i, tail := range realTails {
			p := f.writer("tails", i)
			tail.write(p)
			writers = append(writers, p)
		}
		for i, r := range f.copied(b, "tails") {
			if tail := realTails[i]; r.Records != tail.visible {
				t.Errorf("%s: %d records, want %d", tail.name, r.Records, tail.visible)
			}
		}
		for i, tail := range realTails {
			if tail.open && i%2 == 0 {
				writers[i].commit()
			} else if tail.open {
				writers[i].abort()
			}
		}
		if sum := oracle.Sum(f.copied(b, "tails")); sum.Records != 10+5+1+3+10+5 {
			t.Error(sum)
		}
	})

	t.Run("timestamps", func(t *testing.T) {
		odd := []int64{-1, 0, 1, f.began.UnixMilli(), 5, f.began.UnixMilli() - 1, -9_000_000_000_000, f.began.UnixMilli()}
		for i, kind := range []string{"CreateTime", "LogAppendTime", "CreateTime"} {
			done, err := kadm.NewClient(f.client).AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "message.timestamp.type", Value: &kind}}, "mixed")
			if err == nil {
				_, err = done.On("mixed", nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			f.await(nil, 10*time.Second, func() error { // the broker takes it over a little later
				f.send(f.client, &kgo.Record{Topic: "mixed", Timestamp: time.UnixMilli(7)})
				if all := f.types(t, "mixed"); all[len(all)-1] != uint8(i%2) {
					return errors.New("the topic's type has not changed yet")
				}
				return nil
			})
			for _, at := range odd {
				for _, topic := range []string{"stamped", "mixed"} {
					f.send(f.client, &kgo.Record{Topic: topic, Value: []byte("v"), Timestamp: time.UnixMilli(at)})
				}
			}
		}
		f.copied(b, "mixed", "stamped")
		all := f.types(t, "mixed")
		if n := bytes.Count(all, []byte{1}); n < len(odd) || len(all)-n < 2*len(odd) {
			t.Errorf("%d records of %d have the broker's time", n, len(all))
		}
	})

	t.Run("hostile headers", func(t *testing.T) {
		f.send(f.client, f.writer("hostile", 0).records(20)...)
		f.copied(b, "hostile")
		token, tail := f.token(t, "hostile/0"), f.tail(t, "hostile/0")
		n := uint64(0)
		for _, name := range []string{"", "~", "~!", "~k", "~~", "~0", "fence", "trim"} {
			for _, value := range []string{"fence", "trim", "open", "gap", "", "\x20\xff\xff\xff\x7f\x00\x00"} {
				for _, body := range []string{"", "kb1.hostile.1.0123456789", "\x00\x00\x00\x00\x00\x00\x00\x0f", "\xff\xff\xff\xff\xff\xff\xff\xff"} {
					for _, key := range [][]byte{nil, []byte("key")} {
						f.send(f.client, &kgo.Record{Topic: "hostile", Key: key, Value: []byte(body), Headers: []kgo.RecordHeader{{Key: name, Value: []byte(value)}}})
						n++
					}
				}
			}
		}
		r := f.copied(b, "hostile")[0]
		if now := f.token(t, "hostile/0"); now != token || !strings.HasPrefix(token, "kb1.") {
			t.Errorf("the token was %q and is %q", token, now)
		}
		// Nothing but records was added, and everything is still there: the oracle read from sequence number 0.
		if now := f.tail(t, "hostile/0"); now != tail+n || r.Tail != now || r.Fences != 1 {
			t.Errorf("the stream ended at %d, %d records were added, and it ends at %d; %v", tail, n, now, r)
		}
	})

	t.Run("sizes", func(t *testing.T) {
		f.tell(b, "before large records")
		for i, size := range []int{1<<20 - 300, 1<<20 + 1, 5 << 20, 60 << 20} {
			p := f.writer("sizes", i)
			p.plain(3)
			f.send(f.client, &kgo.Record{Topic: "sizes", Partition: int32(i), Key: []byte("large"), Value: bytesOf(size, uint64(i)), Headers: []kgo.RecordHeader{{Key: "", Value: []byte("trim")}}})
			p.begin(&kgo.Record{Topic: "sizes", Partition: int32(i), Value: bytesOf(size, 99)})
			p.abort()
			p.plain(3)
		}
		sum := oracle.Sum(f.copied(b, "sizes"))
		if sum.Records != 28 || sum.Chunked != 3 {
			t.Error(sum)
		}
		f.tell(b, "with records of 60 MiB, and aborted ones, and a budget of 128 MiB")
	})
	if err := b.Stop(15 * time.Second); err != nil {
		t.Error(err)
	}
	f.copied(nil, f.topics...)
}

// Kafka's own log cleaner at work, with transactions in the log: what is gone is nowhere a gap that anybody waits at, not where
// a bridge begins, and not where one had stopped.
func TestFidelityOfCompactedLogs(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	f := newFaithful(ctx, t, "1g", map[string]string{"log.cleaner.backoff.ms": "100", "log.initial.task.delay.ms": "100"})
	const parts = 3
	f.topic("compacted", parts, map[string]string{"cleanup.policy": "compact", "segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01", "min.compaction.lag.ms": "0"})
	at := f.began.Add(10 * time.Second) // ahead of the broker's markers: those roll no segment
	write := func(prefix string) {
		before := f.truth("compacted").Records()
		made := 0
		for i := range parts {
			p := f.writer("compacted", i)
			keyed := func(n int, value []byte) (recs []*kgo.Record) {
				at = at.Add(2 * time.Second) // another segment
				for k := range n {
					recs = append(recs, &kgo.Record{Topic: "compacted", Partition: int32(i), Key: fmt.Appendf(nil, "%s %d", prefix, k), Value: value, Timestamp: at})
				}
				return recs
			}
			for round := range 12 {
				f.send(f.client, keyed(20+i, fmt.Append(nil, round))...)
				made += 20 + i
				if i > 0 {
					p.begin(keyed(10, []byte("aborted"))...)
					p.abort()
					p.begin(keyed(5, []byte("committed"))...)
					p.commit()
					made += 5
				}
			}
			f.send(f.client, keyed(7, nil)...)
			if i == 2 {
				p.begin(keyed(3, []byte("aborted"))...)
				p.abort()
			} else {
				last := keyed(1, []byte("its segment is not cleaned"))
				last[0].Key = fmt.Append(nil, prefix) // it supersedes nothing
				f.send(f.client, last...)
			}
		}
		left, still := 0, 0
		f.await(nil, 60*time.Second, func() error { // until the cleaner has nothing to do
			now := f.truth("compacted").Records() - before
			if still++; now != left {
				left, still = now, 0
			}
			if left > made/3 || still < 10 {
				return fmt.Errorf("%d of %d records are left", left, made)
			}
			return nil
		})
		t.Logf("the cleaner left %d of %d records", left, made)
	}
	write("one")
	b := f.bridge(t, f.bin, t.TempDir(), "one", bridge.Settings{"kafka.instance_id": "one"})
	f.copied(b, "compacted")
	if err := b.Stop(15 * time.Second); err != nil {
		t.Fatal(err)
	}
	write("two") // with other keys: what was copied stays
	if err := b.Restart(); err != nil {
		t.Fatal(err)
	}
	f.copied(b, "compacted")
	if err := b.Stop(15 * time.Second); err != nil {
		t.Error(err)
	}
}

// One record of 256 MiB, with the default memory budget.
func TestRecordOf256MiB(t *testing.T) {
	const size = 256 << 20
	f := newFaithful(t.Context(), t, "2g", map[string]string{"message.max.bytes": fmt.Sprint(300 << 20), "socket.request.max.bytes": fmt.Sprint(300 << 20)})
	ctx, cancel := context.WithTimeoutCause(t.Context(), 60*time.Second, errors.New("a minute is over"))
	defer cancel()
	f.ctx = ctx
	f.topic("huge", 1, map[string]string{"max.message.bytes": fmt.Sprint(300 << 20)})
	p := f.writer("huge", 0)
	p.plain(3)
	began := time.Now()
	f.send(f.client, &kgo.Record{Topic: "huge", Key: []byte("huge"), Value: bytesOf(size, 1), Headers: []kgo.RecordHeader{{Key: "", Value: []byte("fence")}}})
	t.Logf("produced after %.1f s", time.Since(began).Seconds())
	p.plain(3)
	b := f.bridge(t, f.bin, t.TempDir(), "one", bridge.Settings{"kafka.max_record_bytes": "512MiB", "memory.budget": "512MiB", "s2.batches_per_second": 0})
	began = time.Now()
	f.committed(b, "huge")
	t.Logf("copied after %.1f s", time.Since(began).Seconds())
	f.tell(b, "a record of 256 MiB")
	r := f.copied(b, "huge")[0]
	t.Logf("compared after %.1f s", time.Since(began).Seconds())
	if r.Records != 7 || r.Chunked != 1 || r.Torn != 0 {
		t.Error(r)
	}
	if err := b.Stop(15 * time.Second); err != nil {
		t.Error(err)
	}
}

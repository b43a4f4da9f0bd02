package chaos

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/s2-streamstore/s2-sdk-go/s2"
	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
)

// Live watches a world while it is being hurt: a consumer of its own reads what Kafka serves, S2's own client reads the streams,
// and the offsets of both are held side by side. It counts; what the records are made of is for Judge to look at.
type Live struct {
	world  *World
	basin  *s2.BasinClient
	client *http.Client

	mu    sync.Mutex
	lanes map[lane]*pair
	tally Tally
}

// Tally is what has been seen so far.
type Tally struct {
	Served, Copied          int // records that Kafka serves; of them, found in S2
	Lost, Doubled, Stranger int // passed over by its stream; there again or moved; not served by Kafka
	Fences                  int
}

type lane struct {
	topic     string
	partition int32
}

// pair is a partition and its stream: the offsets of either that wait for the other, and where the stream is.
type pair struct {
	kafka, stream []int64
	last          int64
}

// Watch begins, and goes on until ctx ends: call the returned function then, which waits.
func Watch(ctx context.Context, w *World) (*Live, func(), error) {
	offsets := map[string]map[int32]kgo.Offset{}
	l := &Live{world: w, lanes: map[lane]*pair{}, client: &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}}
	l.basin = s2.New("none", &s2.ClientOptions{
		BaseURL: w.URL + "/v1", MakeBasinBaseURL: func(string) string { return w.URL + "/v1" },
		HTTPClient: l.client, RetryConfig: &s2.RetryConfig{MaxAttempts: 1},
	}).Basin(w.Basin)
	for _, t := range w.Topics {
		offsets[t.Name] = map[int32]kgo.Offset{}
		for p := range t.Partitions {
			offsets[t.Name][p] = kgo.NewOffset().AtStart()
			l.lanes[lane{t.Name, p}] = &pair{last: -1}
		}
	}
	consumer, err := kgo.NewClient(w.seeds(), kgo.ConsumePartitions(offsets), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(500*time.Millisecond))
	if err != nil {
		return nil, nil, fmt.Errorf("kafka reader: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var both sync.WaitGroup
	both.Go(func() { l.followKafka(ctx, consumer) })
	both.Go(func() { l.followS2(ctx) })
	return l, func() {
		cancel()
		both.Wait()
		consumer.Close()
		l.client.CloseIdleConnections()
	}, nil
}

// Tally so far.
func (l *Live) Tally() Tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tally
}

func (l *Live) followKafka(ctx context.Context, consumer *kgo.Client) {
	for ctx.Err() == nil {
		fetches := consumer.PollFetches(ctx) // errors pass, or the records will be missing
		l.mu.Lock()
		for r := range fetches.RecordsAll() {
			p := l.lanes[lane{r.Topic, r.Partition}]
			p.kafka = append(p.kafka, r.Offset)
			l.tally.Served++
			l.compare(p)
		}
		l.mu.Unlock()
	}
}

func (l *Live) followS2(ctx context.Context) {
	next := map[lane]uint64{}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		for at := range l.lanes {
			for more := true; more; {
				next[at], more = l.page(ctx, at, next[at])
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// page reads one page of a stream. A stream that has no more, is not there yet, or cannot be asked now, is asked again later.
func (l *Live) page(ctx context.Context, at lane, from uint64) (next uint64, more bool) {
	name := s2.StreamName(fmt.Sprintf("%s/%d", at.topic, at.partition))
	batch, err := l.basin.Stream(name).Read(ctx, &s2.ReadOptions{SeqNum: &from})
	if err != nil || len(batch.Records) == 0 {
		return from, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.lanes[at]
	for _, r := range batch.Records {
		stored := oracle.Stored{Seq: r.SeqNum, Timestamp: r.Timestamp, Body: r.Body}
		for _, h := range r.Headers {
			stored.Headers = append(stored.Headers, oracle.StoredHeader{Name: h.Name, Value: h.Value})
		}
		switch it := oracle.Decode(stored); {
		case it.Kind == oracle.Fence:
			l.tally.Fences++
		case it.Kind == oracle.Data && (!it.Chunked || it.Index == it.Count-1):
			p.stream = append(p.stream, it.Record.Offset)
		}
		from = r.SeqNum + 1
	}
	l.compare(p)
	return from, true
}

// compare takes away what both have, or what one of them will never have.
func (l *Live) compare(p *pair) {
	for len(p.stream) > 0 {
		s := p.stream[0]
		switch {
		case s <= p.last:
			l.tally.Doubled++
		case len(p.kafka) == 0:
			return // Kafka's reader is behind
		case p.kafka[0] < s:
			l.tally.Lost++
			p.kafka = p.kafka[1:]
			continue
		case p.kafka[0] > s:
			l.tally.Stranger++
		default:
			l.tally.Copied++
			p.kafka = p.kafka[1:]
			p.last = s
		}
		p.stream = p.stream[1:]
	}
}

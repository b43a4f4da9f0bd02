package main

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"kafka-s2-bridge/sink"
)

const (
	// comparisons is how many streams are looked at at once, in one process.
	comparisons = 4
	// compareTimeout bounds one look at a stream and its topic.
	compareTimeout = 30 * time.Second
	// topicAge is how long a topic's retention is believed, also that it could not
	// be found out: a thousand partitions of a topic start at the same time.
	topicAge = 5 * time.Minute
	// compareAgain is how often a stream that was found short is looked at.
	compareAgain = 10 * time.Minute
)

// retentionWatch compares how long streams keep records with how long their
// topics do. Streams that the bridge creates are right from the start; one that
// was there before, or was changed since, may drop records which Kafka still has,
// and nobody would notice before they are missed.
//
// Nobody waits for it: a comparison that fails is forgotten until the partition
// is assigned anew.
type retentionWatch struct {
	topic func(ctx context.Context, name string) (time.Duration, error) // 0 is for ever
	aim   time.Duration                                                 // stream.retention, if it is a time; 0 = the topic's counts
	basin string                                                        // for the command in the log line
	log   *slog.Logger
	ctx   context.Context // ends with the process

	mu      sync.Mutex
	closed  bool
	waiting []comparison
	running int
	work    sync.WaitGroup
	short   map[partitionKey]comparison // found short, and when
	told    map[string]bool             // what could not be found out, and was said

	topics topicRetentions
}

type partitionKey struct {
	topic  string
	number int32
}

// comparison is one stream to look at.
type comparison struct {
	partitionKey
	name   string // of the stream
	stream interface {
		Settings(ctx context.Context) (sink.StreamSettings, error)
	}
	at time.Time // of the last look; zero: none
}

func newRetentionWatch(ctx context.Context, cfg Config, log *slog.Logger, topic func(ctx context.Context, name string) (time.Duration, error)) *retentionWatch {
	return &retentionWatch{
		topic: topic, aim: cfg.Stream.Retention.Age, basin: cfg.S2.Basin, log: log, ctx: ctx,
		short: map[partitionKey]comparison{}, told: map[string]bool{}, topics: topicRetentions{known: map[string]topicRetention{}},
	}
}

// Look has a stream looked at soon. It never waits.
func (w *retentionWatch) Look(c comparison) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.waiting = append(w.waiting, c)
	if w.running < comparisons {
		w.running++
		w.work.Go(w.run)
	}
}

// LookAgain has those looked at that were found short a while ago, and forgets
// those that are another process's by now.
func (w *retentionWatch) LookAgain(now time.Time, ours map[partitionKey]bool) {
	w.mu.Lock()
	var due []comparison
	for key, c := range w.short {
		switch {
		case !ours[key]:
			delete(w.short, key)
		case now.Sub(c.at) >= compareAgain:
			c.at = now
			w.short[key] = c
			due = append(due, c)
		}
	}
	w.mu.Unlock()
	for _, c := range due {
		w.Look(c)
	}
}

// Close forgets what waits, and waits for what runs. The context must have ended.
func (w *retentionWatch) Close() {
	w.mu.Lock()
	w.closed, w.waiting = true, nil
	w.mu.Unlock()
	w.work.Wait()
}

func (w *retentionWatch) run() {
	for {
		w.mu.Lock()
		if len(w.waiting) == 0 {
			w.waiting = nil
			w.running--
			w.mu.Unlock()
			return
		}
		c := w.waiting[0]
		w.waiting = w.waiting[1:]
		w.mu.Unlock()
		ctx, cancel := context.WithTimeout(w.ctx, compareTimeout)
		w.compare(ctx, c)
		cancel()
	}
}

func (w *retentionWatch) compare(ctx context.Context, c comparison) {
	settings, err := c.stream.Settings(ctx)
	if err != nil {
		w.unknown(ctx, "streams", "that the access token has the operation get-stream-config", err)
		return
	}
	want, err := w.topics.of(ctx, c.topic, w.topic)
	if err != nil {
		w.unknown(ctx, "topic "+c.topic, "that the bridge may describe the topic's configuration", err)
		return
	}
	// Who writes a shorter time into stream.retention wants it.
	if w.aim > 0 && longer(want, w.aim) {
		want = w.aim
	}
	short := longer(want, settings.Retention)
	w.mu.Lock()
	_, was := w.short[c.partitionKey]
	delete(w.short, c.partitionKey)
	if short {
		c.at = time.Now()
		w.short[c.partitionKey] = c
	}
	w.mu.Unlock()
	log := w.log.With("topic", c.topic, "partition", c.number, "stream", c.name, "stream_retention", describeRetention(settings.Retention))
	switch {
	case short && !was:
		log.Warn("the stream keeps records for a shorter time than the topic: they leave S2 before they leave Kafka",
			"topic_retention", describeRetention(want), "change_it_with", w.command(c.name, want))
	case was && !short:
		log.Info("the stream keeps records long enough now")
	}
}

// unknown says once that something cannot be found out: it is the same for
// thousands of partitions, and nothing waits for it.
func (w *retentionWatch) unknown(ctx context.Context, what, check string, err error) {
	w.mu.Lock()
	first := !w.told[what] && ctx.Err() == nil
	w.told[what] = w.told[what] || first
	w.mu.Unlock()
	if first {
		w.log.Warn("the retention of streams and topics cannot be compared", "of", what, "check", check, "error", err)
	}
}

// longer is a > b, where 0 is for ever.
func longer(a, b time.Duration) bool { return b != 0 && (a == 0 || a > b) }

// command changes a stream's retention.
func (w *retentionWatch) command(stream string, age time.Duration) string {
	policy := "infinite"
	if age > 0 {
		policy = strconv.FormatInt(int64(age/time.Second), 10) + "s"
	}
	return fmt.Sprintf("s2 reconfigure-stream --retention-policy %s %s", policy, shellWord("s2://"+w.basin+"/"+stream))
}

// plainWord is what no shell changes.
var plainWord = regexp.MustCompile(`^[a-zA-Z0-9._/:-]+$`)

func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// topicRetentions remembers what was found out about topics.
type topicRetentions struct {
	mu    sync.Mutex // also while asking: many partitions of one topic ask at once
	known map[string]topicRetention
}

type topicRetention struct {
	age time.Duration
	err error
	at  time.Time
}

func (r *topicRetentions) of(ctx context.Context, topic string, ask func(ctx context.Context, name string) (time.Duration, error)) (time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.known[topic]
	if !ok || time.Since(k.at) >= topicAge {
		k = topicRetention{at: time.Now()}
		k.age, k.err = ask(ctx, topic)
		if ctx.Err() == nil { // else it is this comparison's matter
			r.known[topic] = k
		}
	}
	return k.age, k.err
}

// Short lists the partitions whose streams are too short.
func (w *retentionWatch) Short() (keys []partitionKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range w.short {
		keys = append(keys, key)
	}
	return keys
}

package bed

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/s2mem"
)

// Watch sees every batch at the moment when it becomes durable, and every
// commit at the moment when Kafka gets it, whether Kafka then takes it or not.
type Watch struct {
	trace *Trace

	mu      sync.Mutex
	topics  map[[16]byte]string
	streams map[string]*seen
	commits []commit
	members map[member]int64 // what each committed last
	last    *kmsg.OffsetCommitRequest
	wrong   []string
	zombies int
}

// seen is what is durable of a stream.
type seen struct {
	tail   uint64
	high   int64 // highest offset of a complete data record, or what an open marker resumes behind
	token  string
	fences int
}

// commit is one offset that was sent to Kafka.
type commit struct {
	stream string
	offset int64
	high   int64 // of the stream, then
}

// member is who commits for what.
type member struct {
	id         string
	generation int32
	stream     string
}

// NewWatch watches both sides until they are closed.
func NewWatch(kafka *kfake.Cluster, s2 *s2mem.Server, group string, trace *Trace) *Watch {
	w := &Watch{trace: trace, topics: map[[16]byte]string{}, streams: map[string]*seen{}, members: map[member]int64{}}
	s2.OnAppend(w.appended)
	// Neither of the two ever says that it selects: they only look.
	s2.Fault(s2mem.Fault{Op: s2mem.OpBatch, Count: -1, Do: s2mem.Observe, When: w.batch})
	kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Count: -1, Observe: true, When: w.committing})
	return w
}

// Name tells the name of a topic's id: newer commits have only that.
func (w *Watch) Name(id [16]byte, topic string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.topics[id] = topic
}

// Zombies is how many batches came with a fencing token that was not the
// stream's any more.
func (w *Watch) Zombies() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.zombies
}

// High is the offset up to which a stream is complete; -1: nothing is there.
func (w *Watch) High(stream string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stream(stream).high
}

// Fences is how many fences there are in all, on how many streams.
func (w *Watch) Fences() (fences, streams int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.streams {
		if fences += s.fences; s.fences > 0 {
			streams++
		}
	}
	return fences, streams
}

func (w *Watch) stream(name string) *seen {
	s := w.streams[name]
	if s == nil {
		s = &seen{high: -1}
		w.streams[name] = s
	}
	return s
}

func (w *Watch) violation(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.trace.Printf("VIOLATION %s", text)
	w.wrong = append(w.wrong, text)
}

// batch looks at what comes in, before it is judged.
func (w *Watch) batch(c s2mem.Call) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch s := w.stream(c.Stream); {
	case c.Token == nil || c.Match == nil:
		w.violation("%s: batch %d of session %d names no token or no sequence number", c.Stream, c.Batch, c.Session)
	case *c.Token != s.token:
		w.zombies++
		w.trace.Printf("%s: batch under the old token %s comes, %s stands", c.Stream, *c.Token, s.token)
	}
	return false
}

// appended looks at what is durable now.
func (w *Watch) appended(a s2mem.Append) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stream(a.Stream)
	for _, r := range a.Records {
		it := oracle.Decode(Stored(r))
		s.tail = r.Seq + 1
		switch it.Kind {
		case oracle.Fence:
			s.token = it.Token
			s.fences++
			w.trace.Printf("%s: %d fence %s", a.Stream, r.Seq, it.Token)
			if len(a.Records) > 1 || a.Token == nil || *a.Token == "" && a.Match == nil {
				w.violation("%s: the fence at %d is not alone, or without a condition", a.Stream, r.Seq)
			}
		case oracle.Open:
			s.high = max(s.high, it.Open.Resume-1)
			w.trace.Printf("%s: %d open, resume %d", a.Stream, r.Seq, it.Open.Resume)
		case oracle.Data:
			if !it.Chunked || it.Index == it.Count-1 {
				s.high = max(s.high, it.Record.Offset)
			}
		}
		if it.Kind != oracle.Fence && (a.Session == 0 || a.Token == nil || *a.Token != s.token || a.Match == nil) {
			w.violation("%s: the record at %d came without the standing token or a sequence number", a.Stream, r.Seq)
		}
	}
}

// committing looks at a commit before Kafka does.
func (w *Watch) committing(req kmsg.Request) bool {
	r, ok := req.(*kmsg.OffsetCommitRequest)
	if !ok {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == r {
		return false // kfake asks for each partition
	}
	w.last = r
	for _, t := range r.Topics {
		topic := t.Topic
		if topic == "" {
			topic = w.topics[t.TopicID]
		}
		for _, p := range t.Partitions {
			w.commit(r, streamName(topic, p.Partition), p.Offset, p.Metadata)
		}
	}
	return false
}

func (w *Watch) commit(r *kmsg.OffsetCommitRequest, stream string, offset int64, metadata *string) {
	s := w.stream(stream)
	w.commits = append(w.commits, commit{stream, offset, s.high})
	var m struct {
		Next uint64
		Last int64
	}
	switch {
	case metadata == nil || json.Unmarshal([]byte(*metadata), &m) != nil:
		w.violation("%s: commit of %d without metadata", stream, offset)
	case m.Next > s.tail || m.Last > s.high:
		w.violation("%s: commit of %d counts %s, but the stream ends at %d and is complete up to %d", stream, offset, *metadata, s.tail, s.high)
	}
	who := member{r.MemberID, r.Generation, stream}
	if last, known := w.members[who]; known && offset < last {
		w.violation("%s: %s committed %d after %d", stream, r.MemberID, offset, last)
	}
	w.members[who] = offset
}

// check says what was seen that must not be. served is what Kafka serves, by
// stream: no commit may have passed a record of it that was not durable then.
func (w *Watch) check(served map[string]*oracle.Served) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	wrong := w.wrong
	for _, c := range w.commits {
		s := served[c.stream]
		if s == nil {
			wrong = append(wrong, fmt.Sprintf("%s: commit of a partition that Kafka has not", c.stream))
			continue
		}
		for _, offset := range s.Offsets() {
			if offset > c.high && offset < c.offset {
				wrong = append(wrong, fmt.Sprintf("%s: committed %d when the stream was complete up to %d: offset %d was not there", c.stream, c.offset, c.high, offset))
				break
			}
		}
	}
	return wrong
}

// Stored is a record of s2mem as the oracle wants it.
func Stored(r s2mem.Record) oracle.Stored {
	s := oracle.Stored{Seq: r.Seq, Timestamp: r.Timestamp, Body: r.Body}
	for _, h := range r.Headers {
		s.Headers = append(s.Headers, oracle.StoredHeader{Name: h.Name, Value: h.Value})
	}
	return s
}

package fidelity

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/s2mem"
)

// noise is n bytes that do not compress and do not repeat.
func noise(n int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	b := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		v := rng.Uint64()
		for j := range 8 {
			b[i+j] = byte(v >> (8 * j))
		}
	}
	return b[:n]
}

// small is a record between others.
func small(topic string, partition int) *kgo.Record {
	return &kgo.Record{Topic: topic, Partition: int32(partition), Key: []byte("small"), Value: []byte("a small one"), Timestamp: now}
}

var now = time.UnixMilli(1_780_000_000_000)

// metered is the size of a record at offset 1, epoch 0, as S2 counts it when it is stored whole, by the document: 8 bytes, two a
// header, names, values and body; the position takes 9.
func metered(r *kgo.Record) int {
	n := 8 + 2 + len("~") + 9 + len(r.Value)
	if r.Key != nil {
		n += 2 + len("~k") + len(r.Key)
	}
	for _, h := range r.Headers {
		n += 2 + len(h.Key) + len(h.Value)
		if h.Value == nil || h.Key == "" || h.Key[0] == '~' {
			n += 2
		}
	}
	return n
}

// chunks are the stored records of the Kafka record with an offset.
func (w *world) chunks(stream string, offset int64) (parts []s2mem.Record) {
	for _, r := range w.s2.Records(stream) {
		if it := oracle.Decode(stored(r)); it.Kind == oracle.Data && it.Record.Offset == offset {
			parts = append(parts, r)
		}
	}
	return parts
}

// A record that meters to S2's limit goes whole, with one byte more it goes in two chunks, whatever it is made of. Neither stops
// or loops.
func TestT44T45RecordsAtTheLimit(t *testing.T) {
	t.Parallel()
	shapes := []struct {
		name string
		grow func(r *kgo.Record, by int)
	}{
		{"value", func(r *kgo.Record, by int) { r.Value = noise(len(r.Value)+by, 1) }},
		{"value, with key and headers", func(r *kgo.Record, by int) {
			r.Key = []byte("a key")
			r.Headers = []kgo.RecordHeader{{Key: "", Value: []byte("fence")}, {Key: "~x"}, {Key: "h", Value: []byte{}}}
			r.Value = noise(len(r.Value)+by, 2)
		}},
		{"key, and an empty value", func(r *kgo.Record, by int) { r.Value, r.Key = []byte{}, noise(len(r.Key)+by, 3) }},
		{"header, and one byte of value", func(r *kgo.Record, by int) {
			size := 0
			if len(r.Headers) > 0 {
				size = len(r.Headers[0].Value)
			}
			r.Value, r.Headers = []byte{7}, []kgo.RecordHeader{{Key: "h", Value: noise(size+by, 4)}}
		}},
	}
	sizes := []int{-1, 0, 1}
	w := newWorld(t, nil)
	w.topic("limit", len(shapes)*len(sizes), nil)
	for i, shape := range shapes {
		for j, size := range sizes {
			p := i*len(sizes) + j
			r := &kgo.Record{Topic: "limit", Partition: int32(p), Timestamp: now}
			shape.grow(r, 1000)
			shape.grow(r, s2mem.MaxBatchBytes+size-metered(r))
			if metered(r) != s2mem.MaxBatchBytes+size {
				t.Fatalf("%s: the record meters to %d", shape.name, metered(r))
			}
			w.send(small("limit", p))
			w.send(r, small("limit", p))
		}
	}
	r := w.start("one", nil, "limit")
	// A key or a header of one byte too much cannot be cut (a chunk's position is longer besides): it holds its partition, and
	// no other one, and says so once.
	uncut := func(p int32) bool { return p == 2*3+2 || p == 3*3+2 }
	r.red("limit/8 is held (record-refused)", "offset 1 ", "key and headers do not fit one chunk", "the limit is 1048576")
	page := r.red("limit/11 is held (record-refused)", "offset 1 ", "key and headers do not fit one chunk", "the limit is 1048576")
	r.await(patient, func() error {
		commits, err := w.commits("limit")
		for _, c := range commits {
			if want := map[bool]int64{true: 1, false: 3}[uncut(c.Partition)]; c.Offset != want {
				return fmt.Errorf("limit/%d is committed up to %d, want %d", c.Partition, c.Offset, want)
			}
		}
		return err
	}, "the group's commits")
	if strings.Count(page, "is held") != 2 || strings.Count(r.said(), "partition held") != 2 {
		t.Errorf("/readyz and log say more than that two partitions are held, once: %s\n%s", page, r.said())
	}
	for p, served := range w.truth("limit").Partitions {
		report := w.check(served)
		name := fmt.Sprintf("%s, %+d", shapes[p/len(sizes)].name, sizes[p%len(sizes)])
		if uncut(int32(p)) {
			if report.Missing != 2 || report.Bad() != 2 {
				t.Errorf("%s: %s", name, report)
			}
			continue
		}
		if !report.OK() {
			t.Errorf("%s: %s", name, report)
		}
		parts := w.chunks(served.Name(), 1)
		if want := map[bool]int{true: 2, false: 1}[sizes[p%len(sizes)] > 0]; len(parts) != want {
			t.Errorf("%s: %d S2 records, want %d", name, len(parts), want)
		} else if size := parts[0].Metered(); want == 1 && size != s2mem.MaxBatchBytes+sizes[p%len(sizes)] {
			t.Errorf("%s: S2 meters it to %d", name, size)
		}
	}
}

// Records of many chunks, and a Kafka batch far above what a fetch asks for, come through with default settings.
func TestT44T51LargeRecordsAndBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.topic("large", 4, nil)
	for p, size := range []int{s2mem.MaxBatchBytes + 1, 5 << 20, 60 << 20} {
		w.send(small("large", p))
		w.send(&kgo.Record{Topic: "large", Partition: int32(p), Key: []byte("large"), Value: noise(size, 9), Headers: []kgo.RecordHeader{{Key: "", Value: []byte("trim")}}, Timestamp: now})
		w.send(small("large", p))
	}
	// One batch of 30 MB: the broker gives it whole, whatever the limits of the fetch are.
	var many []rawRecord
	for i := range 30_000 {
		many = append(many, rawRecord{Timestamp: now.UnixMilli() - int64(i), Key: fmt.Appendf(nil, "%d", i), Value: noise(1000, uint64(i))})
	}
	w.sendRaw("large", 3, batch{Records: many}.encode(w))
	w.send(small("large", 3))

	r := w.start("one", nil, "large")
	reports := w.copied(r, "large")
	for p, want := range []int{2, 6, 61} { // chunks of a little less than 1 MiB
		if parts := w.chunks(fmt.Sprintf("large/%d", p), 1); len(parts) != want || reports[p].Chunked != 1 {
			t.Errorf("large/%d: %d chunks, want %d; %s", p, len(parts), want, reports[p])
		}
	}
	r.green()
	// The budget, what the configuration says comes on top, and the record that passes alone.
	peak, most := r.memory(), 64+150+60
	if t.Logf("records up to 60 MiB and a batch of 30 MB with a budget of 64 MiB: %d MiB resident at most", peak); peak > most {
		t.Errorf("that is more than %d MiB", most)
	}
}

// A record at the operator's own limit passes, with one byte more it holds its partition until the limit is raised.
func TestT44RecordsAtTheOperatorsLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.topic("own", 3, nil)
	for p := range 3 {
		const header = len("name") + len("value")
		key := []byte("12345")
		w.send(small("own", p), &kgo.Record{Topic: "own", Partition: int32(p), Key: key, Value: noise(2<<20-len(key)-header+p-1, 5),
			Headers: []kgo.RecordHeader{{Key: "name", Value: []byte("value")}}}, small("own", p))
	}
	limit := bridge.Settings{"kafka.max_record_bytes": "2MiB"}
	r := w.start("one", limit, "own")
	r.red("own/2 is held (record-refused)", "offset 1 ", "2097153", "2097152")
	r.await(patient, func() error {
		commits, err := w.commits("own")
		for i, want := range []int64{3, 3, 1} {
			if err == nil && commits[i].Offset != want {
				err = fmt.Errorf("own/%d is committed up to %d, want %d", i, commits[i].Offset, want)
			}
		}
		return err
	}, "the group's commits")
	r.stop()
	raised := w.start("raised", nil, "own")
	w.copied(raised, "own")
}

// Batches of records are as full as S2 takes them, and never fuller: by number, by size, and by headers.
func TestT45BatchEdges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	counts := []int{999, 1000, 1001, 2000, 2001}
	w.topic("edges", len(counts)+3, nil)
	largest := make(chan [2]int, 10_000)
	w.s2.OnAppend(func(a s2mem.Append) {
		size := 0
		for _, r := range a.Records {
			size += r.Metered()
		}
		select {
		case largest <- [2]int{a.Count, size}:
		default:
			t.Error("more appends than expected")
		}
	})
	for p, n := range counts {
		var recs []*kgo.Record
		for range n {
			recs = append(recs, small("edges", p))
		}
		w.send(recs...)
	}
	// Eight records of an eighth of the limit each fill a batch to the byte.
	p := len(counts)
	eighths := make([]rawRecord, 16)
	for i := range eighths {
		eighth := &kgo.Record{}
		eighths[i] = rawRecord{Timestamp: now.UnixMilli(), Value: noise(s2mem.MaxBatchBytes/8-metered(eighth), 6)}
	}
	w.sendRaw("edges", p, batch{Records: eighths}.encode(w))
	// Floods of headers: what S2 counts as 1 MiB is nearly 2 MiB on the way, and more than a frame at the very limit.
	flood := func(p, n int) {
		r := &kgo.Record{Topic: "edges", Partition: int32(p), Timestamp: now, Headers: make([]kgo.RecordHeader, n)}
		for i := range r.Headers {
			r.Headers[i] = kgo.RecordHeader{Key: string(rune('a' + i%26)), Value: []byte{byte(i)}}
		}
		if metered(r) > s2mem.MaxBatchBytes {
			t.Fatalf("%d headers meter to %d", n, metered(r))
		}
		w.send(small("edges", p), r, small("edges", p))
	}
	flood(p+1, 261_000)
	flood(p+2, 262_139) // the most that S2 would count
	r := w.start("one", nil, "edges")
	r.red(fmt.Sprintf("edges/%d is held (record-refused)", p+2), "offset 1 ", "headers", "frame")
	r.await(patient, func() error {
		commits, err := w.commits("edges")
		for _, c := range commits {
			if want := c.Stable; err == nil && c.Offset != want && int(c.Partition) != p+2 {
				err = fmt.Errorf("edges/%d is committed up to %d of %d", c.Partition, c.Offset, want)
			}
		}
		return err
	}, "the group's commits")
	for i, served := range w.truth("edges").Partitions {
		if report := w.check(served); report.Bad() != 0 && (i != p+2 || report.Bad() != report.Missing || report.Missing != 2) {
			t.Error(report)
		}
	}
	most := [2]int{}
	for len(largest) > 0 {
		a := <-largest
		most[0], most[1] = max(most[0], a[0]), max(most[1], a[1])
	}
	if most != [2]int{s2mem.MaxBatchRecords, s2mem.MaxBatchBytes} {
		t.Errorf("the fullest batches have %d records and %d metered bytes; %d and %d fit", most[0], most[1], s2mem.MaxBatchRecords, s2mem.MaxBatchBytes)
	}
}

// What the bridge counts for a record is what S2 counts: random records of all shapes are cut exactly where S2 would refuse them.
func TestT45MeteredAsS2Does(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.topic("random", 2, nil)
	rng := rand.New(rand.NewPCG(45, 0))
	whole, cut := 0, 0
	want := map[string]bool{}
	for n := range 60 {
		p := n % 2
		r := &kgo.Record{Topic: "random", Partition: int32(p), Timestamp: now}
		if rng.IntN(2) == 0 {
			r.Key = noise(rng.IntN(200_000), uint64(n))
		}
		for range rng.IntN(40) {
			name := []string{"", "~", "a", "~0", strings.Repeat("n", rng.IntN(300))}[rng.IntN(5)]
			var value []byte
			if rng.IntN(3) > 0 {
				value = noise(rng.IntN(3000), uint64(n))
			}
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: value})
		}
		r.Value = []byte{}
		r.Value = noise(s2mem.MaxBatchBytes-metered(r)+rng.IntN(7)-3, uint64(n))
		w.send(r)
		if want[fmt.Sprintf("%d %d", p, n/2)] = metered(r) > s2mem.MaxBatchBytes; metered(r) > s2mem.MaxBatchBytes {
			cut++
		} else {
			whole++
		}
	}
	r := w.start("one", nil, "random")
	w.copied(r, "random")
	for at, isCut := range want {
		var p, offset int
		if _, err := fmt.Sscan(at, &p, &offset); err != nil {
			t.Fatal(err)
		}
		if parts := w.chunks(fmt.Sprintf("random/%d", p), int64(offset)); (len(parts) > 1) != isCut || len(parts) > 2 {
			t.Errorf("random/%d, offset %d: %d chunks, want it cut: %v", p, offset, len(parts), isCut)
		}
	}
	if whole < 10 || cut < 10 {
		t.Errorf("%d whole, %d cut: another seed is needed", whole, cut)
	}
}

// All codecs, inside and outside of transactions, with small and large records.
func TestT50AllCodecs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.topic("codecs", len(codecs), nil)
	for p, codec := range codecs {
		text := bytes.Repeat([]byte("compresses well; "), 200_000) // 3.4 MB
		recs := func() []*kgo.Record {
			out := []*kgo.Record{{Value: text}, {Value: noise(1<<20+p, 7)}, {Key: noise(1000, 8), Value: nil}}
			for i := range 50 {
				out = append(out, &kgo.Record{Key: text[:i], Value: text[:10*i], Headers: []kgo.RecordHeader{{Key: "", Value: []byte("fence")}}})
			}
			for _, r := range out {
				r.Topic, r.Partition = "codecs", int32(p)
			}
			return out
		}
		plain := w.producer(kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(20*time.Millisecond))
		w.sendBy(plain, recs()...)
		tx := w.producer(kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(20*time.Millisecond), kgo.TransactionalID(fmt.Sprintf("codec-%d", p)))
		for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
			if err := tx.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			w.sendBy(tx, recs()...)
			ctx, cancel := w.context()
			if err := tx.EndTransaction(ctx, end); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
	}
	r := w.start("one", nil, "codecs")
	for p, report := range w.copied(r, "codecs") {
		if report.Records != 106 || report.Chunked != 4 {
			t.Errorf("%s: %s", codecNames[p], report)
		}
	}
}

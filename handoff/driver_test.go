package handoff

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// driver plays Kafka and S2 for one machine, step by step as a transcript says,
// in virtual time. It judges every step by what holds in any sequence (watch).
type driver struct {
	t     *testing.T
	m     *Machine
	s     *stream
	now   time.Duration
	rand  counter
	names map[string]string // fencing token -> name in the transcript
	mints int

	pending []Action // requests without an answer
	beside  []bool   // of each: asked while flowing; it is void when the session is dropped
	fence   Fence    // the last one that did not reach S2
	sends   []*sending
	served  []int64 // Kafka offsets with data that were handed to the machine
	opens   map[uint64]bool
	aborted map[uint64]bool
	marked  offsets.Mark
	done    bool

	start, end int64           // Kafka's range
	stable     int64           // what Locate finds
	epochs     map[int32]int64 // where leader epochs end; others never do
	of         map[int32]int32 // epochs that Kafka never had: the one that it names instead
	ancient    bool            // a broker without OffsetForLeaderEpoch
	altered    int64           // Kafka's record there is another one than the stream's; -1
	letters    []int64         // offsets in the dead letter topic

	shown string // phase and hold as shown last
	out   []string
}

// sending is a batch as the machine gave it to a session.
type sending struct {
	Send
	records []mapping.Stored
	start   uint64
	landed  bool
	acked   bool
}

// counter is a source of numbers that makes jitter vanish and tokens differ.
type counter struct{ n uint64 }

func (c *counter) Uint64() uint64 { c.n++; return c.n<<32 | c.n }

func newDriver(t *testing.T) *driver {
	d := &driver{
		t: t, s: newStream(), names: map[string]string{"": `""`}, end: 1000, stable: 1000, altered: -1, epochs: map[int32]int64{}, of: map[int32]int32{},
		opens: map[uint64]bool{}, aborted: map[uint64]bool{}, marked: offsets.Mark{Offset: -1, Epoch: -1},
	}
	return d
}

// perform carries commands out and returns what came of them.
func (d *driver) perform(commands []string) []string {
	d.t.Helper()
	var all []string
	for _, c := range commands {
		c, silent := strings.CutPrefix(c, "@")
		d.out = nil
		d.command(strings.Fields(c))
		switch {
		case silent:
		case len(commands) > 1:
			all = append(all, "> "+c)
			fallthrough
		default:
			all = append(all, d.out...)
		}
	}
	return all
}

func (d *driver) printf(format string, args ...any) {
	d.out = append(d.out, fmt.Sprintf(format, args...))
}

func (d *driver) command(f []string) {
	switch args := f[1:]; f[0] {
	case "start":
		d.begin(newOptions(args))
	case "kafka":
		d.kafka(newOptions(args))
	case "s2":
		d.arrange(args)
	case "fetch":
		d.fetch(args)
	case "answer":
		d.answer(strings.Join(args, " "))
	case "run":
		d.run()
	case "send":
		d.land(args)
	case "ack":
		d.ack(args)
	case "stray": // an ack that nobody expects
		d.step(Acked{d.m.session, d.s.tail - 1, d.s.tail})
	case "ended":
		d.ended(args)
	case "late-fence": // the fence that failed last is delivered after all
		if _, err := d.s.append([]mapping.Stored{fenceRecord(d.fence.Token)}, &d.fence.Seen, nil); err != nil {
			d.t.Fatal(err)
		}
	case "advised":
		d.step(Advised{d.m.session})
	case "paced":
		d.step(Paced{})
	case "tick":
		d.tick(args)
	case "trouble":
		d.trouble(args)
	case "release":
		d.step(Release{})
	case "lost":
		d.step(Lost{})
	case "resume":
		if err := d.m.unfit(Answer(args[0])); err != nil {
			d.printf("no: %v", err)
		}
		d.step(Resume{Answer(args[0])})
	case "letters":
		d.printf("letters %v", d.letters)
	case "status":
		d.status()
	default:
		d.t.Fatalf("unknown command %q", f)
	}
}

// begin starts a machine: start [commit=offset/last/next[/epoch]] [gen=n] [new]
// [from=latest|time|5] [refused=skip|letter] [large=skip|letter|hold]
// [retention-lost=gap] [truncated=gap] [s2-behind=gap|replay] ...
func (d *driver) begin(o options) {
	cfg := Config{
		Group: "g", Bridge: "0.1", MaxInflightBytes: o.int("bytes", 5<<20), MaxInflightBatches: o.int("batches", 8),
		Linger: 5 * time.Millisecond, AckTimeout: 5 * time.Second, IdleClose: time.Minute, SessionTimeout: 45 * time.Second,
		BackoffMin: 100 * time.Millisecond, BackoffMax: 30 * time.Second, Paced: o["paced"] != "", Rand: rand.New(&d.rand),
	}
	refusals := map[string]Refusal{"skip": SkipRecord, "letter": DeadLetterRecord}
	cfg.Packer.NoChunks = o["large"] != ""
	cfg.Policy = Policy{Refused: refusals[o["refused"]], Large: refusals[o["large"]], Standing: map[Reason]Answer{}}
	for _, r := range Reasons() {
		cfg.Policy.Standing[r] = Answer(o[string(r)])
	}
	switch from := o["from"]; from {
	case "":
	case "latest":
		cfg.Policy.Start.From = FromLatest
	case "time":
		cfg.Policy.Start.From = FromTime
	default:
		cfg.Policy.Start = StartPolicy{From: FromOffset, Offset: number(from)}
	}
	a := Assignment{Identity: me, Generation: int64(o.int("gen", 3)), Parts: 12, New: o["new"] != ""}
	if c := o.ints("commit"); c != nil {
		epoch := int32(1)
		if len(c) > 3 {
			epoch = int32(c[3])
		}
		a.Commit = &offsets.Commit{Offset: c[0], Epoch: epoch, Meta: offsets.Meta{Last: c[1], Next: uint64(c[2]), Parts: 12, ID: me.Hash()}}
		d.marked = offsets.Mark(*a.Commit)
	}
	d.m = NewMachine(cfg, a)
	d.shown = d.m.phase.String()
	d.step(Begin{})
}

func (d *driver) kafka(o options) {
	d.start, d.end = int64(o.int("start", int(d.start))), int64(o.int("end", int(d.end)))
	d.stable, d.altered = int64(o.int("stable", int(d.stable))), int64(o.int("altered", int(d.altered)))
	d.ancient = o["ancient"] != ""
	for k := range o {
		if e, err := strconv.Atoi(strings.TrimPrefix(k, "of")); err == nil {
			d.of[int32(e)] = int32(o.int(k, 0))
		}
		if e, err := strconv.Atoi(strings.TrimPrefix(k, "e")); err == nil {
			d.epochs[int32(e)] = int64(o.int(k, 0))
		}
	}
}

// fetch serves records: 5 or 5-7 (data), l8 (large), b8 (goes in three chunks),
// c9 (control), x10 (cannot go at all), with @epoch; cut=n names the cut.
func (d *driver) fetch(args []string) {
	ev := Fetched{Cut: d.m.cut}
	for _, arg := range args {
		if cut, ok := strings.CutPrefix(arg, "cut="); ok {
			ev.Cut = uint64(number(cut))
			continue
		}
		kind := arg[0]
		from, to, epoch := span(strings.TrimLeft(arg, "bclx"))
		for o := from; o <= to; o++ {
			r := record(o, epoch)
			switch kind {
			case 'c':
				r.Control = true
			case 'x':
				r.Key = make([]byte, 1<<20)
			case 'l':
				r.Value = make([]byte, 600_000)
			case 'b':
				r.Value = make([]byte, 2_500_000)
				for i := range r.Value {
					r.Value[i] = byte(i >> 12)
				}
			}
			if kind != 'c' {
				d.served = append(d.served, o)
			}
			ev.Records = append(ev.Records, r)
		}
	}
	d.step(ev)
}

func (d *driver) trouble(args []string) {
	o := newOptions(args)
	kinds := map[string]TroubleKind{"out-of-range": OutOfRange, "data-loss": DataLoss, "recreated": TopicRecreated}
	kind, ok := kinds[args[0]]
	if !ok {
		d.t.Fatalf("unknown trouble %q", args)
	}
	d.step(Trouble{Cut: uint64(o.int("cut", int(d.m.cut))), Kind: kind, Offset: int64(o.int("offset", -1)), Detail: args[0]})
}

// tick passes the time until the machine's deadline, or the time given.
func (d *driver) tick(args []string) {
	at, ok := d.m.Deadline()
	if len(args) > 0 {
		after, err := time.ParseDuration(args[0])
		if err != nil {
			d.t.Fatal(err)
		}
		at = d.now + after
	} else if !ok {
		d.printf("no deadline")
		return
	}
	d.printf("+%s", (at - d.now).Round(time.Millisecond))
	d.now = max(d.now, at)
	d.step(Tick{})
}

func (d *driver) status() {
	s := d.m.Status()
	d.printf("%s durable=%d position=%d next=%d inflight=%t records=%d", s.Phase, s.Durable, s.Position, s.Next, s.InflightBytes > 0, s.Records)
	if s.Hold.Reason != "" {
		d.printf("held %s", s.Hold.Reason)
	}
	if h := s.Hold; h.To > h.From {
		d.printf("lost [%d, %d)", h.From, h.To)
	}
	for class, n := range s.Missing {
		if n > 0 {
			d.printf("missing %s=%d", Missing(class), n)
		}
	}
	if s.Trouble != "" {
		d.printf("trouble: %s", d.plain(s.Trouble))
	}
	for c, n := range s.Acquisitions {
		if n > 0 {
			d.printf("acquisitions %s=%d", Cause(c), n)
		}
	}
}

// name gives a token its name in the transcript.
func (d *driver) name(token string) string {
	if _, ok := d.names[token]; !ok {
		d.mints++
		d.names[token] = fmt.Sprintf("T%d", d.mints)
	}
	return d.names[token]
}

// plain puts names for tokens in a text.
func (d *driver) plain(text string) string {
	for token, name := range d.names {
		if token != "" {
			text = strings.ReplaceAll(text, token, name)
		}
	}
	return text
}

// options are words of the form key=value; a word alone is key=yes.
type options map[string]string

func newOptions(args []string) options {
	o := options{}
	for _, a := range args {
		k, v, ok := strings.Cut(a, "=")
		if !ok {
			v = "yes"
		}
		o[k] = v
	}
	return o
}

func (o options) int(key string, otherwise int) int {
	if v, ok := o[key]; ok {
		return int(number(v))
	}
	return otherwise
}

func (o options) ints(key string) (all []int64) {
	v, ok := o[key]
	if !ok {
		return nil
	}
	for part := range strings.SplitSeq(v, "/") {
		all = append(all, number(part))
	}
	return all
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// span reads 5, 5-7 or 5-7@2.
func span(s string) (from, to int64, epoch int32) {
	s, e, ok := strings.Cut(s, "@")
	epoch = 1
	if ok {
		epoch = int32(number(e))
	}
	lo, hi, ok := strings.Cut(s, "-")
	if from, to = number(lo), number(lo); ok {
		to = number(hi)
	}
	return from, to, epoch
}

var errLost = errors.New("the answer was lost")

package oracle

import (
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Ledger is what a producer knows for sure: the records that Kafka acknowledged, with their offsets, and which
// transactions it committed. It shows that the reading of Kafka itself, which the streams are held against, is right.
// Safe for concurrent use.
type Ledger struct {
	mu       sync.Mutex
	entries  map[partition][]entry
	outcomes []Outcome // by transaction number; number 0 is "no transaction"
	unknown  int       // records whose produce request failed: they may or may not be there
	print    *printer
}

type partition struct {
	topic  string
	number int32
}

// entry is an acknowledged record.
type entry struct {
	offset int64
	print  fingerprint
	tx     int32
}

// Outcome of a transaction.
type Outcome uint8

// A transaction is Running until its end is known; a failed end is Unknown.
const (
	Running Outcome = iota
	Committed
	Aborted
	Unknown
)

// NewLedger is empty.
func NewLedger() *Ledger {
	return &Ledger{entries: make(map[partition][]entry), outcomes: []Outcome{Committed}, print: newPrinter()}
}

// Begin is the number of a new transaction.
func (l *Ledger) Begin() int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes = append(l.outcomes, Running)
	return int32(len(l.outcomes) - 1)
}

// End notes how a transaction ended.
func (l *Ledger) End(tx int32, o Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes[tx] = o
}

// Produced notes the result of one produced record, as kgo's promise has it; tx 0: outside of transactions.
func (l *Ledger) Produced(r *kgo.Record, tx int32, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.unknown++
		return
	}
	rec := FromKafka(r)
	p := partition{r.Topic, r.Partition}
	l.entries[p] = append(l.entries[p], entry{offset: r.Offset, print: l.print.of(&rec), tx: tx})
}

// Tally sums a ledger up, compared with what Kafka serves.
type Tally struct {
	Committed int // acknowledged, and not in an aborted transaction
	Aborted   int // acknowledged in an aborted transaction
	Unknown   int // produce request or end of transaction failed
	Unclaimed int // served by Kafka, in no entry: right only as far as Unknown goes

	NotServed     int // committed, yet Kafka does not serve it
	AbortedServed int // aborted, yet Kafka serves it
	Differs       int // served with other content
	Violations    []string
}

// OK says that Kafka serves what it acknowledged and nothing else.
func (t Tally) OK() bool {
	return t.NotServed == 0 && t.AbortedServed == 0 && t.Differs == 0 && t.Unclaimed <= t.Unknown
}

// String tells everything in a few lines.
func (t Tally) String() string {
	s := fmt.Sprintf("acknowledged: %d committed, %d aborted, %d unknown; served without an entry: %d; not served: %d, aborted but served: %d, served differently: %d",
		t.Committed, t.Aborted, t.Unknown, t.Unclaimed, t.NotServed, t.AbortedServed, t.Differs)
	for _, v := range t.Violations {
		s += "\n  " + v
	}
	return s
}

// Committed is the number of records acknowledged and not aborted so far.
func (l *Ledger) Committed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, es := range l.entries {
		for _, e := range es {
			if l.outcomes[e.tx] == Committed {
				n++
			}
		}
	}
	return n
}

// Compare holds the ledger against what Kafka serves. Records below a partition's log start are passed over.
func (l *Ledger) Compare(truth *Truth) Tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := Tally{Unknown: l.unknown}
	tell := func(count *int, format string, args ...any) {
		*count++
		if len(t.Violations) < shown {
			t.Violations = append(t.Violations, fmt.Sprintf(format, args...))
		}
	}
	for _, s := range truth.Partitions {
		claimed := 0
		for _, e := range l.entries[partition{s.Identity.Topic, s.Identity.Partition}] {
			if e.offset < s.Start {
				continue
			}
			i, served := s.find(e.offset)
			if served {
				claimed++
			}
			switch l.outcomes[e.tx] {
			case Committed:
				t.Committed++
				if !served {
					tell(&t.NotServed, "%s: offset %d was acknowledged and is not served", s.Name(), e.offset)
				} else if d := e.print.differences(e.print.serverSide(s.prints[i])); len(d) > 0 {
					tell(&t.Differs, "%s: offset %d was produced with another %v", s.Name(), e.offset, d)
				}
			case Aborted:
				t.Aborted++
				if served {
					tell(&t.AbortedServed, "%s: offset %d was aborted and is served", s.Name(), e.offset)
				}
			default:
				t.Unknown++
			}
		}
		t.Unclaimed += s.Len() - claimed
	}
	return t
}

// serverSide is what Kafka serves, with the producer's word for what the producer does not decide: the leader epoch,
// and the timestamp where the broker stamps it.
func (f fingerprint) serverSide(kafka fingerprint) fingerprint {
	kafka.epoch = f.epoch
	if kafka.kind == 1 {
		kafka.timestamp = f.timestamp
	}
	kafka.kind = f.kind
	return kafka
}

// Explain says what the ledger knows of an offset.
func (l *Ledger) Explain(topic string, number int32, offset int64) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries[partition{topic, number}] {
		if e.offset == offset {
			return [...]string{"in a running transaction", "committed", "aborted", "in a transaction of unknown end"}[l.outcomes[e.tx]]
		}
	}
	return "not in the producer's ledger: a control record, or nothing at all"
}

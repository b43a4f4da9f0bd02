package sim

import (
	"fmt"
	"time"
)

// kind is what a fault does.
type kind uint8

// Weather lasts a while and hits requests by chance; the others happen once.
const (
	lostRequest kind = iota
	lostResponse
	lateRequest // arrives long after the client gave it up
	lostAck
	wrongAck
	cutSession
	cleanEOF
	slow
	status429
	status502
	status503 // may have had its effect
	status409
	denied
	staleTail
	shortPage
	kafkaErrors
	epochUnknown
	commitLost
	commitAnswerLost
	letterLost // the dead letter topic takes nothing
	letterAnswerLost
	weatherKinds // those above

	crash
	staticCrash // the same member id comes back: equal generation
	crashAt     // at a named point
	staticCrashAt
	pause
	pauseAt
	twin // a second process with the id of one that stands still
	moveOne
	evictAlive // the group throws a member out that runs: it hears of it late
	deleteGroup
	election
	compact
	largeRecord // one that is cut into chunks
	falseAlarm  // a leader that is behind calls the position out of range
	addPartition
	foreignCommit // somebody else commits for the group
	movedCommit   // a tool moves the group's commit, and keeps our metadata
	learnIDs      // the brokers have topic ids from now on
	strayAnswer   // an operator answers whatever there is, or is not

	// What a promise may end at.
	deleteStream
	trim
	foreignAppend
	clearToken
	changeToken
	rivalToken
	truncate
	rewrite // what the commit passed is cut off and written anew, and retention takes of that
	expire
	recreateTopic
	bigRecord
	tornChunk
	rivalWar // another bridge of the same identity that fences again and again
	rollBack // S2 loses what was appended last
	newerFormat
	truncateAt // at a named point
	expireAt
	rollBackAt
	restore // the cluster comes back under another id, with the same log
	kindCount
)

var kindNames = [kindCount]string{
	lostRequest: "lost-request", lostResponse: "lost-response", lateRequest: "late-request", lostAck: "lost-ack",
	wrongAck: "wrong-ack", cutSession: "cut-session", cleanEOF: "clean-eof", slow: "slow",
	status429: "status-429", status502: "status-502", status503: "status-503", status409: "status-409", denied: "denied",
	staleTail: "stale-tail", shortPage: "short-page", kafkaErrors: "kafka-errors", epochUnknown: "epoch-unknown",
	commitLost: "commit-lost", commitAnswerLost: "commit-answer-lost", letterLost: "letter-lost", letterAnswerLost: "letter-answer-lost", weatherKinds: "?",
	crash: "crash", staticCrash: "static-crash", crashAt: "crash-at", staticCrashAt: "static-crash-at", pause: "pause", pauseAt: "pause-at",
	twin: "twin", moveOne: "move", evictAlive: "evict-alive", deleteGroup: "delete-group", election: "election", compact: "compact", falseAlarm: "false-alarm", largeRecord: "large-record",
	addPartition: "add-partition", foreignCommit: "foreign-commit", movedCommit: "moved-commit", learnIDs: "learn-ids", strayAnswer: "stray-answer", rollBack: "roll-back", truncateAt: "truncate-at", expireAt: "expire-at", rollBackAt: "roll-back-at", newerFormat: "newer-format", restore: "restore",
	deleteStream: "delete-stream", trim: "trim", foreignAppend: "foreign-append", clearToken: "clear-token",
	changeToken: "change-token", rivalToken: "rival-token", rivalWar: "rival-war", truncate: "truncate", rewrite: "rewrite", expire: "expire",
	recreateTopic: "recreate-topic", bigRecord: "big-record", tornChunk: "torn-chunk",
}

func (k kind) String() string { return kindNames[k] }

var refusals = []struct {
	kind   kind
	status int
}{{status429, 429}, {status502, 502}, {status503, 503}, {status409, 409}, {denied, 403}}

// points are where a process may be hit; the first ones every owner passes.
var points = []string{
	"after-ask", "after-create-sent", "after-fence-sent", "after-fence-acked", "after-read", "after-send", "after-ack",
	"after-mark", "before-commit", "after-commit", "in-revoke", "in-drain",
	"after-locate", "after-recall", "after-overwrite-sent", "after-overwrite", "after-letter-sent", "after-letter", "after-gap-sent", "after-gap-acked", "after-epoch", "after-range",
}

const commonPoints = 12

// fault is one entry of a run's plan.
type fault struct {
	index   int
	kind    kind
	at      time.Duration
	lasts   time.Duration // weather, pauses
	part    int           // partition, -1: all
	percent int           // weather: how often
	slot    int           // process
	point   string
	ordinal int
	dice    dice
}

func (f *fault) String() string {
	s := fmt.Sprintf("%d:%s@%.3fs", f.index, f.kind, f.at.Seconds())
	if f.point != "" {
		s += fmt.Sprintf("(%s#%d)", f.point, f.ordinal)
	}
	if f.lasts > 0 {
		s += fmt.Sprintf("+%.1fs", f.lasts.Seconds())
	}
	if f.part >= 0 {
		s += fmt.Sprintf("/p%d", f.part)
	}
	return s
}

// shape is how large a run is.
type shape struct {
	partitions, processes int
	records               int
	horizon               time.Duration // faults and producers end here
	faults                int
}

func drawShape(d dice) shape {
	return shape{
		partitions: d.between(1, 3), processes: d.between(1, 3), records: d.between(10, 80),
		horizon: d.span(5*time.Second, 30*time.Second), faults: d.between(2, 14),
	}
}

// drawPlan draws the faults of a run. One run in three has faults that may end
// the promise for a partition.
func drawPlan(seed uint64, d dice, s shape) []*fault {
	world := d.chance(3)
	plan := make([]*fault, s.faults)
	for i := range plan {
		f := &fault{index: i, part: -1, dice: newDice(seed, 100+uint64(i))}
		f.at = d.span(0, s.horizon)
		f.slot = d.IntN(s.processes)
		f.part = d.IntN(s.partitions)
		switch n := d.IntN(20); {
		case world && n < 7:
			f.kind = deleteStream + kind(d.IntN(int(kindCount-deleteStream)))
		case n < 11:
			f.kind = kind(d.IntN(int(weatherKinds)))
			f.lasts = d.span(100*time.Millisecond, 10*time.Second)
			f.percent = []int{5, 20, 50, 100}[d.IntN(4)]
			if d.chance(3) {
				f.part = -1
			}
		default:
			f.kind = crash + kind(d.IntN(int(deleteStream-crash)))
		}
		switch f.kind {
		case epochUnknown, staleTail:
			f.lasts = min(f.lasts, 1500*time.Millisecond) // longer, and it is no lag of a replica
		case rivalWar:
			f.lasts = d.span(20*time.Second, 100*time.Second)
		case pause, pauseAt, twin:
			f.lasts = d.span(10*time.Millisecond, 25*time.Second)
		}
		switch f.kind {
		case crashAt, staticCrashAt, pauseAt:
			f.point, f.ordinal = points[d.IntN(commonPoints)], d.between(1, 5)
			if d.chance(3) {
				f.point, f.ordinal = points[commonPoints+d.IntN(len(points)-commonPoints)], 1
			}
			f.at /= 2
		case truncateAt, expireAt, rollBackAt:
			f.point, f.ordinal = points[d.IntN(len(points))], d.between(1, 3)
		}
		plan[i] = f
	}
	return plan
}

package sim

import "kafka-s2-bridge/handoff"

// Bug describes a planted bug.
type Bug struct {
	Name  string
	Story string
	Right bool   // a correct variant: it must pass
	Focus string // what the runs are full of, "" nothing: see focus.go
}

// Bugs lists those that can be planted: from outside (bugs.go), and in the
// machine (handoff.Defect).
var Bugs = []Bug{
	{"commit-on-submit", "commits what was sent, not what was acknowledged", false, ""},
	{"commit-polled", "commits what was fetched", false, ""},
	{"412-own-success", "takes a 412 for the sign that its own append landed before", false, "lost-ack"},
	{"blind-resend", "sends what is unacknowledged again by itself, without a sequence number (an SDK's retry)", false, ""},
	{"no-fence-no-match", "appends without token and without sequence number", false, ""},
	{"static-token-no-match", "always the same token, no sequence number", false, ""},
	{"static-token", "always the same token, with the sequence number", true, ""},
	{"no-match", "a fresh token a time, no sequence number, no resend: another writer goes unnoticed", false, ""},
	{"read-before-fence", "reads the position first and fences then", false, ""},
	{"resume-from-commit", "goes on at the group's commit", false, ""},
	{"ack-unchecked", "takes any ack for the oldest append in flight", false, "wrong-ack"},
	{"late-ack", "takes an old session's ack for the new session's", false, "slow,wrong-ack"},
	{"mark-after-revoke", "commits for a partition that it has given up", false, ""},
	{"fence-blindly", "fences without the condition of the token that it has seen", false, "change-token"},
	{"no-identity-check", "takes any token for one of its own identity", false, "change-token"},
	{"swapped", "sends two batches in flight in each other's place", false, ""},
	{"silent-reset", "lets the client reset a position out of range by itself", false, "expire"},
	{"cut-ignored", "takes what was fetched before a seek for what comes after it", false, "false-alarm"},
	{"no-metadata", "commits offsets without metadata", false, ""},
	{"any-commit", "believes a commit whoever made it, and whatever its metadata say", false, "foreign-commit,latest"},
	{"reads-at-commit", "begins to read at the group's commit, though its metadata count less", false, "moved-commit"},
	{"control-uncommitted", "never commits past control records", false, ""},
	{"parts-at-once", "commits the topic's new partition count before the new partition has a commit", false, "add-partition,evict-alive,latest"},

	inside(handoff.SingleLook, "holds at the first tail below the floor", "stale-tail"),
	inside(handoff.NoFloor, "takes a stream that was made anew, or lost its end, as it is", "roll-back,delete-stream"),
	inside(handoff.EagerZombie, "fences again at once when it was fenced out", ""),
	inside(handoff.ZeroIDStranger, "does not know its own token from before topic ids", "learn-ids,nameless"),
	inside(handoff.TornCounts, "takes a torn chunk for its whole record", "large-record,torn-chunk"),
	inside(handoff.GapOverread, "overlooks gap markers when it reads back", "expire,crash,gap"),
	inside(handoff.ProofUnchecked, "believes a commit although records behind what it counts were trimmed", "trim,crash,commit-lost"),
	inside(handoff.EpochUnasked, "does not ask Kafka whether its log still has the position", "truncate,crash"),
	inside(handoff.CommitBelieved, "takes what retention took below the commit for control records, without asking", "rewrite,crash,transactional,alone"),
	inside(handoff.RewriteUnseen, "drops records at or below durable without a look at their epoch", "truncate-at,evict-alive"),
	inside(handoff.InflightDropped, "does not send again what was in flight", ""),
	inside(handoff.InflightDisorder, "sends what was in flight again in another order", ""),
	inside(handoff.ChunksContinued, "goes on in the middle of a record that was cut", "large-record,lost-ack"),
	inside(handoff.CommitAtOpen, "commits before its open marker is acknowledged", ""),
	inside(handoff.FenceWhileLeaving, "begins an acquisition while it drains", ""),
	inside(handoff.ControlBare, "commits past control records without metadata", ""),
	inside(handoff.MarksFall, "lets commits fall", ""),
	inside(handoff.NewByPolicy, "begins a partition that was added where the policy says", "add-partition,latest"),
	inside(handoff.StartAnew, "looks latest up again by each acquisition", "latest,lost-response"),
	inside(handoff.EndUnawaited, "reads above Kafka's end instead of waiting for it", "beyond"),
	inside(handoff.GapUnasked, "gives up what retention took without leave", "expire,crash"),
	inside(handoff.CutUnasked, "gives up what a truncation took without leave", "truncate,crash"),
	inside(handoff.CutMinimized, "names the last offset only of what a truncation took", "truncate,crash,gap"),
	inside(handoff.WordKept, "takes an operator's word for good", "clear-token,change-token,asked"),
	inside(handoff.GapCommitted, "commits past a gap marker that is on its way", "expire,crash,gap"),
	inside(handoff.GapSlipped, "lets control records take the commit past a gap marker that is on its way", "expire,pause,gap,transactional"),
	inside(handoff.GapRemembered, "takes a gap marker that did not land for one that did", "delete-stream,lost-ack,gap"),
	inside(handoff.GapUnheard, "tells nobody of a gap marker whose ack was lost", "lost-ack,expire,gap"),
	inside(handoff.AppendFirst, "replays before the lower commit is confirmed", "roll-back,replay"),
	inside(handoff.LostBeginsAnew, "begins a stream that S2 lost where the policy says today", "delete-stream,latest,replay"),
	inside(handoff.AdoptBlindly, "adopts without comparing", "change-token,recreate-topic,asked"),
	inside(handoff.AdoptionTrusted, "takes a stream whose adoption nobody finished for its own", "clear-token,asked,crash-at,lost-ack"),
	inside(handoff.LetterAssumed, "takes a dead letter for delivered", "big-record,letter-lost,letter"),
	inside(handoff.RefusedUnmarked, "leaves a record out without a marker", "big-record,skip"),
	inside(handoff.RefusedEpoch, "commits a record that it left out with the epoch before", "big-record,election,move,skip,latest"),
}

func inside(d handoff.Defect, story, focus string) Bug {
	return Bug{Name: string(d), Story: story, Focus: focus}
}

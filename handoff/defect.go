package handoff

// Defect plants one mistake into a machine, so that the simulation (tests/sim)
// can show that it would find it. It is for the simulation only: nothing else
// sets Config.Defect, and each is consulted at the one place where the rule
// stands that it breaks.
type Defect string

// The defects, in the order of the rules that they break.
const (
	// Acquire.
	SingleLook        Defect = "single-look"       // one tail below the floor is enough to hold
	NoFloor           Defect = "no-floor"          // S2 may have lost data: nobody looks
	EagerZombie       Defect = "eager-zombie"      // fences again at once when it was fenced out
	ZeroIDStranger    Defect = "zero-id-stranger"  // a token from before topic ids is somebody else's
	TornCounts        Defect = "torn-counts"       // the position is that of a chunk that is not its record's last
	GapOverread       Defect = "gap-overread"      // the position is that of the record below a gap marker
	ProofUnchecked    Defect = "proof-unchecked"   // a commit proves the position whatever was trimmed behind it
	EpochUnasked      Defect = "epoch-unasked"     // Kafka is not asked whether its log still holds the position
	CommitBelieved    Defect = "commit-believed"   // nor whether what the commit passed, and retention took since, held no data
	RewriteUnseen     Defect = "rewrite-unseen"    // records at or below durable are dropped without a look at their epoch
	InflightDropped   Defect = "inflight-dropped"  // what was in flight is not sent again
	InflightDisorder  Defect = "inflight-disorder" // or in another order
	ChunksContinued   Defect = "chunks-continued"  // a record that was cut goes on in its middle
	CommitAtOpen      Defect = "commit-at-open"    // commits before its open marker is acknowledged
	FenceWhileLeaving Defect = "fence-draining"    // an error while it drains begins another acquisition
	ControlBare       Defect = "control-bare"      // commits that pass control records say nothing of what they count
	MarksFall         Defect = "marks-fall"        // a commit may be lower than the one before
	NewByPolicy       Defect = "new-by-policy"     // a partition that began later begins where the policy says
	StartAnew         Defect = "start-anew"        // latest is looked up again by each acquisition
	EndUnawaited      Defect = "end-unawaited"     // reads above Kafka's end instead of waiting for it

	// Losses.
	GapUnasked      Defect = "gap-unasked"      // gives up what retention took without leave
	CutUnasked      Defect = "cut-unasked"      // gives up what a truncation took without leave
	CutMinimized    Defect = "cut-minimized"    // a truncation's marker names the last offset only
	WordKept        Defect = "word-kept"        // an operator's word is good for ever
	GapCommitted    Defect = "gap-committed"    // the commit passes a gap marker that is on its way
	GapSlipped      Defect = "gap-slipped"      // control records behind a gap take the commit past its marker
	GapRemembered   Defect = "gap-remembered"   // a gap marker that did not land is thought to have landed
	GapUnheard      Defect = "gap-unheard"      // a gap marker whose ack is lost is not told of
	AppendFirst     Defect = "append-first"     // replay appends before the lower commit is confirmed
	LostBeginsAnew  Defect = "lost-begins-anew" // a stream that S2 lost begins where the policy says today
	AdoptBlindly    Defect = "adopt-blindly"    // adopts without comparing
	AdoptionTrusted Defect = "adoption-trusted" // an adoption that nobody finished counts as done
	LetterAssumed   Defect = "letter-assumed"   // a dead letter counts as delivered whatever the answer
	RefusedUnmarked Defect = "refused-unmarked" // a record that is left out leaves no marker
	RefusedEpoch    Defect = "refused-epoch"    // it is committed with the epoch of the record before
)

func (m *Machine) has(d Defect) bool { return m.cfg.Defect == d }

// Defects lists them all.
func Defects() []Defect {
	return []Defect{
		SingleLook, NoFloor, EagerZombie, ZeroIDStranger, TornCounts, GapOverread, ProofUnchecked, EpochUnasked,
		CommitBelieved, RewriteUnseen, InflightDropped, InflightDisorder, ChunksContinued,
		CommitAtOpen, FenceWhileLeaving, ControlBare, MarksFall, NewByPolicy, StartAnew, EndUnawaited, GapUnasked,
		CutUnasked, CutMinimized, WordKept, GapCommitted, GapSlipped, GapRemembered, GapUnheard, AppendFirst, LostBeginsAnew,
		AdoptBlindly, AdoptionTrusted, LetterAssumed, RefusedUnmarked, RefusedEpoch,
	}
}

package sim

import "kafka-s2-bridge/handoff"

// Windows names what must happen at least once in some thousand runs: every
// kind of fault, every instant that hazards are about, every way from phase to
// phase, every reason to hold that the world here can give.
func Windows() []string {
	names := []string{
		"412-own-success", "aborted-transaction", "chunks-complete", "chunks-torn", "append-seq-mismatch", "commit-rejected", "data-loss-noticed", "drain-deadline",
		"false-alarm-while-reading", "fence-landed-while-leaving", "fence-race-lost", "late-ack-of-old-session", "late-append",
		"late-fence-landed", "late-notice", "owner-append-fenced", "rebalance", "zombie-append-rejected", "zombie-commit-rejected",
		"zombie-of-deleted-group", "end flowing", "end idle",
	}
	for k := range kindCount {
		if k != weatherKinds {
			names = append(names, k.String())
		}
	}
	for _, p := range points {
		names = append(names, "passed "+p, "struck "+p)
	}
	for _, r := range handoff.Reasons() {
		if r != handoff.FormatUnknown { // nothing here writes another version
			names = append(names, "held "+string(r))
		}
	}
	for _, way := range []string{
		"locating -> idle", "locating -> held", "idle -> acquiring", "idle -> held", "acquiring -> flowing", "acquiring -> held",
		"flowing -> acquiring", "flowing -> held", "flowing -> draining", "held -> acquiring", "held -> locating",
		"locating -> released", "idle -> released", "acquiring -> released", "flowing -> released", "draining -> released", "held -> released",
	} {
		names = append(names, "phase "+way)
	}
	return names
}

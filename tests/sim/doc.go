// Package sim runs the bridge's real hand-over machine (handoff.Machine, not a
// model of it) in a world that one seed decides from end to end: time, the
// order of everything, crashes, pauses, rebalances, faults of the network, what
// the configuration says, what other people do to Kafka's log and to the S2
// stream, and what an operator answers when a partition is held.
//
//	         plan (faults, from the seed or a fuzzer's script), policy
//	           |
//	group --> process --- owner: driver + Machine ---> network ---> stream (S2)
//	  ^        |  ^             ^  |                     |            |
//	  |     commits |  fetches  |  |  answers            +-- acks <---+
//	  |        v    |           |  v                                  |
//	  +---- Kafka partition     operator                              |
//	        log, epochs, commits, dead letters ------> oracle <-------+
//
// One goroutine a world, virtual time, one source of random numbers a purpose: a
// seed is one run, bit for bit. The oracle looks at every append that lands and at
// every commit, when it happens; at the end it wants lag 0, or a hold whose reason
// is true.
//
//	oracle.go, chunks.go    what lands: data, fences
//	opened.go               where a stream begins, and goes on
//	losses.go               gap markers: leave, and truth
//	commits.go              what a commit may pass
//	watch.go                phases, holds, the end
//	facts.go                what machines say of themselves, acknowledged records, fences
//	transitions.go          which event meets which phase
//
// What nobody could know is no failure, but has a name and is counted (windows.go):
// where a truncation and retention, a trim or another truncation fall together, the
// record is gone that would have told; so where a tool has moved a commit.
//
// Bugs are planted to test the oracle (mutants.go): in the driver and the network
// (bugs.go), and in the machine (handoff.Defect).
//
// It must not know the machine's insides: it speaks Events and Actions with
// it, reads Status, and judges by what is in the stream and in the group.
package sim

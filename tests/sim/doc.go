// Package sim runs the bridge's real hand-over machine (handoff.Machine, not a
// model of it) in a world that one seed decides from end to end: time, the
// order of everything, crashes, pauses, rebalances, faults of the network, and
// what other people do to Kafka's log and to the S2 stream.
//
//	         plan (faults, from the seed)
//	           |
//	group --> process --- owner: driver + Machine ---> network ---> stream (S2)
//	  ^        |  ^             |                        |            |
//	  |     commits |  fetches  |                        +-- acks <---+
//	  |        v    |           v                                     |
//	  +---- Kafka partition (log, epochs, commits) ----> oracle <-----+
//
// One goroutine, virtual time, one source of random numbers a purpose: a seed
// is one run, bit for bit. The oracle looks at every append that lands and at
// every commit, when it happens; at the end it wants lag 0, or a hold whose
// reason a fault of the plan explains.
//
// It must not know the machine's insides: it speaks Events and Actions with
// it, reads Status, and judges by what is in the stream and in the group.
package sim

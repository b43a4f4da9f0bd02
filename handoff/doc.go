// Package handoff owns one partition: it takes records from Kafka and hands
// them to one S2 stream, exactly once. Exactly-once lives here and nowhere else.
//
//	source                  handoff                             sink
//	Fetched ---> mailbox ---> Machine.Step ---> Send ---------> append session
//	                          machine.go            <--- Acked, Ended
//	Mark    <-------------------+  |
//	                               +---> Ask, Fence, Read ----> requests, one at a time
//
// Machine is pure: an event goes in, actions come out. It has no goroutine, no
// clock, no I/O and no random numbers of its own. Owner is the goroutine that
// drives one Machine: it carries actions out and feeds back what became of
// them.
//
//	machine.go   the protocol: acquire, send, acknowledge, recover, release
//	check.go     step 4: do both sides still have the history
//	readback.go  the position, read backwards from the fence
//	intake.go    what Kafka serves: records, control records, trouble
//	flow.go      timers, the window, commits, letting go
//	start.go     where reading starts, and starts again
//	weigh.go     where the copy goes on, against what Kafka has
//	token.go     whose stream it is: identities, take-overs, rivals
//	hold.go      the closed list of reasons for which a partition stops
//	answer.go    losses, and what an operator says to them: gap markers
//	refuse.go    records that cannot be copied
//	adopt.go     a stream that does not look like ours, compared with Kafka
//	step.go      which event goes where
//	event.go     events and actions
//	config.go    what a machine is told; policy.go what a topic's policy says
//	owner.go     the goroutine
//	request.go   what it asks S2 and Kafka
//
// It must not know how Kafka or S2 are spoken to: it declares the two small
// interfaces that it needs (Partition, Stream) and imports neither client.
package handoff

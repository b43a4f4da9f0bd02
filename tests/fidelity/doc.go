// Package fidelity shows that what Kafka holds arrives in S2 as it is: every byte, every null, every timestamp, nothing that was
// aborted, and nothing that could not be copied without a word.
//
//	records that are hard to copy --> kfake ----+           +---> s2mem --> the oracle compares
//	  (kgo, or batches made by hand)            |           |
//	                                       bridge run (the real binary, killed where it hurts)
//
// The names of the tests carry the numbers of the stories that they play: T37 to T51, failures of other programs that move
// records out of Kafka. Where a topic has several partitions, each is a case of its own, so that one bridge copies them all.
//
// It imports no code of the bridge: only its command line, its configuration keys, its HTTP endpoint and its streams.
package fidelity

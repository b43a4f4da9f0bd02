// Package produce writes records of all shapes into Kafka, and notes in a ledger what Kafka acknowledged.
//
//	Shapes (seed, n) -> record n ---burst---> plain producer, one a codec ----> Kafka --ack--> oracle.Ledger
//	                            \--burst---> transactional producer: commit, or abort --/
//
// Record n of a seed is always the same. Its shape is chosen to hurt a bridge: null and empty keys and values,
// binary bytes, header names that the bridge's own format or S2's commands use, old and odd timestamps, sizes from nothing
// to MaxValue. It runs against Apache Kafka, Redpanda and kfake alike, and knows nothing of the bridge.
package produce

// Package offsets is the arithmetic between Kafka offsets and S2 sequence
// numbers: what is in flight, how far the stream is, what may be committed.
//
//	sent ---> [ batch | batch | batch ] ---> acknowledged ---> Mark ---> OffsetCommit
//	           Window, oldest first          start and end     offset + Meta
//	                                         must be expected
//
// It is pure: it knows no Kafka client, no S2 connection, no clock and no
// goroutine, and nothing of what a record looks like.
package offsets

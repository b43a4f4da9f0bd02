// Package s2mem is an S2 server in memory, in the manner of httptest and
// kfake: the tests of every room run against it, and so does `bridge demo`.
//
//	 client            s2mem
//	+------+  HTTP/1  +---------+     +--------+     +------------------+
//	| unary|--------->|  route  |---->| faults |---->| basin > stream   |
//	+------+  h2c/h2  | auth    |     | before |     |  records, token, |
//	+------+          | basin   |     | after  |     |  tail: accepted  |
//	| S2S  |=========>|         |     +--------+     |    and durable   |
//	| frame|<===acks==| session |<--when durable-----|  flush timer     |
//	+------+          +---------+                    +------------------+
//	                                                   | one lock
//	                             Records, Tail, Token, | OnAppend, Trim,
//	                             SetToken, Delete  <---+ for the tests
//
// Its answers are those of s2-lite 0.43.4; tests/conformance runs one suite
// against both. What it adds is what a test needs and a real server cannot
// give: faults at a chosen request (see [Fault]), inspection under the lock,
// access tokens, a frozen network, and an ack-only mode for benchmarks.
//
// A batch is first accepted (sequenced, conditions checked, token changed) and
// then durable (visible, counted in the tail, acknowledged). With
// Options.FlushDelay zero both happen at once. An append that was accepted
// before its client gave up becomes durable afterwards, as on the real server.
//
// Nothing depends on real time but FlushDelay, the waiting of reads and record
// timestamps, all through package time, so that the server runs inside a
// testing/synctest bubble on a virtual listener. Close leaves no goroutine.
//
// The package must not know what the bridge puts into records: no import of
// any other package of this module.
package s2mem

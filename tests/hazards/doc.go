// Package hazards keeps docs/hazards.md true: for each hazard a row, in each row tests that exist, or a reason why the hazard
// does not apply here.
//
//	docs/hazards.md --rows--> references --names--> test functions and their subtests   (go/parser)
//	                                                transcripts of the machine          (handoff/testdata)
//	                                                windows and planted bugs            (tests/sim)
//	                                                what disturbs bubbles and sockets   (tests/synctest, tests/network)
//	                                                points at which a process dies      (handoff/crashpoint_on.go)
//
// Besides, here are tests of hazards that have no other home: what a clock that jumps may do (clock_test.go), what ten thousand
// partitions cost (many_test.go), and the tests of the checks that other tests make online (watch_test.go).
//
// Whether a test holds what its row says, only a reader can tell. That the row's words lead somewhere, a test can.
package hazards

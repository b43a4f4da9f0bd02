// Package chaos kills real bridges, and counts what it cost: no record may be lost, doubled, moved
// or altered.
//
//	          +-- feed: records of all shapes, without a pause
//	          v
//	Kafka process --> bridges: processes of one group, of two versions --> S2 process
//	   |                    ^ dies, or stops, at a named point of the protocol     |
//	   |                    ^ SIGKILL, SIGTERM, SIGSTOP and SIGCONT at any time     |
//	   |                                                                           |
//	   +--> oracle: what Kafka serves == what the streams hold, byte by byte <------+
//
// The servers are either kfake and s2mem, as processes (OpenMemory; this very program is started
// again for them), or Apache Kafka and s2-lite on disk, which are killed too (OpenReal). Crash
// points need a bridge that was built with the tag crashpoints (handoff/crashpoint_on.go).
//
// Nothing here can pass by doing nothing: each crash point leaves a word before it kills, and that
// word must be in the log once for every crash; a kind of misfortune that never happened fails the
// test; a zombie must be seen to be refused.
//
// The package knows the bridge by its command line, its configuration and its log, and imports none
// of its code. The command in cmd plays it for an audience: go run ./tests/chaos/cmd.
package chaos

// Package losses plays what Kafka and S2 may lose, and what an operator answers, with the real bridge as a process.
//
//	test --Settings--> bridge run            bridge partitions, resume, gaps: as an operator types them
//	  |                   |        \________ /api/v1/partitions, /readyz, /metrics, log
//	  |                kfake (on files)  s2mem
//	  |                   |                |
//	  +-- deletes, cuts, re-creates        +-- trims, rewinds, deletes, writes as a stranger
//	  |
//	  +-- history: all that Kafka ever served <--oracle--> the streams; gaps only where somebody gave records up
//
// Each story has the same end: nothing is lost, doubled or mixed in silence. The partition stands and says why, with the
// offsets, in all the places where an operator looks; its neighbours flow; and after the answer the stream is exact again, but
// for what the answer gave up, which a gap marker names.
//
// The names of the tests carry the numbers of the stories that they play: T, failures of other programs that move records out of
// Kafka; H, hazards of this one. A test sees to it that none is missing.
//
// It imports no code of the bridge: only its command line, its configuration keys, its HTTP endpoint and its streams.
package losses

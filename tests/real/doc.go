// Package real runs the bridge, as a user would, between Apache Kafka and s2-lite on disk, and breaks things meanwhile.
//
//	produce --> Apache Kafka --> bridge one, bridge two (one group) --> s2-lite on disk
//	               |                   ^ SIGKILL, again and again          ^ SIGKILL, twice
//	               |                   +------------- chaos ---------------+
//	               +--> oracle: what Kafka serves == what the streams hold, byte for byte; lag 0
//
// Everything has the build tag "real": make test-real. It needs Java 17 and Maven (for Kafka) and s2 (S2_LITE_BIN, PATH, or
// cargo builds it once, some 11 minutes). The folders beside this file start the processes: proc, kafka, s2lite, bridge.
// REAL_RECORDS and REAL_SEED change size and randomness of the main job.
package real

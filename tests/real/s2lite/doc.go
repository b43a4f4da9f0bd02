// Package s2lite starts s2-lite, the S2 server in the s2 command line, for tests, benchmarks and demonstrations.
//
//	S2_LITE_BIN, or s2 on PATH, or cargo install s2-cli (once, about 11 minutes)   (Binary)
//	          |
//	Options --+--> s2 lite --port <p> [--local-root <dir>] --init-file <basin>     (Start, Restart)
//	                 127.0.0.1:<p>/health ... Stop = SIGTERM, Kill = SIGKILL
//
// Port and root stay the same over Stop, Kill and Restart. Without a root everything is in memory and gone after
// a restart. It knows nothing of the bridge or of Kafka.
package s2lite

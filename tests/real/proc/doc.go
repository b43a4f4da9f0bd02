// Package proc runs the programs that the tests are made of: a Kafka broker, an s2-lite server, a bridge.
//
//	test -> Start(Spec) -> Child --log--> file
//	           |             |
//	           |             +-- Stop: SIGTERM, wait, SIGKILL    Kill: SIGKILL, wait
//	           +-- dies with its parent (Linux), so that a panicking test leaves nothing behind
//
// It knows nothing of Kafka, S2 or the bridge: processes, ports, files and waiting only.
// Only children that this package started are ever signalled, by their process id.
package proc

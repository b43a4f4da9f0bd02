// Package s2s is the wire form of S2's append sessions and unary protobuf
// bodies: frames, terminal frames, and the few protobuf messages in them.
//
//	 3 bytes     1 byte   length - 1 bytes
//	+-----------+--------+------------------------------------------+
//	| length    | flag   | body                                     |
//	| big-endian| TCCR...| AppendInput, AppendAck, ReadBatch, or    |
//	|           |        | for T: status (2 bytes) and JSON text    |
//	+-----------+--------+------------------------------------------+
//
//	T  terminal: the last frame of a session, from the server only
//	CC compression of the body: 0 none, 1 zstd, 2 gzip
//	R  reconnect advised: the server is about to go away
//
// It turns bytes into values and values into bytes and does nothing else. It
// must not know Kafka, streams, HTTP, sessions, retries or time.
package s2s

// Package mapping turns Kafka records into S2 records and back.
//
//	          Kafka                        S2 stream
//	+----------------------+      +-----------------------------+
//	| offset, epoch, time  | ---> | header ~   position         |
//	| key                  | ---> | header ~k  key              |
//	| header a             | ---> | header a                    |   Pack, Batch
//	| header ~b            | ---> | header ~~~b                 |   ---------->
//	| header c = null      | ---> | header ~0c                  |
//	| value                | ---> | body                        |   <----------
//	+----------------------+      +-----------------------------+   Classify,
//	  (nothing in Kafka)          | header ~!  open or gap      |   Assembler
//	                              | body       JSON             |
//	                              +-----------------------------+
//
// A record that is too large for one S2 record goes in several: the first has
// the headers, each has a part of the value, and the position counts them.
//
// The layout is a published promise: docs/format.md describes it for readers
// in other languages and testdata holds vectors for them. Beside the records
// the package knows who a stream belongs to (Identity, Token) and what it is
// called (Template).
//
// Everything here is a function of its arguments. The package must not know
// how an S2 connection works, what a Kafka client does between two polls, or
// what time it is. Randomness for tokens comes in as bytes.
package mapping

// Command bench measures what the bridge costs, beside what reading and appending cost alone, in one run:
//
//	go run ./tests/bench          (make bench)
//
//	                            +-- read:   Kafka -> kgo -> thrown away
//	parent: Kafka 4.1, filled --+-- append: made-up records -> mapping -> sink session -> S2
//	        S2 that only acks   +-- bridge: Kafka -> `bridge run` -> S2
//	                                 each a process of its own, from its start to its end:
//	                                 MiB/s, CPU seconds a GiB (getrusage), peak memory (VmHWM)
//
// Records of 100 and 1,000 bytes in 8 partitions, each mover three times in turn, medians. The S2 server is tests/s2mem in
// its ack-only mode, a process too, with the HTTP/2 settings of s2-lite. The verdict, and the exit code: the bridge costs at
// most 1.2 times read + append, and its memory stays under memory.budget + 150 MiB.
//
// MiB count key and value bytes. Times are wall-clock from the process's start to its last record, joining the group
// included.
package main

// Package bubble runs the real parts of the bridge in testing/synctest bubbles:
// kgo, source, owners and the sink over HTTP/2, against kfake and s2mem, on a
// network and a clock that cost nothing.
//
//	seed -> plan: brokers, bridges, partitions, settings, 5 to 30 faults
//	          |
//	  bubble: Load ---> kfake ---> bridge 0, 1, 2 ---> s2mem      (bed)
//	                      `------- network: hosts, links --'
//	          faults: S2's answers, Kafka's errors, cut and frozen links,
//	                  crashes, restarts, zombies
//	          then they end, the bridges catch up, and the oracle judges
//
// The tests need the build tag synctests, which makes kgo's mutexes visible to
// the bubble; without it they would hang. Runs repeat well, but not to the bit:
// kgo has random numbers of its own, and goroutines are scheduled as they are.
//
// It must not know the inside of any part: it sees what Kafka and S2 see.
package bubble

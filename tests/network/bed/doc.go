// Package bed is what the two layers with real parts and false networks share:
// tests/synctest (virtual time, virtual network) and tests/network (loopback
// TCP through a proxy that does harm).
//
//	Load ---acks---> oracle.Ledger
//	  |
//	  v
//	kfake ----> Member: source, handoff, sink, wired as cmd/bridge does ----> s2mem
//	  |  `--commits--> Watch <--appends made durable--------------------------'  |
//	  `------------------------------> Judge <----------------------------------'
//
// Watch looks at every commit at the moment when Kafka gets it, and at every
// batch at the moment when S2 makes it durable. Judge compares both sides in
// the end, by the oracle, which has no code of the bridge.
//
// The package must not know what kind of network and clock it runs on: dialers
// are handed in, and time is package time's.
package bed

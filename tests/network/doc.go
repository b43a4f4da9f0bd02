// Package network runs the bridge over real sockets that do it harm.
//
//	Load ------------------------> kfake brokers          s2mem
//	                                   ^                    ^
//	                              proxy a broker          proxy
//	                                   ^                    ^
//	bridge (bed.Member): source.Config.Dial            http://proxy
//
// A seed decides for every connection what becomes of it: cut after so many
// bytes up or down, half open, gone silent, delayed, in slices, or nothing. Then
// the harm ends, the bridges catch up, and the oracle judges.
//
// tests/synctest has more schedules, and no real sockets; here are real
// time-outs, resets, half-closed connections, HTTP/2 pings and flow control of
// the kernel, and writes that block.
package network

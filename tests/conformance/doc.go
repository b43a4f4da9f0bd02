// Package conformance holds one suite of what S2 answers, as cases over plain
// HTTP, and runs it against every server at hand:
//
//	            +-- HTTP/1.1 --> s2mem (always)
//	cases ------+-- h2c -------> s2mem (always)
//	own client, +-- HTTP/1.1 --> s2-lite, if S2_LITE_BIN names the s2
//	own decoder +-- h2c -------> program or s2 is on PATH
//
// The real server is the truth: where the two differ, s2mem has a bug. The cases
// must not know s2mem's API beyond starting it, nor any code of the bridge, and
// encode and decode the protocol by themselves.
package conformance

// Package sink talks to S2: it asks for tails and tokens, fences, reads pages
// back, creates streams, and carries append sessions over a few connections.
//
//	owner of a partition                                    S2
//	  | Ask, Create, Fence, Read --- unary request --------> |
//	  |                                                      |
//	  | Send(batch) -> body: header|batch|trailer, ... ----> | one POST a
//	  |                (net/http reads whole frames from it) | session
//	  | Acked, Ended <- one goroutine <- response frames --- |
//	  |                                                      |
//	  | Reserve: governor of batches a second                |
//	  |                                                      |
//	Stream --hash of name--> path 0..n-1 --> HTTP/2 connections
//	                         Suspect: new requests get a new connection
//
// What it must not know: Kafka offsets, positions, who owns what, and when to
// try again. There is no retry loop here, nor a hidden one in net/http: every
// request is sent once, on one connection, and every failure is handed to the
// caller as one *Error, whose outcome is unknown unless the caller can prove it.
package sink

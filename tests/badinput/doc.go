// Package badinput shows that the bridge, as a process, says plainly what is wrong with its surroundings, and gets over it.
//
//	test --Settings--> bridge run (the real binary) --> stderr, exit code, /readyz, /metrics
//	                      |                 |
//	                    door              door      a TCP port that is shut and opened again
//	                      |                 |
//	                    kfake             s2mem     in the test's process
//
// A trouble must be named where the operator looks (log, /readyz, metrics) within ten seconds; it must cost nothing but time;
// and no password or token may ever be printed. Every bridge that a test starts is held to the last by its clean-up.
//
// It imports no code of the bridge: only its command line, its configuration keys, its HTTP endpoint and its streams.
package badinput

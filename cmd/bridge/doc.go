// Command bridge copies Kafka partitions into S2 streams, exactly once.
//
//	                     main.go  run(ctx, args, in, out, err) -> exit code
//	                        |
//	  +---------+----------+----------+----------+
//	run.go    demo*.go   read*.go   gaps*.go   health.go partitions.go resume.go version.go
//	  |                                           |
//	config*.go    file + environment -> Config    remote.go   asks a running bridge
//	logging*.go   slog, secrets taken out           |
//	http*.go      /metrics /healthz /readyz, <------+
//	              the partitions, answers to holds
//	wire*.go      builds source, sink and owners, and runs them
//	s2_watch.go, retention.go  look at what nobody tells
//
// This is the only room with os.Exit, flags, the environment and configuration
// files. It must not know how a record is encoded or when an append counts:
// what it hands to the other rooms are settings, a logger and a context.
//
// Exit codes: 0 done, 1 failed or different, 2 bad usage or configuration
// (nothing was contacted), 3 could not tell.
package main

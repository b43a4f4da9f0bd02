// Command bridge copies Kafka partitions into S2 streams, exactly once.
//
//	                     main.go  run(ctx, args, in, out, err) -> exit code
//	                        |
//	  +---------+----------+----------+----------+-----------+
//	run.go    demo*.go   read*.go   gaps*.go   health.go   version.go
//	  |
//	config*.go  file + environment -> Config, every mistake at once
//	logging.go  slog, with the secrets taken out
//	http.go     /metrics /healthz /readyz
//	wire.go     builds source, sink and owners, and runs them
//
// This is the only room with os.Exit, flags, the environment and configuration
// files. It must not know how a record is encoded or when an append counts:
// what it hands to the other rooms are settings, a logger and a context.
//
// Exit codes: 0 done, 1 failed or different, 2 bad usage or configuration
// (nothing was contacted), 3 could not tell.
package main

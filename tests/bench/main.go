package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is the parent, or, with a mover's name in front, one of its children.
func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "server":
			return serve(ctx, args[1:])
		case "read":
			return read(ctx, args[1:])
		case "append":
			return appendAll(ctx, args[1:])
		}
	}
	p := plan{sizes: []size{{bytes: 100}, {bytes: 1000}}}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&p.sizes[0].records, "records100", 3_000_000, "records of 100 bytes")
	f.IntVar(&p.sizes[1].records, "records1000", 1_000_000, "records of 1,000 bytes")
	f.IntVar(&p.runs, "runs", 3, "runs of each mover; medians count")
	f.IntVar(&p.budget, "budget", 512, "memory.budget of the bridge, MiB")
	f.BoolVar(&p.noBridge, "no-bridge", false, "measure reading and appending only")
	if err := f.Parse(args); err != nil {
		return err
	}
	return p.run(ctx, out)
}

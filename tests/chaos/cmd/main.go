// Command cmd plays the chaos for an audience: real bridges between Apache Kafka and s2-lite on
// disk, everything killed, stopped and started again at random, a live count of what is lost and
// doubled, and in the end the oracle's verdict.
//
//	flags --> play --> chaos.Havoc (kills) + chaos.Live (counts) --> screen
//	                         |
//	                         +--> verdict --> text or JSON, exit code
//
// It knows nothing of the bridge but what package chaos knows: it builds it and runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"kafka-s2-bridge/tests/chaos"
)

type options struct {
	span       time.Duration
	kills      int // SIGKILLs, at least
	records    int // served by Kafka, at least
	memory     bool
	seed       uint64
	rate       int
	partitions int
	bridges    int
	old        string
	keep       string
	asJSON     bool
}

// The exit codes, as those of bridge demo.
const (
	exitVerified  = 0
	exitDifferent = 1
	exitUsage     = 2
	exitUnknown   = 3
)

const usage = `Kills bridges, Kafka and S2 at random while records flow, and proves that every record is in S2 exactly once.

Several bridges of one group, of two versions, copy a topic. Each is killed (SIGKILL), ended (SIGTERM), stopped for
less or more than its session (SIGSTOP, SIGCONT), and started again, all the time; so are the servers. A reader of its
own counts meanwhile what Kafka serves and what the streams hold. It goes on for the time given and until each kind of
misfortune has happened. Then all processes run, the bridges catch up, and the oracle compares every record, byte by
byte. Ctrl-C ends the misfortunes early, a second one everything.

Without -memory it needs Java 17 and Maven (Apache Kafka is fetched once), and s2 on PATH or S2_LITE_BIN.

Exit codes: 0 every record is there exactly once, 1 something is different, 2 bad usage, 3 it could not be found out
(go run makes 1 of the last two; go build -o bin/chaos ./tests/chaos/cmd keeps them).

Examples:
  go run ./tests/chaos/cmd
  go run ./tests/chaos/cmd -for 30s -memory
  go run ./tests/chaos/cmd -for 10m -seed 7 -json
  go run ./tests/chaos/cmd -kills 2000 -records 10000000 -bridges 6 -rate 6000
  go run ./tests/chaos/cmd -old ./bridge-of-last-month

Flags:
`

func main() {
	if served, err := chaos.Serve(); served {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(exitDifferent)
		}
		return
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code. The result goes to out; with -json all else goes to errout.
func run(ctx context.Context, args []string, out, errout io.Writer) int {
	o, err := parse(args, errout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitVerified
	case err != nil:
		fmt.Fprintln(errout, "error:", err)
		return exitUsage
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	progress := out
	if o.asJSON {
		progress = errout
	}
	s := newScreen(progress)
	r, err := play(ctx, o, s, signals)
	if err != nil {
		r.Error = err.Error()
	}
	if o.asJSON {
		if werr := json.NewEncoder(out).Encode(r); werr != nil {
			err = errors.Join(err, werr)
		}
	}
	return r.code(err, errout)
}

func parse(args []string, errout io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(errout)
	f.Usage = func() {
		fmt.Fprint(errout, usage)
		f.PrintDefaults()
	}
	f.DurationVar(&o.span, "for", 5*time.Minute, "how long, at least")
	f.IntVar(&o.kills, "kills", 0, "go on until there were so many SIGKILLs")
	f.IntVar(&o.records, "records", 0, "go on until Kafka serves so many records")
	f.BoolVar(&o.memory, "memory", false, "with kfake and s2mem as processes, instead of Apache Kafka and s2-lite")
	f.Uint64Var(&o.seed, "seed", uint64(rand.Uint32()), "of records and misfortunes, to have the same plan again")
	f.IntVar(&o.rate, "rate", 3000, "records a second, while Kafka answers")
	f.IntVar(&o.partitions, "partitions", 8, "of the topic")
	f.IntVar(&o.bridges, "bridges", 3, "of the group")
	f.StringVar(&o.old, "old", "", "a bridge that was built before, as the older of the two versions; empty: today's under another name")
	f.StringVar(&o.keep, "keep", "", "folder for logs and data, which stay, in a new folder below it; empty: a temporary one")
	f.BoolVar(&o.asJSON, "json", false, "the result as one JSON object; progress goes to standard error")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("takes flags only, not %q; -h lists them", f.Arg(0))
	case o.span <= 0 || o.rate < 1 || o.kills < 0 || o.records < 0:
		return o, errors.New("-for and -rate must be positive, -kills and -records not negative")
	case o.partitions < 1 || o.partitions > 1000:
		return o, errors.New("-partitions must be from 1 to 1000")
	case o.bridges < 2 || o.bridges > len(names):
		return o, fmt.Errorf("-bridges must be from 2 to %d", len(names))
	}
	if o.old != "" {
		if _, err := os.Stat(o.old); err != nil {
			return o, fmt.Errorf("-old: %w", err)
		}
	}
	return o, nil
}

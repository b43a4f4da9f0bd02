package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// The demo is a play in one room, and the bridge in it is the real one: a
// process of its own, `bridge run`, that is killed with SIGKILL.
//
//	demo_stage.go     the servers: embedded (kfake, s2mem), or real ones
//	demo_generate.go  records of all shapes --> Kafka
//	demo_shapes.go    those that every run has, whatever its seed
//	demo_edges.go     how many of them have which edge, in Kafka and in S2
//	demo_victim.go    the bridge as a child process, its start and its end
//	demo_board.go     what Kafka, the group and the streams say of themselves
//	demo_round.go     one topic from the first record to the verdict, which
//	                  demo_once.go and demo_live.go play in their ways
//	demo_verify.go    the oracle compares all streams with their partitions
//	demo_view.go      a picture of it as text; demo_screen.go draws it
//
// Nothing is asked of the bridge but to run: what is shown and judged is read
// from Kafka and S2.

// demoOptions are the flags of `bridge demo`.
type demoOptions struct {
	once       bool
	records    int // with once: how many are to be visible in the end
	partitions int
	asJSON     bool
	seed       uint64
	kafka      string // host:port; "" = embedded
	s2         string // URL; "" = embedded
	basin      string // on a real server
}

const (
	defaultDemoRecords    = 50_000
	defaultDemoPartitions = 4
	defaultDemoBasin      = "kafka-s2-bridge-demo"
	// Both embedded servers keep all in memory, about 2 KB a record.
	maxDemoRecords    = 2_000_000
	minDemoRecords    = 10 // of less there is no middle
	maxDemoPartitions = 256
)

func newDemoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch exactly-once happen, with nothing installed",
		Long: `demo starts a Kafka and an S2 inside of this process, writes records of all
shapes into a topic (null and empty keys and values, header names that S2 would
take for commands, binary, values larger than S2 takes whole, odd timestamps,
aborted transactions between) and bridges them. The bridge is a process of its own, the real program; every few seconds
it is killed with SIGKILL and started again. Ctrl-C ends the demo: then every
stream is compared with its partition, record by record, by a reader that shares
no code with the bridge. A second Ctrl-C ends at once.

With --once it is bounded: a number of records, at least one SIGKILL while 20 %
to 80 % of them are in S2, the comparison, a summary. With --json the summary is
one object on standard output; counts of records that should not be are missing,
duplicates, reordered, altered, foreign (among them aborted: those of aborted
transactions) and broken; aborted_left_out counts what was rightly not copied;
edges has for each kind of record that is easily copied wrong (large, tombstones,
null_keys, hostile, ...) how many were made, as Kafka serves them, and how many
were seen in S2. Of aborted ones none may be seen. Progress is told on standard
error.

With --kafka and --s2 it runs on real servers: a broker without TLS and login,
and one URL for S2's account and basin, as s2-lite has it (S2_ACCESS_TOKEN is
sent if it is set). It makes a topic and a group of its own and leaves them and
the streams behind; it says their names.

Exit codes: 0 every record is there exactly once, 1 something is different,
2 bad usage, 3 it could not be found out.`,
		Example: `  bridge demo
  bridge demo --partitions 12
  bridge demo --once --records 200000 --json
  bridge demo --once --seed 7
  bridge demo --kafka localhost:9092 --s2 http://localhost:8080`,
		Args: cobra.NoArgs,
		RunE: body(func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd.Flags().Changed); err != nil {
				return &exitError{exitUsage, err}
			}
			if !cmd.Flags().Changed("seed") {
				o.seed = uint64(rand.Uint32())
			}
			return runDemo(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		}),
	}
	f := cmd.Flags()
	f.BoolVar(&o.once, "once", false, "produce, bridge, compare, and end")
	f.IntVar(&o.records, "records", defaultDemoRecords, "with --once: how many records a consumer can see in the end")
	f.IntVar(&o.partitions, "partitions", defaultDemoPartitions, "partitions of the topic")
	f.BoolVar(&o.asJSON, "json", false, "with --once: print the result as one JSON object")
	f.Uint64Var(&o.seed, "seed", 0, "repeat the records of an earlier run (default: a new one each time)")
	f.StringVar(&o.kafka, "kafka", "", "a real broker, host:port; together with --s2")
	f.StringVar(&o.s2, "s2", "", "a real S2 server, such as http://localhost:8080; together with --kafka")
	f.StringVar(&o.basin, "basin", defaultDemoBasin, "with --s2: the basin; it is created if it is missing")
	return cmd
}

// check says what is wrong with the flags, before anything is started.
func (o demoOptions) check(given func(flag string) bool) error {
	switch {
	case !o.once && given("records"):
		return errors.New("--records needs --once: without it records flow until Ctrl-C")
	case !o.once && given("json"):
		return errors.New("--json needs --once: without it the demo is for the eye")
	case o.records < minDemoRecords || o.records > maxDemoRecords:
		return fmt.Errorf("--records must be from %d to %s", minDemoRecords, grouped(maxDemoRecords))
	case o.partitions < 1 || o.partitions > maxDemoPartitions:
		return fmt.Errorf("--partitions must be from 1 to %d", maxDemoPartitions)
	case (o.kafka == "") != (o.s2 == ""):
		return errors.New("--kafka and --s2 go together: give both for real servers, none for embedded ones")
	case given("basin") && o.s2 == "":
		return errors.New("--basin needs --kafka and --s2: the embedded S2 has a basin of its own")
	case o.kafka != "" && !isHostPort(o.kafka):
		return errors.New("--kafka must be host:port, such as localhost:9092")
	case o.s2 != "" && !isEndpoint(o.s2):
		return errors.New("--s2 must be a URL without path, such as http://localhost:8080")
	case o.s2 != "" && !basinName.MatchString(o.basin):
		return errors.New("--basin must have 8 to 48 of a-z, 0-9 and -, neither beginning nor ending with -")
	}
	return nil
}

// runDemo is the whole demo. Its errors have exit codes.
func runDemo(parent context.Context, o demoOptions, out, errout io.Writer) error {
	stop, now, release := untilTwoSignals(parent)
	defer release()
	if os.Getenv("GOGC") == "" {
		// Both servers' records live here: half of the usual slack is 200 MiB.
		defer debug.SetGCPercent(debug.SetGCPercent(50))
	}
	if o.once {
		return demoOnce(stop, o, out, errout)
	}
	return demoLive(stop, now, o, out)
}

var (
	errInterrupted = errors.New("interrupted before the end: nothing can be said about the records")
	errAtOnce      = errors.New("ended at once by a second signal: the records were not compared")
)

// echo is the time within which a second signal is the first one once more:
// timeout(1), for one, sends each to the process and to its group.
const echo = 300 * time.Millisecond

// untilTwoSignals returns two contexts: the first signal asks to finish and
// ends stop, the second wants an end at once and ends now as well. Both are
// caught, so that the child is ended by its parent wherever the system would
// not do it.
func untilTwoSignals(parent context.Context) (stop, now context.Context, release func()) {
	now, endNow := context.WithCancelCause(parent)
	stop, endStop := context.WithCancelCause(now)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // the terminal is closed; under nohup that does not count
		signal.Notify(signals, syscall.SIGHUP)
	}
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		var first time.Time
		for {
			select {
			case <-signals:
			case <-quit:
				return
			}
			switch {
			case first.IsZero():
				first = time.Now()
				endStop(errInterrupted)
			case time.Since(first) > echo:
				endNow(errAtOnce)
				return
			}
		}
	}()
	return stop, now, func() {
		signal.Stop(signals)
		close(quit)
		<-gone
		endStop(nil)
		endNow(nil)
	}
}

// unknown is an error that means that nothing was found out.
func unknown(err error) error {
	var coded *exitError
	if err == nil || errors.As(err, &coded) {
		return err
	}
	return &exitError{exitUnknown, err}
}

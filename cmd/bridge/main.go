package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program as a function: it writes to out and errout, and
// returns the code to exit with.
func run(ctx context.Context, args []string, in io.Reader, out, errout io.Writer) int {
	root := newRoot()
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errout)
	root.SetArgs(append([]string{}, args...)) // never nil: cobra would read os.Args itself
	return report(errout, root.ExecuteContext(ctx))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "bridge",
		Short: "Copies Kafka partitions into S2 streams, exactly once",
		Long: `bridge reads the partitions of Kafka topics and writes each into an S2 stream of
its own: every record once, in order, byte by byte. Run more of them in the same
consumer group to use more machines.

Exit codes: 0 done, 1 failed or different, 2 bad usage or configuration (nothing
was contacted), 3 could not tell.`,
		Example: `  bridge demo
  bridge run -c config.toml
  bridge read s2://my-kafka-copy/orders/0 --last 5
  bridge partitions
  bridge resume orders/3 --accept retry
  bridge health
  bridge version`,
		SilenceErrors: true, // report prints them, once
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		newRunCommand(runBridge),
		newReadCommand(),
		newGapsCommand(),
		newPartitionsCommand(),
		newResumeCommand(),
		newDemoCommand(),
		newHealthCommand(),
		newVersionCommand(),
	)
	return root
}

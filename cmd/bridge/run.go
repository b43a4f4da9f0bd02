package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
)

// bridgeFunc is the body of `bridge run`: it bridges until ctx ends, then
// drains and returns nil. An error means that it could not start or go on.
type bridgeFunc func(ctx context.Context, cfg Config, log *slog.Logger, hide redactor) error

func newRunCommand(bridge bridgeFunc) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Bridge until SIGINT or SIGTERM",
		Long: `run reads the configuration, joins the consumer group and copies partitions until
SIGINT or SIGTERM. Then it drains: it stops reading, waits for what S2 has still
to acknowledge (at most drain.timeout), commits and exits 0. A second signal ends
it at once; nothing is lost by that, the next start finds its place in S2.

Every key of the configuration file is explained in config.example.toml. Any of
them can be set in the environment instead: kafka.group is BRIDGE_KAFKA__GROUP.`,
		Example: `  bridge run -c config.toml
  BRIDGE_KAFKA__GROUP=blue bridge run -c config.toml
  S2_ACCESS_TOKEN=... bridge run -c config.toml`,
		Args: cobra.NoArgs,
		RunE: body(func(cmd *cobra.Command, _ []string) error {
			cfg, err := Load(file, os.Environ())
			if err != nil {
				return &exitError{exitUsage, err}
			}
			hide := cfg.redactor()
			log := newLogger(cmd.ErrOrStderr(), cfg.Log, hide)
			ctx, release := untilSignal(cmd.Context(), func(cause error) {
				log.Info("draining; a second signal ends the bridge at once", "cause", cause, "at_most", cfg.Drain.Timeout)
			})
			defer release()
			return hide.wrap(bridge(ctx, cfg, log, hide))
		}),
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file in TOML; without it only the environment is read")
	return cmd
}

package main

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout is how long a running bridge may take to answer what asks nobody
// else, as /readyz: longer means that it is stuck.
const healthTimeout = 5 * time.Second

// newHealthCommand is for container images without a shell or curl.
func newHealthCommand() *cobra.Command {
	var at remote
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running bridge whether it is ready",
		Long: `health asks /readyz of a bridge that runs on this machine and prints its answer.
It ends with 0 if the bridge is ready, 1 if it is not (the reasons are printed),
3 if nothing answers. Made for health checks in containers.`,
		Example: `  bridge health
  bridge health --http 127.0.0.1:9464
  bridge health -c config.toml`,
		Args: cobra.NoArgs,
		RunE: body(func(cmd *cobra.Command, _ []string) error {
			address, err := at.at(os.Environ())
			if err != nil {
				return err
			}
			status, text, err := askBridge(cmd.Context(), healthTimeout, http.MethodGet, address, "/readyz", nil)
			if err != nil {
				return err
			}
			switch status {
			case http.StatusOK:
				_, err = cmd.OutOrStdout().Write(append(bytes.TrimRight(text, "\n"), '\n'))
				return err
			case http.StatusServiceUnavailable:
				return errors.New(strings.TrimSpace(string(text)))
			}
			return notABridge(address, "/readyz", status)
		}),
	}
	at.addFlags(cmd)
	cmd.Flags().StringVar(&at.address, "address", "", "another name of --http")
	return cmd
}

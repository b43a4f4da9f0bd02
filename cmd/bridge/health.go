package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout is how long a running bridge may take to answer /readyz, which
// asks nobody: longer means that it is stuck.
const healthTimeout = 5 * time.Second

// newHealthCommand is for container images without a shell or curl.
func newHealthCommand() *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running bridge whether it is ready",
		Long: `health asks /readyz of a bridge that runs on this machine and prints its answer.
It ends with 0 if the bridge is ready, 1 if it is not (the reasons are printed),
3 if nothing answers. Made for health checks in containers.`,
		Example: `  bridge health
  bridge health --address 127.0.0.1:9464`,
		Args: cobra.NoArgs,
		RunE: body(func(cmd *cobra.Command, _ []string) error {
			req, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, "http://"+address+"/readyz", nil)
			if err != nil {
				return &exitError{exitUsage, fmt.Errorf("--address must be host:port, such as 127.0.0.1:9464")}
			}
			client := &http.Client{Timeout: healthTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := client.Do(req)
			if err != nil {
				return &exitError{exitUnknown, fmt.Errorf("no answer from a bridge: %w", err)}
			}
			defer func() { _ = resp.Body.Close() }()
			text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
			if err != nil {
				return &exitError{exitUnknown, fmt.Errorf("answer of %s: %w", address, err)}
			}
			switch resp.StatusCode {
			case http.StatusOK:
				_, err = cmd.OutOrStdout().Write(append(bytes.TrimRight(text, "\n"), '\n'))
				return err
			case http.StatusServiceUnavailable:
				return errors.New(strings.TrimSpace(string(text)))
			}
			return &exitError{exitUnknown, fmt.Errorf("%s answered /readyz with %s: is that a bridge?", address, resp.Status)}
		}),
	}
	cmd.Flags().StringVar(&address, "address", defaultListen, "the bridge's http.listen")
	return cmd
}

package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"kafka-s2-bridge/tests/real/bridge"
)

// Build compiles the bridge as that version into a folder below dir, with more flags for the compiler if given. It is to be
// called before anything else runs: it passes the flags in this process's environment.
func Build(ctx context.Context, dir, version string, flags ...string) (string, error) {
	dir = filepath.Join(dir, version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("folder for the bridge: %w", err)
	}
	before, had := os.LookupEnv("GOFLAGS")
	all := append([]string{before, "-ldflags=-X=main.version=" + version}, flags...)
	if err := os.Setenv("GOFLAGS", strings.Join(all, " ")); err != nil {
		return "", err
	}
	defer func() {
		if had {
			_ = os.Setenv("GOFLAGS", before)
		} else {
			_ = os.Unsetenv("GOFLAGS")
		}
	}()
	return bridge.Build(ctx, dir)
}

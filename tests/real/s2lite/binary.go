package s2lite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"kafka-s2-bridge/tests/real/proc"
)

// Version of s2-cli that is built when no s2 is found.
const Version = "0.43.4"

// Binary is the path of a usable s2: that of S2_LITE_BIN, else the one on PATH, else one that cargo builds into
// tests/real/target and that is kept there. Callers in other processes wait for the same build.
func Binary(ctx context.Context, logf func(string, ...any)) (string, error) {
	if bin := os.Getenv("S2_LITE_BIN"); bin != "" {
		if _, err := os.Stat(bin); err != nil {
			return "", fmt.Errorf("S2_LITE_BIN: %w", err)
		}
		return filepath.Abs(bin)
	}
	if bin, err := exec.LookPath("s2"); err == nil {
		return filepath.Abs(bin)
	}
	cache, err := proc.Cache()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "s2-cli-"+Version)
	err = proc.Once(dir, func(tmp string) error {
		cargo, err := exec.LookPath("cargo")
		if err != nil {
			return errors.New("s2-lite: no s2 on PATH, S2_LITE_BIN is not set, and there is no cargo to build it with: " +
				"install one of them (cargo install --locked s2-cli --version " + Version + ")")
		}
		logf("==== NO s2 FOUND (PATH, S2_LITE_BIN): BUILDING s2-cli %s WITH CARGO. THIS TAKES ABOUT 11 MINUTES, ONCE ====", Version)
		return proc.Run(ctx, proc.Spec{Name: "cargo install s2-cli", Path: cargo, Env: []string{"CARGO_PROFILE_RELEASE_LTO=off"},
			Args: []string{"install", "--locked", "s2-cli", "--version", Version, "--root", tmp}})
	})
	return filepath.Join(dir, "bin", "s2"), err
}

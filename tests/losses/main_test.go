package losses

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"kafka-s2-bridge/tests/real/bridge"
)

// processes is how many bridges run at once: most of them wait for something most of the time.
const processes = "8"

// program is the bridge, built once.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", processes); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// What the caller has set for a bridge of his own must not reach ours.
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "BRIDGE_") || name == "S2_ACCESS_TOKEN" {
			_ = os.Unsetenv(name)
		}
	}
	dir, err := os.MkdirTemp("", "losses")
	if err == nil {
		program, err = bridge.Build(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

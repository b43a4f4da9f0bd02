// Package suite begins test packages that run the bridge as a process.
//
//	TestMain --> Main: forget the caller's settings, build the bridge once, run the tests, look for goroutines
//
// It knows nothing of what they test.
package suite

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"kafka-s2-bridge/tests/real/bridge"
)

// Main runs the tests of a package with a fresh bridge, whose path it puts into program. At most processes of them run at once
// (a number, as -test.parallel takes it): bridges wait for something most of the time. It does not return.
func Main(m *testing.M, processes string, program *string) {
	flag.Parse()
	if err := flag.Set("test.parallel", processes); err != nil {
		fail(err)
	}
	bridge.ForgetSettings()
	dir, err := os.MkdirTemp("", "bridge")
	if err != nil {
		fail(err)
	}
	if *program, err = bridge.Build(context.Background(), dir); err != nil {
		_ = os.RemoveAll(dir)
		fail(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

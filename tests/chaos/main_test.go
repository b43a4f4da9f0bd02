package chaos

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"kafka-s2-bridge/tests/real/bridge"
)

// The builds that the tests run: two versions with crash points, which only their names tell apart.
var oldBridge, newBridge string

var (
	seed   = flag.Uint64("seed", 1, "of all that is random: the records, the kills")
	keep   = flag.String("keep", "", "folder for logs and data of the tests; empty: temporary ones")
	points = flag.String("points", "", "only these crashes, such as mid-chunk:3,after-mark:1; empty: every point, first to fifth passing")
)

// worlds is how many there are at once: most of them wait for something most of the time.
const worlds = "6"

func TestMain(m *testing.M) {
	if served, err := Serve(); served {
		exit(err)
	}
	flag.Parse()
	if err := flag.Set("test.parallel", worlds); err != nil {
		exit(err)
	}
	bridge.ForgetSettings()
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		exit(err)
	}
	for version, bin := range map[string]*string{"v0.0.1-chaos": &oldBridge, "v0.0.2-chaos": &newBridge} {
		if *bin, err = Build(context.Background(), dir, version, "-tags=crashpoints"); err != nil {
			_ = os.RemoveAll(dir)
			exit(err)
		}
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

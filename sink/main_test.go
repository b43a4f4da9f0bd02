package sink

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(discardEnv) != "" { // started by a benchmark
		serveDiscard()
		return
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if shared != nil {
			shared.stop()
		}
		os.Exit(code)
	}))
}

package proc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// TB is what the harness needs of a testing.TB. A program that is no test can bring its own.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(f func())
	Failed() bool
	TempDir() string
}

// Poll calls check at once and then every interval, until it returns nil. An error of check is what is still waited for:
// it is told when ctx ends. One that Final made ends the polling.
func Poll(ctx context.Context, interval time.Duration, check func(context.Context) error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		var f final
		if errors.As(err, &f) {
			return f.error
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w; still waiting: %w", context.Cause(ctx), err)
		}
	}
}

// Final marks an error that waiting does not mend.
func Final(err error) error { return final{err} }

type final struct{ error }

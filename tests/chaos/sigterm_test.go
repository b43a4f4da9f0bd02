package chaos

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"kafka-s2-bridge/tests/oracle/produce"
	"kafka-s2-bridge/tests/real/bridge"
)

// A member of the group has died, nobody knows it yet, and the group shares its partitions anew: it waits for the dead one, until
// that one's session is over. A bridge that is ended meanwhile does not wait for this. Its drain.timeout is 3 s.
func TestSIGTERMWhileTheGroupWaitsForADeadMember(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	const session, enough = 25 * time.Second, 12 * time.Second
	w := memoryWorld(ctx, t, MemoryOptions{FlushDelay: flushDelay, Rebalance: session}, produce.Topic{Name: topic, Partitions: 12})
	c := &crasher{World: w, t: t}
	long := bridge.Settings{"kafka.session_timeout": session.String()}
	ended, dead, late := mustBridge(t, c.World, "ended", long), mustBridge(t, c.World, "dead", long), mustBridge(t, c.World, "late", long)
	must(t, ended.Revive(oldBridge))
	c.owns(ctx, ended, 12)
	must(t, dead.Revive(newBridge))
	c.owns(ctx, dead, 6)
	c.owns(ctx, ended, 6)
	feeding := feed(ctx, t, c.World, 1000)
	c.busy(ctx, ended, "records_acknowledged_total", 6)

	must(t, dead.Child().Kill())
	must(t, late.Revive(newBridge))
	since := time.Time{}
	must(t, poll(ctx, "the group does not wait for the dead member", func(ctx context.Context) error {
		groups, err := kadm.NewClient(c.client).DescribeGroups(ctx, group)
		switch {
		case err != nil:
			return err
		case groups[group].State != "PreparingRebalance":
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > 5*time.Second: // more than a heartbeat: the other one has heard of it
			return nil
		}
		return fmt.Errorf("it is in the state %s", groups[group].State)
	}))
	began := time.Now()
	must(t, ended.Child().Signal(syscall.SIGTERM))
	if !ended.gone(enough) {
		t.Errorf("it was still there %s after SIGTERM", enough)
		ended.gone(session)
	} else if code := ended.Child().State().ExitCode(); code != 0 {
		t.Errorf("it ended with %s", ended.Child().State())
	}
	t.Logf("it ended %s after SIGTERM", time.Since(began))
	must(t, errors.Join(ended.Revive(oldBridge), dead.Revive(newBridge)))
	feeding.stop(t)
	settle(ctx, t, c.World)
}

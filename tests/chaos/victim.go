package chaos

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/real/proc"
)

// Victim is one bridge over all its lives: one name, one configuration, one log, and any build of the program. Its methods are
// for one goroutine at a time.
type Victim struct {
	*bridge.Process
	opts  bridge.Options
	lives int
}

// Revive starts the next life, of this build, with these additions to the environment.
func (v *Victim) Revive(binary string, env ...string) error {
	if v.Process != nil && v.Child().Running() {
		return fmt.Errorf("bridge %s: a new life before the last one has ended", v.opts.Name)
	}
	o := v.opts
	o.Binary, o.Env = binary, env
	p, err := bridge.Start(o)
	if err != nil {
		return err
	}
	v.Process = p
	v.lives++
	return nil
}

// Lives is how often it was started.
func (v *Victim) Lives() int { return v.lives }

// End asks with SIGTERM, which has to be answered with exit code 0 in time. One that does not end is made to say what all of
// it is waiting for (SIGQUIT: the stacks go into its log), and killed.
func (v *Victim) End() error {
	if !v.Child().Running() {
		return fmt.Errorf("bridge %s: %w with %s", v.Name(), errEndedAlone, v.Child().State())
	}
	if err := v.Child().Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if v.gone(stopGrace) {
		if code := v.Child().State().ExitCode(); code != 0 {
			return fmt.Errorf("bridge %s answered SIGTERM with %s:\n%s", v.Name(), v.Child().State(), proc.Tail(v.Log(), 3000))
		}
		return nil
	}
	_ = v.Child().Signal(syscall.SIGQUIT)
	v.gone(5 * time.Second)
	return errors.Join(v.Child().Kill(), fmt.Errorf("bridge %s was still there %s after SIGTERM; the stacks of its goroutines are in %s", v.Name(), stopGrace, v.Log()))
}

// gone waits for the end.
func (v *Victim) gone(within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-v.Child().Done():
		return true
	case <-timer.C:
		return false
	}
}

// bury ends the last life, however it goes.
func (v *Victim) bury() {
	if v.Process != nil && v.Child().Running() {
		_ = v.Child().Kill()
	}
}

// errEndedAlone is for an end that nobody asked for.
var errEndedAlone = errors.New("it ended by itself")

// logFile is Log, also before the first life.
func (v *Victim) logFile() string { return filepath.Join(v.opts.Dir, v.opts.Name+".log") }

//go:build crashpoints

package handoff

import (
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// With the build tag crashpoints the process can be told to die, or to stop, at a
// given place of the protocol (tests/chaos does):
//
//	BRIDGE_CRASH_AT=after-fence-acked:3   SIGKILL at the third passing, of whatever partition
//	BRIDGE_STOP_AT=before-append:3        SIGSTOP there: it goes on as a zombie when somebody lets it
//
// It dies as a process does that the kernel ends: no deferred call, no last word to
// Kafka or S2. Only its standard error has a line, or nobody could tell this death
// from another. The machine has no part in it; the driver sees all that it is told
// and all that it does, and the source its own commits.
var crashPoints = []string{
	"after-ask",             // the answer about tail and token is there
	"after-create-sent",     // the stream is asked for
	"before-fence",          // the token is made, nothing is sent
	"after-fence-sent",      // nobody knows whether it landed
	"after-fence-acked",     // we are the writer, nothing is read
	"after-read-back",       // a page of the stream was read
	"before-open-marker",    // the position is known, nothing is written
	"before-append",         // records have their place, and are not sent
	"after-append-sent",     // nobody knows whether it landed
	"mid-chunk",             // one chunk of a record is sent, the next one is not
	"after-ack-before-mark", // S2 has it, the client may not commit it yet
	"after-mark",            // the client may commit
	"before-commit",         // the commit request is made up
	"after-commit",          // Kafka has confirmed it
	"in-drain",              // given up, and something is in flight
	"in-revoke",             // an owner was told to let go
	"after-seek",            // reading goes on from elsewhere
}

// sentLater: what was "sent" has only been handed to another goroutine, and dies
// with it. So each passing that is waited for more gives it more time: the first
// one none, the fifth one four times this, when S2 has it and may have answered.
const sentLater = 2 * time.Millisecond

var armed = arm()

type trap struct {
	point  string // "" where none is set
	nth    int64
	signal syscall.Signal
	passed atomic.Int64
}

// arm reads the variables and takes them away: to the configuration they would be
// unknown keys. A value that names no point ends the process with the list.
func arm() *trap {
	set := &trap{}
	for variable, signal := range map[string]syscall.Signal{"BRIDGE_CRASH_AT": syscall.SIGKILL, "BRIDGE_STOP_AT": syscall.SIGSTOP} {
		text, ok := syscall.Getenv(variable)
		if !ok {
			continue
		}
		_ = syscall.Unsetenv(variable)
		point, times, _ := strings.Cut(text, ":")
		nth, err := strconv.ParseInt(times, 10, 64)
		if err != nil || nth < 1 || !slices.Contains(crashPoints, point) {
			_, _ = syscall.Write(1, []byte(strings.Join(crashPoints, "\n")+"\n"))
			syscall.Exit(2)
		}
		set = &trap{point: point, nth: nth, signal: signal}
	}
	return set
}

// CrashPoint ends or stops the process if it was told to here, and this is the time.
func CrashPoint(point string) {
	if armed.point != point || armed.passed.Add(1) != armed.nth {
		return
	}
	dies := armed.signal == syscall.SIGKILL
	if dies && (strings.HasSuffix(point, "-sent") || point == "mid-chunk") {
		<-time.After(time.Duration(armed.nth-1) * sentLater)
	}
	_, _ = syscall.Write(2, []byte("crash point "+point+":"+strconv.FormatInt(armed.nth, 10)+"\n"))
	_ = syscall.Kill(syscall.Getpid(), armed.signal)
	if dies {
		select {} // until the kernel has done it
	}
	<-time.After(time.Millisecond) // until it has stopped this thread too
}

// crashBefore is called before an action is carried out.
func crashBefore(a Action) {
	switch a := a.(type) {
	case Fence:
		CrashPoint("before-fence")
	case Send:
		_, _, data := a.Batch.Span()
		if _, chunk := a.Batch.Unfinished(); !data && !chunk {
			CrashPoint("before-open-marker")
		} else {
			CrashPoint("before-append")
		}
	case Commit:
		CrashPoint("after-ack-before-mark")
	}
}

// crashAfter is called when an action is carried out, or handed to whoever does.
func crashAfter(a Action) {
	switch a := a.(type) {
	case Create:
		CrashPoint("after-create-sent")
	case Fence:
		CrashPoint("after-fence-sent")
	case Send:
		if _, chunk := a.Batch.Unfinished(); chunk {
			CrashPoint("mid-chunk")
		}
		CrashPoint("after-append-sent")
	case Commit:
		CrashPoint("after-mark")
	case Seek:
		CrashPoint("after-seek")
	}
}

// crashOn is called when an event arrives, before the machine has it.
func crashOn(ev Event) {
	a, ok := ev.(answer)
	if !ok {
		return
	}
	switch ev := a.ev.(type) {
	case Asked:
		if ev.Err == nil {
			CrashPoint("after-ask")
		}
	case Fenced:
		if ev.Err == nil {
			CrashPoint("after-fence-acked")
		}
	case Page:
		if ev.Err == nil {
			CrashPoint("after-read-back")
		}
	}
}

// crashDraining is called behind each step.
func crashDraining(o *Owner) {
	if o.drainBy > 0 && !o.finished {
		CrashPoint("in-drain")
	}
}

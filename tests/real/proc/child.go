package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Spec says what to run.
type Spec struct {
	Name string   // for error texts: "kafka"
	Path string   // the program
	Args []string // without the program's name
	Env  []string // added to this process's environment
	Dir  string   // working directory; empty: this process's own
	Log  string   // file that stdout and stderr are appended to; empty: Stdout and Stderr below

	Stdout, Stderr io.Writer // used when Log is empty; nil: discarded
}

// Child is a running or ended process of ours.
type Child struct {
	spec Spec
	cmd  *exec.Cmd
	done chan struct{} // closed when the process was waited for

	mu  sync.Mutex // guards err
	err error      // what Wait returned
}

// Start runs the program. An error means that it did not start; that it ended early shows on Done.
func Start(spec Spec) (*Child, error) {
	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Env = append(os.Environ(), spec.Env...)
	cmd.Dir = spec.Dir
	cmd.Stdout, cmd.Stderr = spec.Stdout, spec.Stderr
	cmd.SysProcAttr = attributes()
	var log *os.File
	if spec.Log != "" {
		var err error
		if log, err = os.OpenFile(spec.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
			return nil, fmt.Errorf("log of %s: %w", spec.Name, err)
		}
		cmd.Stdout, cmd.Stderr = log, log
	}
	c := &Child{spec: spec, cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The signal of a dying parent is bound to the thread that forked, so that
		// thread has to live as long as the child. It ends with this goroutine.
		runtime.LockOSThread()
		err := cmd.Start()
		if log != nil {
			_ = log.Close() // the child has its own descriptor
		}
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		c.mu.Lock()
		c.err = err
		c.mu.Unlock()
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	return c, nil
}

// Pid is the process id.
func (c *Child) Pid() int { return c.cmd.Process.Pid }

// Done is closed when the process has ended and was waited for.
func (c *Child) Done() <-chan struct{} { return c.done }

// Running says whether the process has not ended yet.
func (c *Child) Running() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// Err is nil while the process runs and after exit code 0, else an error that names the code or signal.
func (c *Child) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return nil
	}
	return fmt.Errorf("%s (pid %d): %w", c.spec.Name, c.Pid(), c.err)
}

// State has exit code and resource usage; only after Done.
func (c *Child) State() *os.ProcessState { return c.cmd.ProcessState }

// Signal sends one signal. A process that has ended is not an error.
func (c *Child) Signal(s os.Signal) error {
	if err := c.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %v to %s: %w", s, c.spec.Name, err)
	}
	return nil
}

// Kill ends the process with SIGKILL and waits for it.
func (c *Child) Kill() error {
	if err := c.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-c.done
	return nil
}

// Stop asks with SIGTERM and waits. After grace it kills and says so as an error. A process
// that ended by the signal itself, or with exit code 0 or 143 (Java's word for SIGTERM), ended well.
func (c *Child) Stop(grace time.Duration) error {
	if err := c.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		if err := c.Kill(); err != nil {
			return err
		}
		return fmt.Errorf("%s (pid %d) was still there %s after SIGTERM", c.spec.Name, c.Pid(), grace)
	}
	status, ok := c.State().Sys().(syscall.WaitStatus)
	if ok && (status.Signaled() && status.Signal() == syscall.SIGTERM || status.ExitStatus() == 143) {
		return nil
	}
	return c.Err()
}

// Tail is the end of the log file, at most n bytes, from a line start on.
func (c *Child) Tail(n int64) string { return Tail(c.spec.Log, n) }

// Tail is the end of a file, at most n bytes, from a line start on. A file that cannot be read gives the reason.
func Tail(path string, n int64) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	cut := false
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		from := max(0, end-n)
		cut = from > 0
		_, _ = f.Seek(from, io.SeekStart)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	s := string(b)
	if i := strings.IndexByte(s, '\n'); cut && i >= 0 {
		s = s[i+1:]
	}
	return s
}

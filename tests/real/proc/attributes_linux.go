package proc

import "syscall"

// attributes lets the child die with the thread that forked it: a test binary that panics or is
// killed leaves no broker behind. A group of its own keeps a Ctrl-C in the terminal from it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

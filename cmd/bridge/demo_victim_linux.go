package main

import "syscall"

// ownGroup keeps a Ctrl-C of the terminal from the child, and lets the system
// kill it if its parent dies without a word.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

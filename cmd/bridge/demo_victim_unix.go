//go:build unix && !linux

package main

import "syscall"

// ownGroup keeps a Ctrl-C of the terminal from the child. A parent that dies
// of SIGKILL leaves it behind: only Linux can prevent that.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

//go:build !linux

package proc

import "syscall"

// attributes: outside Linux a child cannot be bound to its parent's life; tests stop it in their clean-up.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

//go:build !unix

package main

import "syscall"

// ownGroup: this system has nothing to set.
func ownGroup() *syscall.SysProcAttr { return nil }

package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// What the process can answer. Scripts rely on these numbers.
const (
	exitDone    = 0 // what was asked for is done, or true
	exitFailed  = 1 // it failed, or is not so
	exitUsage   = 2 // the command line or the configuration is wrong; nothing was contacted
	exitUnknown = 3 // it could not be found out
)

// exitError is an error that knows which code the process should end with.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// body wraps a command's work so that its errors end with exitFailed unless
// they say otherwise. Errors without a code are therefore cobra's own, about
// the command line.
func body(work func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := work(cmd, args)
		var coded *exitError
		if err == nil || errors.As(err, &coded) {
			return err
		}
		return &exitError{exitFailed, err}
	}
}

// report prints err, if any, and returns the exit code for it.
func report(w io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	label := paintFor(w).red("error:")
	var coded *exitError
	if !errors.As(err, &coded) {
		_, _ = fmt.Fprintf(w, "%s %v\nRun 'bridge --help' for what can be said.\n", label, err)
		return exitUsage
	}
	_, _ = fmt.Fprintf(w, "%s %v\n", label, err)
	return coded.code
}

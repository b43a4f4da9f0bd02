package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that the first SIGINT or SIGTERM ends; drain
// is then called once with what ended it. By that time the signals have their
// default meaning again, so a second one ends the process at once, without
// another word: whoever sends two does not want to wait for a drain.
//
// The returned function gives the signals back; call it when the work is over.
func untilSignal(parent context.Context, drain func(cause error)) (context.Context, func()) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	forget := context.AfterFunc(ctx, func() {
		stop()
		drain(context.Cause(ctx))
	})
	return ctx, func() {
		forget()
		stop()
	}
}

package proc

import (
	"bytes"
	"context"
	"fmt"
	"syscall"
)

// Run runs a program to its end, as exec.CommandContext does, but so that the program does not outlive this process
// (on Linux): a fetch or a build of minutes must not go on behind a test that gave up. The error has the end of its output.
func Run(ctx context.Context, spec Spec) error {
	var out bytes.Buffer
	if spec.Log == "" && spec.Stdout == nil {
		spec.Stdout, spec.Stderr = &out, &out
	}
	c, err := Start(spec)
	if err != nil {
		return err
	}
	select {
	case <-c.Done():
	case <-ctx.Done():
		_ = syscall.Kill(-c.Pid(), syscall.SIGKILL) // its group: it and its children
		<-c.Done()
		return fmt.Errorf("%s: %w", spec.Name, context.Cause(ctx))
	}
	if err := c.Err(); err != nil {
		text := out.Bytes()
		return fmt.Errorf("%w\n%s", err, text[max(0, len(text)-4000):])
	}
	return nil
}

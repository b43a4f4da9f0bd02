package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"kafka-s2-bridge/mapping"
)

// gapsOptions are the flags of `bridge gaps`.
type gapsOptions struct {
	place
	all    bool
	asJSON bool
}

func newGapsCommand() *cobra.Command {
	o := gapsOptions{}
	cmd := &cobra.Command{
		Use:   "gaps [s2://BASIN/STREAM]",
		Short: "List the Kafka offsets that are not in a stream, and why",
		Long: `gaps reads streams from their beginnings and lists their gap markers: the first
offset that is missing, the first one behind the gap (it is not missing), how
many these are, the reason, the time of the marker and its sequence number in
the stream. Without --partition it does so for all streams of the topic; for
that the token needs the operation list-streams, too.

  retention    Kafka deleted the records before they were read
  truncation   Kafka lost a history that the stream holds; what it has now at the
               same offsets is not in the stream
  refused      the records could not be bridged, and were skipped by policy
  dead_letter  the records were put elsewhere by policy
  operator     an operator gave them up

With --all it also lists the offsets that are missing although no marker names
them: they were compacted away, belonged to aborted transactions or were control
records, all of which is Kafka's right. "unexplained" is listed always: an "open"
marker goes on behind offsets that nothing accounts for, which no bridge does.

With --json each gap is a line: {"stream", "from", "to", "offsets", "reason",
"at" (milliseconds; only of markers), "seq" (of the marker, or of the record
behind a jump)}. The last line of a stream is {"stream", "totals": {reason:
{"gaps", "offsets"}}}.

Records that no bridge wrote, or that were trimmed before they could be read, are
told on standard error.

` + placeHelp + `

Exit codes: 0 the list was made, 1 the stream does not exist or has records in
another version of the format, 2 bad usage, 3 S2 did not answer, or refused to.`,
		Example: `  bridge gaps s2://my-basin/orders/0
  bridge gaps -c config.toml --topic orders
  bridge gaps -c config.toml --topic orders --partition 0 --all --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: body(func(cmd *cobra.Command, args []string) error {
			if err := o.check(args, cmd.Flags().Changed); err != nil {
				return &exitError{exitUsage, err}
			}
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		}),
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.all, "all", false, "list also what Kafka's compaction and transactions left out")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print JSON lines")
	return cmd
}

// run is the whole command.
func (o *gapsOptions) run(parent context.Context, out, errout io.Writer) error {
	b, hide, err := o.open()
	if err != nil {
		return err
	}
	defer b.Close()
	defer takePipeErrors()()
	ctx, release := untilSignal(parent, func(error) {})
	defer release()

	p := &pipe{w: bufio.NewWriterSize(out, 64<<10)}
	n := &notes{w: errout, before: func() { _ = p.flush() }} // a failure stays for the next flush
	err = o.list(ctx, b, p, n)
	n.flush()
	switch {
	case err == nil:
		err = p.flush()
	case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		err = &exitError{exitUnknown, errInterruptedRead}
	}
	if errors.Is(err, errPipeClosed) {
		return nil
	}
	return hide.wrap(b.explain(err))
}

func (o *gapsOptions) list(ctx context.Context, b *basin, out *pipe, n *notes) error {
	names, err := o.streams(ctx, b)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := o.listOne(ctx, b, name, out, n); err != nil {
			return err
		}
	}
	return nil
}

// streams are the names of the streams that are meant.
func (o *gapsOptions) streams(ctx context.Context, b *basin) ([]string, error) {
	if o.address != "" || o.partition >= 0 {
		name, err := o.stream(b)
		return []string{name}, err
	}
	one, err := o.streamOf(b, 1)
	if err != nil {
		return nil, err
	}
	two, err := o.streamOf(b, 2)
	if err != nil {
		return nil, err
	}
	// The template has one {partition}: the names differ in one digit.
	digit := 0
	for one[digit] == two[digit] {
		digit++
	}
	prefix, suffix := one[:digit], one[digit+1:]
	var partitions []int32
	for after, more := "", true; more; {
		names, next, err := b.Names(ctx, prefix, after)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			partition, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(name, prefix), suffix), 10, 32)
			if err != nil {
				continue
			}
			if back, err := o.streamOf(b, int32(partition)); err == nil && back == name {
				partitions = append(partitions, int32(partition))
			}
		}
		after, more = next, next != ""
	}
	if len(partitions) == 0 {
		return nil, fmt.Errorf("no stream of topic %s is in basin %s at %s: their names would begin with %q", o.topic, b.name, b.endpoint, prefix)
	}
	slices.Sort(partitions)
	var names []string
	for _, partition := range partitions {
		name, err := o.streamOf(b, partition)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

func (o *gapsOptions) listOne(ctx context.Context, b *basin, name string, out *pipe, n *notes) error {
	w, err := newWalk(ctx, b, name, n)
	if err != nil {
		return err
	}
	t := newGapTable(out, b.name, name, o.asJSON)
	if err := t.head(); err != nil {
		return err
	}
	var a account
	err = w.pages(ctx, func(s mapping.Stored) error {
		e := mapping.Classify(s)
		if err := n.look(s, e, nil); err != nil {
			return err
		}
		for _, m := range a.take(s, e) {
			if m.reason == reasonLegal && !o.all {
				continue
			}
			if err := t.row(m); err != nil {
				return err
			}
		}
		return nil
	}, func() error { n.flush(); return out.flush() })
	if err != nil {
		return err
	}
	return t.foot()
}

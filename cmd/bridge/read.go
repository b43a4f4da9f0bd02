package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"kafka-s2-bridge/mapping"
)

// Reading a stream back:
//
//	read_place.go   flags and configuration -> client, name of the stream
//	read_seek.go    --from-offset, --from-time, --last -> sequence number
//	read_walk.go    pages from there on, and what is wrong with them -> stderr
//	   |
//	mapping.Assembler: stored records -> Kafka records
//	   |
//	read_json.go, read_format.go -> stdout
//
// gaps.go takes the same way as far as the pages.

// readOptions are the flags of `bridge read`.
type readOptions struct {
	place
	format     string
	follow     bool
	fromOffset int64
	fromTime   string
	last       int64
	count      int64

	start start
	print printer
}

func newReadCommand() *cobra.Command {
	o := readOptions{}
	cmd := &cobra.Command{
		Use:   "read [s2://BASIN/STREAM]",
		Short: "Print the Kafka records that are in a stream",
		Long: `read turns a stream back into the Kafka records that it holds and prints them, up
to the end that the stream has when it begins to read; with --follow it goes on
with what comes, until SIGINT or SIGTERM.

Each record is a line of JSON:

  topic, partition  as the stream's "open" marker or the flags name them; both
                    are left out if neither does
  offset, leader_epoch  leader_epoch is -1 if unknown
  timestamp         milliseconds; -1 if there is none
  timestamp_type    "CreateTime", "LogAppendTime" or "none"
  key, value        null is null, and "" is empty
  headers           a list of [name, value]; value may be null

Bytes are strings where they are UTF-8, and else an object: {"base64": "/wA="}.

With -f a record is printed by a format string, as kcat does, without a line end
of its own:

  %t topic  %p partition  (- where not known)    %o offset  %T timestamp
  %k key    %s value      null is NULL (as kcat -Z prints it), empty is nothing
  %K %S     their lengths in bytes, -1 for null
  %h        headers: name=value,name=value
  %%  \\  \n  \r  \t  \0  \xNN

--from-offset finds its place by halving the stream, --from-time by S2's index of
timestamps: both are fast anywhere in a long stream. --from-time begins with the
first record of that time or later, as Kafka does; what is behind is printed
whatever its time is. (S2 indexes a record from the future by its arrival.)

Fences and "open" markers are passed over. On standard error are told: gap
markers; records that no bridge wrote, or that are corrupt, with their sequence
numbers; records that were trimmed before they could be read. At a record in
another version of the format reading stops.

` + placeHelp + `

Exit codes: 0 done, 1 there were such records, or the stream does not exist,
2 bad usage, 3 S2 did not answer, or refused to.`,
		Example: `  bridge read s2://my-basin/orders/0
  bridge read -c config.toml --topic orders --partition 0 --last 10 --follow
  bridge read s2://my-basin/orders/0 --endpoint http://localhost:8080 --from-offset 1000 --count 1
  bridge read s2://my-basin/orders/0 --from-time 2026-01-02T15:04:05Z -f '%t %p %o %k %s\n'`,
		Args: cobra.MaximumNArgs(1),
		RunE: body(func(cmd *cobra.Command, args []string) error {
			if err := o.check(args, cmd.Flags().Changed); err != nil {
				return &exitError{exitUsage, err}
			}
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		}),
	}
	o.addFlags(cmd)
	f := cmd.Flags()
	f.StringVarP(&o.format, "format", "f", "", "print records by this format string instead of as JSON")
	f.BoolVar(&o.follow, "follow", false, "go on with records that are yet to come")
	f.Int64Var(&o.fromOffset, "from-offset", 0, "begin with the first record at this Kafka offset or above")
	f.StringVar(&o.fromTime, "from-time", "", "begin with the first record of this time or later: milliseconds since 1970, or RFC 3339")
	f.Int64Var(&o.last, "last", 0, "begin with the last so many records; 0: with what comes")
	f.Int64Var(&o.count, "count", 0, "end after so many records")
	cmd.MarkFlagsMutuallyExclusive("from-offset", "from-time", "last")
	return cmd
}

// check says what is wrong with the flags, and makes start and print of them.
func (o *readOptions) check(args []string, given func(flag string) bool) (err error) {
	if err := o.place.check(args, given); err != nil {
		return err
	}
	switch {
	case o.address == "" && o.partition < 0:
		return errors.New("--topic needs --partition: a stream holds one partition")
	case o.fromOffset < 0:
		return errors.New("--from-offset must be 0 or more")
	case o.last < 0:
		return errors.New("--last must be 0 or more")
	case given("count") && o.count < 1:
		return errors.New("--count must be 1 or more")
	case given("format") && o.format == "":
		return errors.New("-f must not be empty")
	}
	if given("from-offset") {
		o.start.offset = &o.fromOffset
	}
	if given("last") {
		o.start.last = &o.last
	}
	if given("from-time") {
		ms, err := parseTime(o.fromTime)
		if err != nil {
			return err
		}
		o.start.time = &ms
	}
	o.print = appendJSON
	if o.format != "" {
		o.print, err = parseFormat(o.format)
	}
	return err
}

// run is the whole command.
func (o *readOptions) run(parent context.Context, out, errout io.Writer) error {
	b, hide, err := o.open()
	if err != nil {
		return err
	}
	defer b.Close()
	name, err := o.stream(b)
	if err != nil {
		return err
	}
	defer takePipeErrors()()
	ctx, release := untilSignal(parent, func(error) {})
	defer release()

	p := &pipe{w: bufio.NewWriterSize(out, 64<<10)}
	n := &notes{w: errout, before: func() { _ = p.flush() }} // a failure stays for the next flush
	err = o.read(ctx, b, name, p, n)
	n.flush()
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		err = &exitError{exitUnknown, errInterruptedRead}
		if o.follow {
			err = nil // the way in which following ends
		}
	}
	switch {
	case errors.Is(err, errPipeClosed):
		return nil // whoever read has enough, and did not see all that was met
	case errors.Is(err, errEnough):
		err = nil
	case err != nil:
		err = hide.wrap(b.explain(err))
	}
	if err == nil && n.broken > 0 {
		err = fmt.Errorf("the stream %q is not as a bridge writes it: %s, told above", name, n.records())
	}
	return err
}

var (
	errEnough          = errors.New("all records that were asked for were printed")
	errInterruptedRead = errors.New("interrupted before the end of the stream")
)

// read prints what is wanted of the stream.
func (o *readOptions) read(ctx context.Context, b *basin, name string, out *pipe, n *notes) error {
	w, err := newWalk(ctx, b, name, n)
	if err != nil {
		return err
	}
	origin := label{o.topic != "", o.topic, o.partition}
	first, err := w.origin(ctx, &origin)
	if err != nil {
		return err
	}
	skip, err := w.seek(ctx, o.start, first)
	if err != nil {
		return err
	}
	w.follow = o.follow
	if o.count > 0 { // besides, there are markers and commands
		w.page = int(min(1000, o.count+8))
	}
	var chunks mapping.Assembler
	var line []byte
	printed := int64(0)
	return w.pages(ctx, func(s mapping.Stored) error {
		rec, e, err := chunks.Feed(s)
		if err := n.look(s, e, err); err != nil {
			return err
		}
		switch {
		case e.Kind == mapping.OpenMark:
			origin = label{true, e.Open.Topic, e.Open.Partition}
		case e.Kind == mapping.GapMark && (o.start.offset == nil || e.Gap.To > *o.start.offset):
			n.say(fmt.Sprintf("sequence number %d: gap: offsets %d to %d are not in the stream (%s)", s.Seq, e.Gap.From, e.Gap.To-1, e.Gap.Reason))
		}
		if rec == nil || skip(rec) {
			return nil
		}
		line = o.print(line[:0], origin, rec)
		if err := out.write(line); err != nil {
			return err
		}
		if printed++; printed == o.count {
			return errEnough
		}
		return nil
	}, func() error {
		n.flush()
		return out.flush()
	})
}

// origin looks at the beginning of the stream: which sequence number is the
// first, and whether an open marker is left there that names the partition.
func (w *walk) origin(ctx context.Context, l *label) (first uint64, err error) {
	page, err := w.peek(ctx, 0, 4)
	for _, s := range page {
		if e := mapping.Classify(s); e.Kind == mapping.OpenMark {
			*l = label{true, e.Open.Topic, e.Open.Partition}
		}
	}
	if err != nil || len(page) == 0 {
		return w.end, err
	}
	return page[0].Seq, nil
}

// pipe is standard output. Its error is errPipeClosed when nobody reads it any
// more, as behind `| head`.
type pipe struct{ w *bufio.Writer }

var errPipeClosed = errors.New("standard output is closed")

func (p *pipe) write(b []byte) error {
	_, err := p.w.Write(b)
	return pipeError(err)
}

func (p *pipe) flush() error { return pipeError(p.w.Flush()) }

func pipeError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe), errors.Is(err, os.ErrClosed):
		return errPipeClosed
	}
	return fmt.Errorf("standard output: %w", err)
}

// takePipeErrors makes a closed standard output an error of the write, instead
// of a signal that ends the process. Call what it returns in the end.
func takePipeErrors() func() {
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	return func() { signal.Stop(broken) }
}

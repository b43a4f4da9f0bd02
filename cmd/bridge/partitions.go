package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"kafka-s2-bridge/handoff"
)

func newPartitionsCommand() *cobra.Command {
	var at remote
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "partitions [TOPIC[/NUMBER]]...",
		Short: "List the partitions of a running bridge, and what those that are held wait for",
		Long: `partitions asks a bridge that runs on this machine for the partitions that the
group gives to it: state, lag (offsets between the copy and the end of what is to be
copied now), the offset up to which the stream is complete, the stream, and what is
wrong. Those that are held come again below, with what happened, what is lost, and
what to type.

States: locating (looking in S2 where to begin), idle (nothing new has come yet),
acquiring (finding its place in the stream), flowing, draining (being given to
another member), held (stopped, with a reason).

With --json it prints one JSON list, as the bridge serves it at
/api/v1/partitions: {"topic", "partition", "stream", "state", "reason", "detail",
"next", "lost": {"from", "to"}, "accepts", "trouble", "durable_offset",
"position", "sequence_number", "last_stable_offset", "high_watermark", "lag",
"blocked", "held_bytes"}. Offsets are -1 while unknown. "trouble" is the last failure
that is not overcome, "blocked" a sentence where an open transaction keeps records
back; both are empty else.

Exit codes: 0 none is held, 1 some are, 2 bad usage, 3 no bridge answered, or it has
nothing of what was named.`,
		Example: `  bridge partitions
  bridge partitions orders payments/3
  bridge partitions -c config.toml --json`,
		RunE: body(func(cmd *cobra.Command, args []string) error {
			targets := make([]target, len(args))
			for i, arg := range args {
				var err error
				if targets[i], err = parseTarget(arg); err != nil {
					return err
				}
			}
			address, err := at.at(os.Environ())
			if err != nil {
				return err
			}
			list, err := askPartitions(cmd.Context(), address)
			if err != nil {
				return err
			}
			if len(targets) > 0 {
				all := list
				list = []partition{}
				for _, t := range targets {
					chosen := t.of(all)
					if len(chosen) == 0 {
						return &exitError{exitUnknown, t.notAssigned(address)}
					}
					list = append(list, chosen...)
				}
			}
			show := showPartitions
			if asJSON {
				show = func(out io.Writer, list []partition, _ string) error { return json.NewEncoder(out).Encode(list) }
			}
			if err := show(cmd.OutOrStdout(), list, at.flags()); err != nil {
				return err
			}
			if n := held(list); n > 0 {
				return fmt.Errorf("%d of %s", n, count(len(list), "partition is held", "partitions are held"))
			}
			return nil
		}),
	}
	at.addFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON list")
	return cmd
}

func held(list []partition) (n int) {
	for _, p := range list {
		if p.Reason != "" {
			n++
		}
	}
	return n
}

// count is a number with its noun.
func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + more
}

// showPartitions prints the table for people. flags lead to the same bridge again.
func showPartitions(out io.Writer, list []partition, flags string) error {
	var b bytes.Buffer
	if len(list) == 0 {
		b.WriteString("no partitions: the group gives none to this bridge\n")
	} else {
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, "partition\tstate\tlag\tdurable\tstream\t") // a buffer takes everything
		for _, p := range list {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", oneLine(p.id()), oneLine(p.State), offset(p.Lag), offset(p.Durable), oneLine(p.Stream), remark(p))
		}
		_ = w.Flush()
	}
	paint := paintFor(out)
	for _, p := range list {
		if p.Reason != "" {
			showHold(&b, p, flags, paint)
		}
	}
	_, err := out.Write(b.Bytes())
	return err
}

func offset(n int64) string {
	if n < 0 {
		return "-"
	}
	return grouped(n)
}

// remark is what is wrong with a partition, in the table.
func remark(p partition) string {
	switch {
	case p.Reason != "":
		return oneLine(p.Reason)
	case p.Trouble != "":
		return "trying again: " + oneLine(p.Trouble)
	}
	return oneLine(p.Blocked)
}

func showHold(b *bytes.Buffer, p partition, flags string, paint paint) {
	id := oneLine(p.id())
	_, _ = fmt.Fprintf(b, "\n%s %s\n  what  %s\n", id, paint.red("is held: "+oneLine(p.Reason)), oneLine(p.Detail))
	if p.Lost != nil {
		_, _ = fmt.Fprintf(b, "  lost  %s, unless they are brought back\n", p.Lost)
	}
	_, _ = fmt.Fprintf(b, "  next  %s\n", oneLine(p.Next))
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	label := "type"
	for _, a := range p.Accepts {
		a = oneLine(a)
		_, _ = fmt.Fprintf(w, "  %s\tbridge resume %s --accept %s%s\t%s\n", label, id, a, flags, givesUp(handoff.Reason(p.Reason), handoff.Answer(a)))
		label = ""
	}
	_ = w.Flush()
}

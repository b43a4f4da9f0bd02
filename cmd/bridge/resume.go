package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kafka-s2-bridge/handoff"
)

// resumeOptions are the flags of `bridge resume`.
type resumeOptions struct {
	remote
	accept string
	asJSON bool
}

func newResumeCommand() *cobra.Command {
	var o resumeOptions
	cmd := &cobra.Command{
		Use:   "resume TOPIC[/NUMBER] --accept ANSWER",
		Short: "Answer the hold of a partition, so that it goes on",
		Long: `resume tells a bridge that runs on this machine what to do about a partition that
is held; about all that are held of a topic, if no number is given. Each reason
takes some answers only: "bridge partitions" says which, and what is lost. An answer
is for the one hold, and for now; for a standing one see [policy] in the
configuration.

  gap         gives up the records that are lost: the copy goes on behind them, and a
              gap marker in the stream says which offsets (bridge gaps lists them).
              record-refused: gives up the one record.
              truncated: gives up what Kafka has now, or will have, at the offsets
              where the stream holds the history that Kafka dropped.
              s2-behind: gives up what S2 lost, although Kafka may still have it.
  replay      s2-behind: copies again from where the stream ends; if it is empty, or
              missing, from the start of Kafka's log. Gives nothing up that Kafka still
              has; what it has not is another hold. Readers see the records at new
              sequence numbers.
              position-unproven: copies again from the start of Kafka's log. Readers may
              see records twice.
  adopt       takes the stream over although its token, its identity or records in it
              are not this partition's, if its last Kafka records are those of Kafka,
              byte for byte; else the partition is held again, and says what differs.
              Gives nothing up.
  new-stream  topic-recreated: copies the new topic into a stream of its own. Gives
              nothing up. Only with {topic_id} in stream.name.
  retry       looks again, after something was mended. Gives nothing up. It fits every
              hold.

It prints what was accepted for each partition, or why not. What an answer gave up
cannot be had back by another answer.

Exit codes: 0 accepted, 1 not accepted (by all), 2 bad usage, 3 no bridge answered.`,
		Example: `  bridge resume orders/3 --accept gap
  bridge resume orders --accept retry
  bridge resume orders/3 --accept replay -c config.toml --json`,
		Args: cobra.ExactArgs(1),
		RunE: body(func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout(), args[0])
		}),
	}
	o.addFlags(cmd)
	cmd.Flags().StringVar(&o.accept, "accept", "", "the answer: "+strings.Join(knownAnswers(), ", "))
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print one JSON list")
	return cmd
}

// outcome is what became of the answer for one partition. Error is empty if it was
// accepted.
type outcome struct {
	Topic     string       `json:"topic"`
	Partition int32        `json:"partition"`
	Accepted  string       `json:"accepted,omitempty"`
	Was       string       `json:"was,omitempty"` // the reason of the hold
	Lost      *offsetRange `json:"lost,omitempty"`
	Error     string       `json:"error,omitempty"`
	Accepts   []string     `json:"accepts,omitempty"`
}

func (o *resumeOptions) run(ctx context.Context, out io.Writer, arg string) error {
	t, err := parseTarget(arg)
	if err != nil {
		return err
	}
	if o.accept != "" && !slices.Contains(knownAnswers(), o.accept) {
		return &exitError{exitUsage, fmt.Errorf("--accept must be one of %s", strings.Join(knownAnswers(), ", "))}
	}
	address, err := o.at(os.Environ())
	if err != nil {
		return err
	}
	list, err := askPartitions(ctx, address)
	if o.accept == "" {
		return &exitError{exitUsage, errors.New(o.whatFits(t.of(list)))}
	}
	if err != nil {
		return err
	}
	list = t.of(list)
	if len(list) == 0 {
		return t.notAssigned(address)
	}
	if t.number < 0 {
		list = slices.DeleteFunc(list, func(p partition) bool { return p.Reason == "" })
	}
	if len(list) == 0 {
		return fmt.Errorf("no partition of %s at %s is held: there is nothing to answer", t, address)
	}
	return o.answer(ctx, out, address, list)
}

// whatFits is for somebody who did not say what to answer. list may be empty, also
// because nobody could be asked.
func (o *resumeOptions) whatFits(list []partition) string {
	var b strings.Builder
	for _, p := range list {
		for _, a := range p.Accepts {
			_, _ = fmt.Fprintf(&b, "\n  bridge resume %s --accept %s%s  (%s: %s)", p.id(), oneLine(a), o.flags(), oneLine(p.Reason), givesUp(handoff.Reason(p.Reason), handoff.Answer(a)))
		}
	}
	if b.Len() == 0 {
		return "say with --accept what to answer: " + strings.Join(knownAnswers(), ", ") + "; bridge partitions lists what is held, and what fits"
	}
	return "say with --accept what to answer; what fits:" + b.String()
}

// answer gives the answer to each of list, and says what came of it.
func (o *resumeOptions) answer(ctx context.Context, out io.Writer, address string, list []partition) error {
	results := []outcome{}
	refused, renewed, err := 0, false, error(nil)
	for _, p := range list {
		r := outcome{Topic: p.Topic, Partition: p.Partition, Was: p.Reason, Accepted: o.accept}
		if !renewed || p.Reason != string(handoff.Recreated) {
			if r, err = o.answerOne(ctx, address, p); err != nil {
				break // the others would not be answered either
			}
			// All partitions of the topic go on with the first one of them.
			renewed = r.Error == "" && o.accept == string(handoff.AnswerNewStream)
		}
		if r.Error != "" {
			refused++
		}
		results = append(results, r)
		if !o.asJSON {
			if err := printOutcome(out, r); err != nil {
				return err
			}
		}
	}
	if o.asJSON {
		if err := json.NewEncoder(out).Encode(results); err != nil {
			return err
		}
	}
	switch {
	case err != nil:
		return err
	case refused > 0:
		return fmt.Errorf("%s was not accepted by %d of %s", o.accept, refused, count(len(list), "partition", "partitions"))
	}
	return nil
}

func (o *resumeOptions) answerOne(ctx context.Context, address string, p partition) (outcome, error) {
	r := outcome{Topic: p.Topic, Partition: p.Partition, Was: p.Reason}
	path := resumePath(p.Topic, p.Partition)
	status, answer, err := askBridge(ctx, resumeTimeout+5*time.Second, http.MethodPost, address, path, resumeAsk{o.accept, p.Reason})
	if err != nil {
		return r, err
	}
	var no notResumed
	if status != http.StatusOK && (json.Unmarshal(answer, &no) != nil || no.Error == "") {
		return r, notABridge(address, path, status)
	}
	switch status {
	case http.StatusOK:
		r.Accepted, r.Lost = o.accept, p.Lost
	case http.StatusNotFound, http.StatusConflict:
		r.Error, r.Was, r.Accepts = no.Error, no.Reason, no.Accepts
	case http.StatusForbidden, http.StatusBadRequest:
		return r, errors.New(oneLine(no.Error))
	default:
		return r, &exitError{exitUnknown, errors.New(oneLine(no.Error))}
	}
	return r, nil
}

// printOutcome prints one outcome for people.
func printOutcome(out io.Writer, r outcome) error {
	text := fmt.Sprintf("%s/%d: ", oneLine(r.Topic), r.Partition)
	switch {
	case r.Error != "":
		text += "not accepted: " + oneLine(r.Error)
	default:
		text += fmt.Sprintf("%s accepted (was %s): it %s", r.Accepted, oneLine(r.Was), givesUp(handoff.Reason(r.Was), handoff.Answer(r.Accepted)))
		if r.Lost != nil && r.Accepted == string(handoff.AnswerGap) {
			text += ": " + r.Lost.String()
		}
	}
	_, err := fmt.Fprintln(out, text)
	return err
}

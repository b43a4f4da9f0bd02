// Package operator does what the operator of a bridge does: looks at its partitions, and types commands.
//
//	test --Partition--> /api/v1/partitions of a bridge that runs
//	     --Type-------> bridge partitions, resume, gaps ... as processes of their own
//
// It knows no code of the bridge: only its command line and its HTTP endpoint.
package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"

	"kafka-s2-bridge/tests/real/bridge"
)

// Status is one element of /api/v1/partitions, as far as the tests look at it.
type Status struct {
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Stream    string   `json:"stream"`
	State     string   `json:"state"`
	Reason    string   `json:"reason"`
	Detail    string   `json:"detail"`
	Next      string   `json:"next"`
	Lost      *Span    `json:"lost"`
	Accepts   []string `json:"accepts"`
	Trouble   string   `json:"trouble"`
	Durable   int64    `json:"durable_offset"`
	Position  int64    `json:"position"`
	Lag       int64    `json:"lag"`
}

// Span is the offsets [From, To).
type Span struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Loses is an error unless the hold names exactly these offsets.
func (s Status) Loses(from, to int64) error {
	if s.Lost == nil || *s.Lost != (Span{from, to}) {
		return fmt.Errorf("%s/%d says that %v is lost, want offsets %d to %d", s.Topic, s.Partition, s.Lost, from, to-1)
	}
	return nil
}

// Partition is what a bridge says of a partition; an error where it does not list it.
func Partition(ctx context.Context, b *bridge.Process, topic string, partition int32) (Status, error) {
	code, body, err := b.Get(ctx, "/api/v1/partitions")
	if err != nil {
		return Status{}, err
	}
	var list []Status
	if err := json.Unmarshal([]byte(body), &list); err != nil || code != http.StatusOK {
		return Status{}, fmt.Errorf("/api/v1/partitions answers %d: %w", code, err)
	}
	for _, s := range list {
		if s.Topic == topic && s.Partition == partition {
			return s, nil
		}
	}
	return Status{}, fmt.Errorf("%s/%d is not listed", topic, partition)
}

// Said is what a command printed, and its exit code.
type Said struct {
	Out, Err string
	Code     int
}

// Type runs a program to its end. An error means that it did not run.
func Type(ctx context.Context, program string, args ...string) (Said, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		return Said{}, fmt.Errorf("%s %v: %w", program, args, err)
	}
	return Said{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}, nil
}

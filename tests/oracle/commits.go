package oracle

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Commit is where a group stands on one partition.
type Commit struct {
	Topic     string
	Partition int32
	Offset    int64 // committed; -1: nothing
	Metadata  string
	Stable    int64 // last stable offset now
	Start     int64 // log start now
}

// Lag is the number of offsets below the last stable one that are not committed.
func (c Commit) Lag() int64 { return c.Stable - max(c.Offset, c.Start) }

// ReadCommits asks where a group stands on every partition of the topics. cl needs no topics of its own.
func ReadCommits(ctx context.Context, cl *kgo.Client, group string, topics ...string) ([]Commit, error) {
	adm := kadm.NewClient(cl)
	committed, err := adm.FetchOffsets(ctx, group)
	if err == nil {
		err = committed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("offsets of group %s: %w", group, err)
	}
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("kafka log starts: %w", err)
	}
	ends, err := adm.ListCommittedOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("kafka last stable offsets: %w", err)
	}
	var out []Commit
	for _, o := range ends.Offsets().Sorted() {
		c := Commit{Topic: o.Topic, Partition: o.Partition, Offset: -1, Stable: o.At}
		if at, ok := committed.Lookup(o.Topic, o.Partition); ok {
			c.Offset, c.Metadata = at.At, at.Metadata
		}
		if s, ok := starts.Lookup(o.Topic, o.Partition); ok {
			c.Start = s.Offset
		}
		out = append(out, c)
	}
	return out, nil
}

// CheckCommit compares the last commit of a bridge that has nothing left to do with its stream's report: it stands at the last
// stable offset, and its metadata count exactly what the stream holds. parts is the topic's number of partitions.
func CheckCommit(c Commit, served *Served, r Report, parts int32) error {
	if c.Offset < 0 && c.Stable == c.Start && r.Tail == 0 {
		return nil // never had a record
	}
	if c.Lag() != 0 {
		return fmt.Errorf("%s: committed %d, last stable offset %d", r.Stream, c.Offset, c.Stable)
	}
	var m struct {
		V     int    `json:"v"`
		Next  uint64 `json:"next"`
		Last  int64  `json:"last"`
		Parts int32  `json:"parts"`
		ID    string `json:"id"`
	}
	if !strict([]byte(c.Metadata), &m, 5) || m.V != 1 {
		return fmt.Errorf("%s: malformed commit metadata %q", r.Stream, c.Metadata)
	}
	if m.Next != r.Next || m.Last != r.Last || m.Parts != parts || m.ID != served.Identity.Hash() {
		return fmt.Errorf("%s: commit metadata %s; the stream has next %d, last %d, parts %d, id %s",
			r.Stream, c.Metadata, r.Next, r.Last, parts, served.Identity.Hash())
	}
	return nil
}

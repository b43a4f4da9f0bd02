package bed

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/tests/oracle"
	"kafka-s2-bridge/tests/oracle/produce"
	"kafka-s2-bridge/tests/s2mem"
)

// Judge holds what S2 and the group have against what Kafka serves.
type Judge struct {
	Kafka  []kgo.Opt // how to reach it, undisturbed
	S2     *s2mem.Server
	Group  string
	Topics []produce.Topic
	Ledger *oracle.Ledger
	Watch  *Watch
	Past   int64 // oracle.Expect.PastBefore
}

func (j *Judge) names() (names []string) {
	for _, t := range j.Topics {
		names = append(names, t.Name)
	}
	return names
}

// Lag is how many offsets are not committed, in all; cl needs no topics.
//
// A partition that has no commit at all, because whoever copied it died before
// its first one, and nothing new since, stays without: the next owner finds its
// place in S2 and takes the stream over only when a record comes. It counts as
// having no lag if the stream is complete.
func (j *Judge) Lag(ctx context.Context, cl *kgo.Client) (lag int64, err error) {
	commits, err := oracle.ReadCommits(ctx, cl, j.Group, j.names()...)
	for _, c := range commits {
		if !j.uncommitted(c) {
			lag += c.Lag()
		}
	}
	return lag, err
}

func (j *Judge) uncommitted(c oracle.Commit) bool {
	return c.Offset < 0 && j.Watch.High(streamName(c.Topic, c.Partition)) == c.Stable-1
}

// Verdict reads both sides, once the bridges have ended. The error tells
// everything that is wrong.
func (j *Judge) Verdict(ctx context.Context, cl *kgo.Client) (oracle.Report, error) {
	truth, err := oracle.ReadKafka(ctx, j.names(), j.Kafka...)
	if err != nil {
		return oracle.Report{}, err
	}
	commits, err := oracle.ReadCommits(ctx, cl, j.Group, j.names()...)
	if err != nil {
		return oracle.Report{}, err
	}
	var wrong []string
	if tally := j.Ledger.Compare(truth); !tally.OK() {
		wrong = append(wrong, "Kafka itself: "+tally.String())
	}
	served := map[string]*oracle.Served{}
	var reports []oracle.Report
	for _, s := range truth.Partitions {
		served[s.Name()] = s
		r, err := oracle.Check(s, j.stored(s.Name()), oracle.Expect{
			Group: j.Group, PastBefore: j.Past,
			Explain: func(offset int64) string {
				return j.Ledger.Explain(s.Identity.Topic, s.Identity.Partition, offset)
			},
		})
		if err != nil {
			return oracle.Report{}, err
		}
		reports = append(reports, r)
		if !r.OK() {
			wrong = append(wrong, r.String())
		}
		for _, c := range commits {
			if c.Topic == s.Identity.Topic && c.Partition == s.Identity.Partition && !j.uncommitted(c) {
				if err := oracle.CheckCommit(c, s, j.counted(c, r), j.parts(c.Topic)); err != nil {
					wrong = append(wrong, err.Error())
				}
			}
		}
	}
	wrong = append(wrong, j.Watch.check(served)...)
	sum := oracle.Sum(reports)
	if sum.Records == 0 && truth.Records() > 0 || truth.Records() == 0 {
		wrong = append(wrong, fmt.Sprintf("%d records in Kafka, %d in S2: nothing was tested", truth.Records(), sum.Records))
	}
	if len(wrong) > 0 {
		return sum, fmt.Errorf("%s", strings.Join(wrong, "\n"))
	}
	return sum, nil
}

// counted is the report as the commit should count it. A late riser, or one that
// was told to stop, may have fenced behind the last commit and written its open
// marker, and have left before it committed that. Whoever is next does. Such
// tenures without data are not counted.
func (j *Judge) counted(c oracle.Commit, r oracle.Report) oracle.Report {
	var m struct {
		Next uint64
		Last int64
	}
	if json.Unmarshal([]byte(c.Metadata), &m) != nil || m.Last != r.Last || m.Next >= r.Next {
		return r
	}
	for _, record := range j.S2.Records(streamName(c.Topic, c.Partition)) {
		s := Stored(record)
		it := oracle.Decode(s)
		if s.Seq >= m.Next && it.Kind != oracle.Fence && (it.Kind != oracle.Open || it.Open.Resume != m.Last+1) {
			return r
		}
	}
	r.Next = m.Next
	return r
}

func (j *Judge) parts(topic string) int32 {
	for _, t := range j.Topics {
		if t.Name == topic {
			return t.Partitions
		}
	}
	return 0
}

func (j *Judge) stored(name string) iter.Seq2[oracle.Stored, error] {
	return func(yield func(oracle.Stored, error) bool) {
		for _, r := range j.S2.Records(name) {
			if !yield(Stored(r), nil) {
				return
			}
		}
	}
}

func streamName(topic string, partition int32) string { return fmt.Sprintf("%s/%d", topic, partition) }

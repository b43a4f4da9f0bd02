package source

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// forever is a retention.ms that means no limit, whatever its number (100 years).
const forever = 100 * 365 * 24 * int64(time.Hour/time.Millisecond)

// TopicRetention is how long Kafka keeps the records of a topic, in whole
// seconds; 0 is for ever: without a limit of time, or compacted.
func (s *Source) TopicRetention(ctx context.Context, topic string) (time.Duration, error) {
	<-s.ready
	described, err := kadm.NewClient(s.client).DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("configuration of topic %s: %w", topic, err)
	}
	config, err := described.On(topic, nil)
	if err = errors.Join(err, config.Err); err != nil {
		return 0, fmt.Errorf("configuration of topic %s: %w", topic, err)
	}
	ms := int64(-1)
	for _, c := range config.Configs {
		switch c.Key {
		case "cleanup.policy":
			if strings.Contains(c.MaybeValue(), "compact") {
				return 0, nil
			}
		case "retention.ms":
			if ms, err = strconv.ParseInt(c.MaybeValue(), 10, 64); err != nil {
				return 0, fmt.Errorf("retention.ms of topic %s: %w", topic, err)
			}
		}
	}
	if ms < 0 || ms > forever {
		return 0, nil
	}
	return max(time.Duration(ms)*time.Millisecond, time.Second).Truncate(time.Second), nil
}

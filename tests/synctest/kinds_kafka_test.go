//go:build synctests

package bubble

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// refusals is a kind of Kafka fault: requests that are answered with errors.
type refusals struct {
	name     string
	keys     []kmsg.Key
	topLevel bool
	errors   []*kerr.Error
}

var kafkaRefusals = []refusals{
	{"commit refused", []kmsg.Key{kmsg.OffsetCommit}, false, []*kerr.Error{kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.RebalanceInProgress,
		kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.UnknownServerError}},
	{"commit applied, answer lost", []kmsg.Key{kmsg.OffsetCommit}, false, []*kerr.Error{kerr.RequestTimedOut}},
	{"fetch refused", []kmsg.Key{kmsg.Fetch}, false, []*kerr.Error{kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch,
		kerr.OffsetNotAvailable, kerr.KafkaStorageError, kerr.UnknownServerError, kerr.UnknownTopicOrPartition, kerr.ReplicaNotAvailable}},
	{"fetch said to be out of range", []kmsg.Key{kmsg.Fetch}, false, []*kerr.Error{kerr.OffsetOutOfRange}},
	{"epoch question refused", []kmsg.Key{kmsg.OffsetForLeaderEpoch}, false, []*kerr.Error{kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch,
		kerr.UnknownLeaderEpoch, kerr.OffsetNotAvailable}},
	{"offset listing refused", []kmsg.Key{kmsg.ListOffsets}, false, []*kerr.Error{kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.OffsetNotAvailable}},
	{"committed offsets refused", []kmsg.Key{kmsg.OffsetFetch}, false, []*kerr.Error{kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.UnstableOffsetCommit}},
	{"metadata refused", []kmsg.Key{kmsg.Metadata}, false, []*kerr.Error{kerr.LeaderNotAvailable, kerr.UnknownServerError}},
	// Not UNKNOWN_MEMBER_ID: a coordinator that says so has forgotten the member.
	{"join refused", []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup}, false, []*kerr.Error{kerr.NotCoordinator, kerr.CoordinatorNotAvailable,
		kerr.RebalanceInProgress}},
	{"heartbeat refused", []kmsg.Key{kmsg.Heartbeat}, false, []*kerr.Error{kerr.NotCoordinator, kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.IllegalGeneration}},
	{"coordinator unknown", []kmsg.Key{kmsg.FindCoordinator}, false, []*kerr.Error{kerr.CoordinatorNotAvailable}},
}

// kafkaKinds make Kafka refuse, and its leaders and coordinators move.
func kafkaKinds() (all []*kind) {
	for _, k := range kafkaRefusals {
		all = append(all, &kind{"kafka " + k.name, func(f *fault) int {
			of := kfake.Fault{Keys: k.keys, Err: k.errors[f.rng.IntN(len(k.errors))], Count: 1 + f.rng.IntN(4)}
			if f.rng.IntN(2) == 0 && (k.keys[0] == kmsg.Fetch || k.keys[0] == kmsg.OffsetCommit) {
				topic, partition := f.somePartition()
				of.Topic, of.Partitions = topic, []int32{partition}
			}
			return f.kafkaFault(of)
		}})
	}
	return append(all,
		&kind{"kafka leaders move", func(f *fault) int {
			f.kafka.ShufflePartitionLeaders()
			for _, t := range f.topics {
				for partition := range t.Partitions {
					f.settle(t.Name, partition)
				}
			}
			return 1
		}},
		&kind{"kafka one leader moves", func(f *fault) int {
			topic, partition := f.somePartition()
			if err := f.kafka.MoveTopicPartition(topic, partition, f.rng.Int32N(int32(f.brokers))); err != nil {
				f.trace.Printf("move %s/%d: %v", topic, partition, err)
				return 0
			}
			f.settle(topic, partition)
			return 1
		}},
		&kind{"kafka coordinators move", func(f *fault) int {
			f.kafka.RehashCoordinators()
			f.last(f.between(0, time.Second))
			f.kafka.RehashCoordinators()
			return 1
		}},
	)
}

// settle writes a record behind a leader that has just come. kfake knows an
// epoch only by a batch of it: asked where the one before ends, it would say
// that it does not know that epoch, as if the log had been cut. Kafka knows an
// epoch from the election on.
func (f *fault) settle(topic string, partition int32) {
	f.load.Produce(&kgo.Record{Topic: topic, Partition: partition, Value: []byte("behind a new leader")})
}

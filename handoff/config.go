package handoff

import (
	"math/rand/v2"
	"time"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

// Assignment is what Kafka says when it gives a partition to this process.
type Assignment struct {
	Identity   mapping.Identity
	Generation int64           // group generation, or member epoch
	Commit     *offsets.Commit // the group's commit, where it is ours; else nil
	Parts      int32           // the topic's partition count
	New        bool            // it began after the group did: its start is offset 0, whatever the policy says
}

// Config is what a machine needs to know besides its assignment.
type Config struct {
	Packer             mapping.Packer // what becomes of large records
	Policy             Policy         // of the topic
	Group, Bridge      string         // names for the open marker: consumer group, bridge version
	MaxInflightBytes   int            // sent and not acknowledged, encoded bytes
	MaxInflightBatches int            // the same in batches
	Linger             time.Duration  // how long a batch that is not full waits while others are in flight
	AckTimeout         time.Duration  // no ack for so long with something in flight: the path is dead
	IdleClose          time.Duration  // a session without traffic is closed after this
	SessionTimeout     time.Duration  // the group's: how long a zombie may be unaware
	BackoffMin         time.Duration  // first pause after a failure
	BackoffMax         time.Duration  // longest pause
	Paced              bool           // ask for a permit before each append
	Zero               time.Time      // wall-clock time of Step's zero, for gap markers
	Rand               *rand.Rand     // for tokens and jitter
	Defect             Defect         // a planted mistake: for the simulation only
}

package s2mem

import (
	"crypto/tls"
	"time"
)

// Limits of S2 for one record, batch and frame.
const (
	MaxBatchRecords = 1000
	MaxBatchBytes   = 1 << 20 // metered bytes of a batch, and of a record
	MaxFrameBytes   = 2 << 20 // flag and payload of an S2S frame
	MaxTokenBytes   = 36      // fencing token
	maxBodyBytes    = 2 << 20 // body of a unary request
)

// Options configure a Server. The zero value is an open server with one basin.
type Options struct {
	// Basin exists from the start; inspection methods look into it first.
	// Empty means DefaultBasin.
	Basin string
	// CreateStreamOnAppend lets appends create missing streams of Basin.
	CreateStreamOnAppend bool
	// CreateStreamOnRead lets reads and tail checks create missing streams of Basin.
	CreateStreamOnRead bool
	// AccessTokens are the bearer tokens with every right; any other one gets
	// 401 authn. Empty means that no token is asked for. See SetAccessTokens.
	AccessTokens []string
	// DeniedTokens are known but may do nothing: 403 permission_denied.
	DeniedTokens []string
	// FlushDelay is the time from accepting a batch to its durability, at most
	// (what is accepted meanwhile becomes durable together with it). Zero means
	// at once. s2-lite has 5 ms in memory.
	FlushDelay time.Duration
	// DeletionDelay is how long the name of a deleted stream answers 409
	// stream_deletion_pending before it is free again. Zero means not at all.
	DeletionDelay time.Duration
	// Heartbeat is the time between two empty batches of a read session that
	// waits for records. Zero means 10 s.
	Heartbeat time.Duration
	// Discard keeps of each stream only the commands, the newest data record and
	// the last one before each command: what a writer needs to find its place
	// again. Appends are checked, sequenced and acknowledged all the same.
	Discard bool
	// TLS makes the server speak HTTPS; see SelfSigned.
	TLS *tls.Config
	// Now is the clock for record timestamps. Nil means time.Now.
	Now func() time.Time
}

// DefaultBasin is the basin of a Server whose Options name none.
const DefaultBasin = "s2mem-basin"

func (o Options) withDefaults() Options {
	if o.Basin == "" {
		o.Basin = DefaultBasin
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

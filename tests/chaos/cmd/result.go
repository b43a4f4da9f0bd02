package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"kafka-s2-bridge/tests/chaos"
)

// result is what it came to.
type result struct {
	chaos.Verdict
	Live      chaos.Tally // what the count beside it says
	FencedOut int
	Seed      uint64
	Error     string // why nothing can be said; "" if something can

	judged  bool
	durable bool
	count   *chaos.Count // nil: it did not come so far
	began   time.Time
	seconds float64
}

func (r *result) took() { r.seconds = time.Since(r.began).Seconds() }

// verified: both witnesses say so.
func (r *result) verified() bool {
	return r.judged && r.Error == "" && r.OK() && r.Live.Lost+r.Live.Doubled+r.Live.Stranger == 0
}

// code is the exit code, with a word about it.
func (r *result) code(err error, errout io.Writer) int {
	switch {
	case err != nil:
		fmt.Fprintln(errout, "error:", err)
		return exitUnknown
	case !r.verified():
		if r.OK() {
			fmt.Fprintln(errout, "error: the live count saw what the oracle did not: keep the folder (-keep) and the seed")
		}
		return exitDifferent
	}
	return exitVerified
}

// MarshalJSON is the form for scripts.
func (r result) MarshalJSON() ([]byte, error) {
	type servers struct {
		Kafka int64 `json:"kafka"`
		S2    int64 `json:"s2"`
	}
	out := struct {
		Verified   bool     `json:"verified"`
		Records    int      `json:"records"` // served by Kafka
		Copied     int      `json:"copied"`
		Lost       int      `json:"lost"`
		Duplicated int      `json:"duplicated"`
		Reordered  int      `json:"reordered"`
		Altered    int      `json:"altered"`
		Foreign    int      `json:"foreign"`
		Broken     int      `json:"broken"`
		Commits    int      `json:"commits_wrong"`
		LiveLost   int      `json:"live_lost"`
		LiveTwice  int      `json:"live_duplicated"`
		Fences     int      `json:"fences"`
		FencedOut  int      `json:"fenced_out"`
		Chunked    int      `json:"chunked"`
		Torn       int      `json:"torn"`
		SIGKILLs   int      `json:"sigkills"`
		Killed     int64    `json:"bridges_killed"`
		Ended      int64    `json:"bridges_ended"`
		Stopped    int64    `json:"bridges_stopped"`
		Zombies    int64    `json:"bridges_stopped_beyond_session"`
		Lives      [2]int64 `json:"lives_by_version"`
		Down       servers  `json:"servers_killed"`
		Paused     servers  `json:"servers_stopped"`
		Never      []string `json:"never"` // kinds of misfortune that did not happen
		Seed       uint64   `json:"seed"`
		Seconds    float64  `json:"seconds"`
		Problems   []string `json:"problems"`
		Error      string   `json:"error,omitempty"`
	}{
		Verified: r.verified(), Records: r.Served, Copied: r.Records,
		Lost: r.Missing, Duplicated: r.Duplicates, Reordered: r.Reordered, Altered: r.Altered, Foreign: r.Foreign, Broken: r.Broken,
		Commits: r.Commits, LiveLost: r.Live.Lost, LiveTwice: r.Live.Doubled, Fences: r.Fences, FencedOut: r.FencedOut,
		Chunked: r.Chunked, Torn: r.Torn, Never: []string{}, Seed: r.Seed, Seconds: r.seconds, Problems: append([]string{}, r.Violations...), Error: r.Error,
	}
	if c := r.count; c != nil {
		out.SIGKILLs, out.Killed, out.Ended = c.SIGKILLs(r.durable), c.Kills.Load(), c.Ends.Load()
		out.Stopped, out.Zombies = c.Dozes.Load(), c.Zombies.Load()
		out.Never = append(out.Never, c.Never(r.durable)...)
		out.Lives = [2]int64{c.Lives[0].Load(), c.Lives[1].Load()}
		out.Down = servers{c.KafkaKills.Load(), c.S2Kills.Load()}
		out.Paused = servers{c.KafkaDozes.Load(), c.S2Dozes.Load()}
	}
	return json.Marshal(out)
}

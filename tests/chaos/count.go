package chaos

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// Count is what was done. Safe to read at any time.
type Count struct {
	Kills, Ends, Dozes, Zombies atomic.Int64    // of bridges
	Lives                       [2]atomic.Int64 // of bridges, by version
	KafkaKills, S2Kills         atomic.Int64    // of servers; a Kafka that does not survive SIGKILL gets SIGTERM
	KafkaDozes, S2Dozes         atomic.Int64
	Restarts                    atomic.Int64 // of bridges that could not start while a server was down
}

// kind is one misfortune, or a version that a bridge was of.
type kind struct {
	name  string
	count *atomic.Int64
	only  bool // on servers that keep their data
}

func (c *Count) kinds() []kind {
	return []kind{
		{"bridge killed", &c.Kills, false}, {"bridge ended", &c.Ends, false},
		{"bridge stopped", &c.Dozes, false}, {"bridge stopped beyond its session", &c.Zombies, false},
		{"lives of the older version", &c.Lives[0], false}, {"lives of the newer", &c.Lives[1], false},
		{"Kafka killed", &c.KafkaKills, false}, {"S2 killed", &c.S2Kills, true},
		{"Kafka stopped", &c.KafkaDozes, false}, {"S2 stopped", &c.S2Dozes, false},
	}
}

// Never names the kinds that have not happened yet. durable: to servers that keep their data.
func (c *Count) Never(durable bool) (names []string) {
	for _, k := range c.kinds() {
		if k.count.Load() == 0 && (durable || !k.only) {
			names = append(names, k.name)
		}
	}
	return names
}

// SIGKILLs is how many there were. durable: to servers that keep their data; others are not killed.
func (c *Count) SIGKILLs(durable bool) int {
	n := c.Kills.Load()
	if durable {
		n += c.KafkaKills.Load() + c.S2Kills.Load()
	}
	return int(n)
}

// String is all of it in a line.
func (c *Count) String() string {
	var parts []string
	for _, k := range c.kinds() {
		parts = append(parts, fmt.Sprintf("%s %d", k.name, k.count.Load()))
	}
	return fmt.Sprintf("%s; %d starts failed while a server was down", strings.Join(parts, ", "), c.Restarts.Load())
}

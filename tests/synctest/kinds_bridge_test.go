//go:build synctests

package bubble

import "time"

// toS2, toABroker and toAll choose the links of a host that a fault means.
func toS2(*fault) int        { return s2Port }
func toABroker(f *fault) int { return kafkaPort + f.rng.IntN(f.brokers) }
func toAll(*fault) int       { return 0 }

// freeze is a kind that stops bytes, of one host, for a time.
func freeze(name string, port func(*fault) int, low, high time.Duration) *kind {
	return &kind{name, func(f *fault) (hits int) {
		h := f.someHost()
		if h == nil {
			return 0
		}
		at := port(f)
		f.trace.Printf("%s: port %d freezes", h.name, at)
		hits = h.freeze(at)
		f.last(f.between(low, high))
		h.thaw(at)
		return hits
	}}
}

// zombieKinds outlast the session: when they wake up, somebody else writes.
func zombieKinds() []*kind {
	return []*kind{
		freeze("zombie: silent beyond the session", toAll, 7*time.Second, 14*time.Second),
		freeze("zombie: kafka silent beyond the session", func(*fault) int { return kafkaPort }, 7*time.Second, 14*time.Second),
	}
}

// linkKinds cut and freeze what connects the bridges to both sides.
func linkKinds() []*kind {
	cut := func(name string, port func(*fault) int) *kind {
		return &kind{name, func(f *fault) int {
			h := f.someHost()
			if h == nil {
				return 0
			}
			return h.cut(port(f), f.rng.IntN(2) == 0)
		}}
	}
	return append(zombieKinds(),
		cut("links to s2 cut", toS2),
		cut("links to a broker cut", toABroker),
		cut("all links of a bridge cut", toAll),
		freeze("s2 silent", toS2, 10*time.Millisecond, 6*time.Second),
		freeze("broker silent", toABroker, 10*time.Millisecond, 6*time.Second),
		freeze("everything silent", toAll, 10*time.Millisecond, 3*time.Second),
		&kind{"s2 server silent", func(f *fault) int {
			hits := f.run.s2.Connections()
			f.run.s2.Freeze()
			f.last(f.between(10*time.Millisecond, 5*time.Second))
			f.run.s2.Thaw()
			return hits
		}},
		&kind{"s2 cuts all connections", func(f *fault) int {
			hits := f.run.s2.Connections()
			f.run.s2.CutConnections()
			return hits
		}},
	)
}

// bridgeKinds crash, stop and start bridges.
func bridgeKinds() []*kind {
	crash := func(lost bool) func(*fault) int {
		return func(f *fault) int {
			return f.away(func(s *slot) { f.crash(s, lost) })
		}
	}
	return []*kind{
		{"bridge crashes", crash(false)},
		{"bridge crashes, bytes lost", crash(true)},
		{"bridge stops", func(f *fault) int { return f.away(f.end) }},
		{"bridge crashes, and again", func(f *fault) int {
			hits := 0
			for range 3 {
				hits += f.away(func(s *slot) { f.crash(s, false) })
			}
			return hits
		}},
	}
}

// away takes the bridge of some slot away, and starts another one after a time;
// without one, it starts one.
func (f *fault) away(take func(*slot)) int {
	s := f.slots[f.rng.IntN(len(f.slots))]
	select {
	case <-s.gate:
	case <-f.healed:
		return 0
	}
	defer func() { s.gate <- struct{}{} }()
	if s.member == nil {
		f.start(s)
		return 0
	}
	take(s)
	f.last(pick(f.rng, 0, 50*time.Millisecond, time.Second, 7*time.Second))
	if f.rng.IntN(4) > 0 {
		f.start(s)
	}
	return 1
}

// someHost is the host of a bridge that runs, or nil.
func (f *fault) someHost() *host {
	s := f.slots[f.rng.IntN(len(f.slots))]
	select {
	case <-s.gate:
	case <-f.healed:
		return nil
	}
	defer func() { s.gate <- struct{}{} }()
	if s.member == nil {
		return nil
	}
	return s.host
}

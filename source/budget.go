package source

// The byte budget: everything between fetch and ack counts, for all partitions
// together. Two marks each keep pauses from flapping, because a pause throws
// away what the client has fetched ahead.
//
//	a partition   pauses at its share          resumes at half of it
//	everything    pauses at the budget         resumes at three quarters
//
// The share is the budget divided by the partitions that hold anything, so that
// one stalled stream cannot take what the others need. A record larger than the
// budget passes alone: a partition that holds nothing may always fetch, once
// the others have drained.

// hold changes a partition's account; Source.mu is held.
func (s *Source) hold(p *partition, delta int) {
	if s.parts[p.key] != p {
		return // given up: what it held counts no more
	}
	if p.held == 0 && delta > 0 {
		s.holding++
	}
	p.held += delta
	s.held += delta
	if p.held == 0 && delta < 0 {
		s.holding--
	}
	s.weigh(p)
	switch {
	case !s.overfull && s.held >= s.cfg.Budget:
		s.setOverfull(true)
	case s.overfull && s.held < s.cfg.Budget*3/4:
		s.setOverfull(false)
	}
}

// weigh decides whether the partition holds its share.
func (s *Source) weigh(p *partition) {
	share := s.cfg.Budget / max(s.holding, 1)
	switch {
	case !p.full && p.held >= share:
		p.full = true
		s.touch(p)
	case p.full && p.held < share/2:
		p.full = false
		s.touch(p)
		s.wakeLocked()
	}
}

func (s *Source) setOverfull(on bool) {
	s.overfull = on
	for _, p := range s.parts {
		s.touch(p)
	}
	if !on {
		s.wakeLocked()
	}
}

// forget closes a partition's account; Source.mu is held.
func (s *Source) forget(p *partition) {
	s.hold(p, -p.held)
	delete(s.parts, p.key)
}

package source

// The byte budget: everything between fetch and ack counts, for all partitions
// together. Two marks each keep pauses from flapping, because a pause throws
// away what the client has fetched ahead.
//
//	a partition   pauses at a quarter of what is free   resumes at half of that
//	everything    pauses at the budget                  resumes at 15/16 of it
//
// Free is what is missing to three quarters of the budget. A share of what is
// free, and not of the budget, always leaves something: streams that stall one
// after the other take less each time, and never what the others need. A record
// larger than the budget passes alone: a partition that holds nothing may
// always fetch, once the others have drained.

// hold changes a partition's account; Source.mu is held.
func (s *Source) hold(p *partition, delta int) {
	if s.parts[p.key] != p {
		return // given up: what it held counts no more
	}
	p.held += delta
	s.held += delta
	s.weigh(p)
	switch {
	case !s.overfull && s.held >= s.cfg.Budget:
		s.setOverfull(true)
	case s.overfull && s.held < s.cfg.Budget/16*15:
		s.setOverfull(false)
	}
}

// weigh decides whether the partition holds its share.
func (s *Source) weigh(p *partition) {
	share := max(s.cfg.Budget/4*3-s.held, 0) / 4
	switch {
	case !p.full && p.held > 0 && p.held >= share:
		p.full = true
		s.touch(p)
	case p.full && (p.held == 0 || p.held < share/2):
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

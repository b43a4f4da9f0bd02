package s2mem

import (
	"cmp"
	"slices"
)

// locate finds a stream: in Options.Basin first, then in any other basin. The
// caller holds the lock.
func (s *Server) locate(name string) *stream {
	if b := s.basins[s.opts.Basin]; b != nil {
		if st := b.find(name); st != nil {
			return st
		}
	}
	for _, b := range s.basins {
		if st := b.find(name); st != nil {
			return st
		}
	}
	return nil
}

// look runs do under the lock on a stream, if there is one.
func (s *Server) look(name string, do func(*stream)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.locate(name)
	if st != nil {
		do(st)
	}
	return st != nil
}

// Records returns the stream's durable records, commands included: a copy of
// the list; the bytes are shared and must not be changed. Nil if there is no
// such stream.
func (s *Server) Records(name string) (out []Record) {
	s.look(name, func(st *stream) { out = slices.Clone(st.from(0)) })
	return out
}

// Tail is the stream's durable tail; ok tells whether the stream exists.
func (s *Server) Tail(name string) (tail Position, ok bool) {
	ok = s.look(name, func(st *stream) { tail = st.stable })
	return tail, ok
}

// Token is the stream's fencing token, that of accepted batches included.
func (s *Server) Token(name string) (token string) {
	s.look(name, func(st *stream) { token = st.token })
	return token
}

// Config is the stream's configuration.
func (s *Server) Config(name string) (c Config, ok bool) {
	ok = s.look(name, func(st *stream) { c = st.config.exported() })
	return c, ok
}

// Streams lists the streams of Options.Basin in order.
func (s *Server) Streams() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	if b := s.basins[s.opts.Basin]; b != nil {
		for name := range b.streams {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Sessions lists the open append sessions by number.
func (s *Server) Sessions() []SessionInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []SessionInfo
	for _, ss := range s.open {
		out = append(out, SessionInfo{ss.number, ss.st.basin.name, ss.st.name, ss.batches, ss.applied, ss.opened})
	}
	slices.SortFunc(out, func(a, b SessionInfo) int { return cmp.Compare(a.Number, b.Number) })
	return out
}

// OnAppend adds an observer. It is called under the server's lock for each
// batch at the moment when it becomes durable, in order, before the ack goes
// out: it must not block and must not call the server.
func (s *Server) OnAppend(see func(Append)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observers = append(s.observers, see)
}

// Locked runs do under the server's lock, which keeps all streams still: for a
// check that compares what observers gathered with something else.
func (s *Server) Locked(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// Create makes a stream in Options.Basin as POST would with the basin's
// defaults, if there is none.
func (s *Server) Create(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.basins[s.opts.Basin]; b.find(name) == nil {
		delete(b.dying, name)
		b.make(name, b.defaults(), "")
	}
}

// Trim removes the records below seq at once, as retention or a trim command
// would; the tail stays. False if there is no such stream.
func (s *Server) Trim(name string, seq uint64) bool {
	return s.look(name, func(st *stream) { st.trimTo(min(seq, st.stable.Seq)) })
}

// SetToken sets the fencing token without a fence record.
func (s *Server) SetToken(name, token string) bool {
	return s.look(name, func(st *stream) { st.token, st.tokenAt = token, st.stable.Seq })
}

// Rewind makes the stream forget its records from seq on, as a server restored
// from a backup would. The token stays. Batches that are not durable go too.
func (s *Server) Rewind(name string, seq uint64) bool {
	return s.look(name, func(st *stream) {
		kept := st.from(0)
		i, _ := slices.BinarySearchFunc(kept, seq, func(r Record, seq uint64) int { return cmp.Compare(r.Seq, seq) })
		st.records = slices.Clone(kept[:i])
		st.pending = nil
		st.stable = Position{Seq: min(seq, st.stable.Seq)}
		if i > 0 {
			st.stable.Timestamp = kept[i-1].Timestamp
		}
		st.next = st.stable
		st.tokenAt = min(st.tokenAt, st.stable.Seq)
		st.wake()
	})
}

// Delete deletes the stream. Its open sessions end with 503 unavailable at
// their next batch. False if there is no such stream.
func (s *Server) Delete(name string) bool {
	return s.look(name, (*stream).remove)
}

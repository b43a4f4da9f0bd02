package s2mem

import (
	"net/http"
	"time"
)

// follow is a read session: batches as frames until a limit or the end of the
// waiting, with empty batches as heartbeats while it waits.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, segment string) {
	to, no := targetOf(r, segment)
	if no != nil {
		no.answer().write(w)
		return
	}
	c := Call{Op: OpFollow, Basin: to.basin, Stream: to.stream}
	s.requests[c.Op].Add(1)
	f := s.faults.hit(c)
	if f != nil && s.before(f, w, r) {
		return
	}
	req, no := parseRead(r.URL.Query())
	var st *stream
	if no == nil {
		st, no = s.openStream(r, to, createsOnRead)
	}
	var at *reading
	if no == nil {
		s.mu.Lock()
		at, no = req.start(st, false)
		s.mu.Unlock()
	}
	if no != nil {
		no.answer().write(w)
		return
	}
	if f != nil {
		f.count()
		if f.Do == HoldAnswer {
			s.wait(f, r.Context().Done())
		}
	}
	openSession(w)
	rc := http.NewResponseController(w)
	send := func(frame []byte) bool {
		_, err := w.Write(frame)
		return err == nil && rc.Flush() == nil
	}
	if f != nil && s.afterOpen(f, r, rc) {
		return
	}
	s.deliver(r, at, send)
	s.abortIfClosing()
}

// deliver sends what a reading finds until it ends.
func (s *Server) deliver(r *http.Request, at *reading, send func([]byte) bool) {
	st := at.st
	live := false // has caught up once; batches tell the tail from then on
	var beat time.Time
	for {
		s.mu.Lock()
		records := at.take()
		tail := st.stable
		atTail := at.seq >= tail.Seq
		over := at.over
		gone := st.deleted
		changed := st.change()
		s.mu.Unlock()
		if len(records) > 0 {
			told := &tail
			if !live {
				told = nil
			}
			if !send(appendFrame(nil, 0, func(b []byte) []byte { return protoBatch(b, records, told) })) {
				return
			}
			beat = time.Now().Add(s.opts.Heartbeat)
		}
		switch {
		case gone && atTail:
			send(appendTerminal(nil, refuse("unavailable", "streamer missing in action")))
			return
		case over:
			return
		case !atTail:
			continue
		case at.wait == 0:
			return
		}
		now := time.Now()
		if at.deadline.IsZero() && at.wait > 0 {
			at.deadline = now.Add(at.wait)
		}
		if !live || !now.Before(beat) {
			live = true
			beat = now.Add(s.opts.Heartbeat)
			if !send(appendFrame(nil, 0, func(b []byte) []byte { return protoBatch(b, nil, &tail) })) {
				return
			}
		}
		next, last := beat, false
		if !at.deadline.IsZero() && !at.deadline.After(beat) {
			next, last = at.deadline, true
		}
		timeout, stop := timeoutAt(next)
		select {
		case <-changed:
			last = false
		case <-timeout:
		case <-r.Context().Done():
			last = true
		case <-s.closing:
			last = true
		}
		stop()
		if last {
			return
		}
	}
}

// openSession sends the 200 of a session.
func openSession(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", mimeS2S)
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	http.NewResponseController(w).Flush()
}

// afterOpen does what a fault does to a session that has its 200. True: it is
// over.
func (s *Server) afterOpen(f *fault, r *http.Request, rc *http.ResponseController) bool {
	switch f.Do {
	case ApplyReset, TornAck:
		panic(http.ErrAbortHandler)
	case ApplyCut:
		cut(r)
	case ApplyEOF:
		return true
	}
	return false
}

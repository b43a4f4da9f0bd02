package s2mem

import (
	"net"
	"net/http"
	"time"
)

// perform runs a unary operation with the fault that selects it, if any.
//
//	hit -> before: Refuse, Reset, Cut, EOF end it; Hold, Stall delay it
//	    -> apply
//	    -> after: the answer is sent, changed, held or lost
func (s *Server) perform(w http.ResponseWriter, r *http.Request, c Call, apply func(*fault) answer) {
	s.requests[c.Op].Add(1)
	f := s.faults.hit(c)
	if f == nil {
		apply(nil).write(w)
		return
	}
	if s.before(f, w, r) {
		return
	}
	defer f.count() // also if the client goes away while it is applied
	s.after(f, w, r, apply(f))
}

// before does what a fault does ahead of a call. True: the call is over.
func (s *Server) before(f *fault, w http.ResponseWriter, r *http.Request) bool {
	if f.Do < ApplyReset {
		f.count()
	}
	switch f.Do {
	case Refuse:
		f.answer().write(w)
		return true
	case Reset:
		panic(http.ErrAbortHandler)
	case Cut:
		cut(r)
	case EOF:
		w.WriteHeader(http.StatusOK)
		return true
	case Hold:
		s.wait(f, nil)
	case Stall:
		s.wait(f, r.Context().Done())
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler)
		}
	}
	return false
}

// after sends the answer of a call as its fault has it.
func (s *Server) after(f *fault, w http.ResponseWriter, r *http.Request, a answer) {
	f.count()
	switch f.Do {
	case ApplyReset:
		panic(http.ErrAbortHandler)
	case ApplyCut:
		cut(r)
	case ApplyEOF:
		w.WriteHeader(http.StatusOK)
		return
	case ApplyRefuse:
		a = f.answer()
	case TornAck:
		w.WriteHeader(a.status)
		w.Write(a.body[:len(a.body)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case HoldAnswer:
		s.wait(f, nil)
	case GoAway:
		w.Header().Set("Connection", "close")
	}
	a.write(w)
}

func (f *fault) answer() answer {
	a := f.refusal().answer()
	if f.RetryAfter != "" {
		a.header = [2]string{"Retry-After", f.RetryAfter}
	}
	return a
}

// wait returns when the fault lets go, or when giveUp is closed; at the end of
// the server it ends the call.
func (s *Server) wait(f *fault, giveUp <-chan struct{}) {
	select {
	case <-f.gate.open:
	case <-giveUp:
	case <-s.closing:
		panic(http.ErrAbortHandler)
	}
}

// abortIfClosing keeps the end of the server from looking like the end of an
// answer.
func (s *Server) abortIfClosing() {
	select {
	case <-s.closing:
		panic(http.ErrAbortHandler)
	default:
	}
}

// cut closes the client's connection, with RST where TCP allows it.
func cut(r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
		for c != nil {
			switch t := c.(type) {
			case *net.TCPConn:
				_ = t.SetLinger(0) // the connection is gone either way
				t.Close()
				c = nil
			case *gatedConn:
				defer t.Close()
				c = t.Conn
			case interface{ NetConn() net.Conn }:
				c = t.NetConn()
			default:
				c.Close()
				c = nil
			}
		}
	}
	panic(http.ErrAbortHandler)
}

// durable waits until the stream is durable up to dep.
func (s *Server) durable(st *stream, dep uint64, giveUp <-chan struct{}) (tail Position, no *refusal) {
	for {
		s.mu.Lock()
		tail = st.stable
		gone := st.deleted
		if tail.Seq >= dep {
			s.mu.Unlock()
			return tail, nil
		}
		changed := st.change()
		s.mu.Unlock()
		if gone {
			return tail, refuse("unavailable", "streamer missing in action")
		}
		select {
		case <-changed:
		case <-giveUp:
			panic(http.ErrAbortHandler)
		case <-s.closing:
			panic(http.ErrAbortHandler)
		}
	}
}

// timeoutAt is a channel that fires at a time; nil, for ever, if it is zero.
func timeoutAt(t time.Time) (<-chan time.Time, func()) {
	if t.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(time.Until(t))
	return timer.C, func() { timer.Stop() }
}

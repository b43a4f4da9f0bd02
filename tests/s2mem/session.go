package s2mem

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"time"
)

// session is one append session. Its request goroutine reads and applies
// batches in order and writes the acks; a second goroutine, the pump, writes
// them as soon as one ack has to wait for something.
type session struct {
	srv    *Server
	st     *stream
	r      *http.Request
	w      http.ResponseWriter
	rc     *http.ResponseController
	number int
	opened time.Time
	out    []byte // acks to be written by the request goroutine
	pump   *pump  // nil while no ack has to wait

	// Guarded by Server.mu.
	batches int // read
	applied int
	dep     uint64 // end of the last batch applied
}

// SessionInfo is an open append session.
type SessionInfo struct {
	Number        int // from 1, in the order of opening
	Basin, Stream string
	Batches       int // read so far
	Applied       int // of these, accepted
	Opened        time.Time
}

// outcome is an ack on its way, or what ends the session.
type outcome struct {
	ack   ack
	dep   uint64   // to be durable first
	no    *refusal // terminal frame
	flags byte
	fault *fault // HoldAnswer
}

func (s *Server) appendSession(w http.ResponseWriter, r *http.Request, segment string) {
	to, no := targetOf(r, segment)
	if no != nil {
		no.answer().write(w)
		return
	}
	c := Call{Op: OpOpen, Basin: to.basin, Stream: to.stream}
	s.requests[OpOpen].Add(1)
	f := s.faults.hit(c)
	if f != nil && f.Do == EOF {
		f.count()
		openSession(w)
		return
	}
	if f != nil && f.Do != Stall && s.before(f, w, r) {
		return
	}
	st, no := s.openStream(r, to, createsOnAppend)
	if no != nil {
		no.answer().write(w)
		return
	}
	ss := &session{srv: s, st: st, r: r, w: w, rc: http.NewResponseController(w), opened: s.opts.Now()}
	ss.number = int(s.sessions.Add(1))
	if f != nil && f.Do == GoAway {
		w.Header().Set("Connection", "close")
	}
	if f != nil {
		f.count()
		if f.Do == HoldAnswer {
			s.wait(f, r.Context().Done())
		}
	}
	openSession(w)
	if f != nil {
		if s.afterOpen(f, r, ss.rc) {
			return
		}
		if f.Do == Stall {
			if s.wait(f, r.Context().Done()); r.Context().Err() != nil {
				return
			}
		}
	}
	s.mu.Lock()
	s.open[ss.number] = ss
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.open, ss.number)
		s.mu.Unlock()
		if ss.pump != nil {
			ss.pump.abandon()
		}
	}()
	ss.run()
	s.abortIfClosing()
}

// Read flushes the acks before it waits for the client.
func (ss *session) Read(b []byte) (int, error) {
	ss.flush()
	return ss.r.Body.Read(b)
}

// flush writes the acks. That it cannot because the client is gone ends
// nothing: what has come in of the body is still applied, as on the real server.
func (ss *session) flush() {
	if len(ss.out) == 0 {
		return
	}
	ss.w.Write(ss.out)
	ss.rc.Flush()
	ss.out = ss.out[:0]
}

// run reads batches until the session ends.
func (ss *session) run() {
	frames := &frameReader{r: bufio.NewReaderSize(ss, 4<<10), reuse: ss.srv.opts.Discard}
	defer frames.plain.close()
	in := new(input)
	for {
		payload, err := frames.next()
		var bad errFrame
		switch {
		case errors.As(err, &bad):
			ss.finish(&outcome{no: refuse("bad_frame", "%s", string(bad))})
			return
		case errors.Is(err, io.EOF): // half-close: the acks still go out
			ss.finish(nil)
			return
		case err != nil:
			return
		}
		if ss.srv.opts.Discard {
			in.reset()
		} else {
			in = new(input)
		}
		no, err := in.decode(payload)
		if err != nil {
			no = refuse("bad_frame", "%v", err)
		}
		if !ss.batch(in, no) {
			return
		}
	}
}

// batch applies one batch. False: the session is over, and everything which was
// to be sent is sent.
func (ss *session) batch(in *input, bad *refusal) bool {
	s := ss.srv
	s.mu.Lock()
	ss.batches++
	n := ss.batches
	s.mu.Unlock()
	c := Call{Op: OpBatch, Basin: ss.st.basin.name, Stream: ss.st.name, Session: ss.number, Batch: n}
	c.carry(in)
	s.requests[c.Op].Add(1)
	f := s.faults.hit(c)
	if f != nil {
		if over := ss.before(f); over {
			return false
		}
	}
	o := outcome{no: bad}
	if bad == nil {
		s.mu.Lock()
		var start, end Position
		start, end, o.dep, o.no = ss.st.accept(in, Append{Basin: c.Basin, Stream: c.Stream, Session: ss.number, Batch: n}, f)
		if o.no == nil {
			ss.applied++
			ss.dep = end.Seq
			o.ack = f.shift(ack{Start: start, End: end})
		} else {
			o.dep = max(o.dep, ss.dep) // what was accepted before is acknowledged first
		}
		s.mu.Unlock()
	}
	if f != nil {
		if over := ss.after(f, &o); over {
			return false
		}
	}
	if o.no != nil {
		ss.finish(&o)
		return false
	}
	ss.deliver(o)
	return true
}

// before does what a fault does ahead of a batch. True: the session is over.
func (ss *session) before(f *fault) bool {
	if f.Do < ApplyReset {
		f.count()
	}
	switch f.Do {
	case Refuse:
		ss.finish(&outcome{no: f.refusal(), dep: ss.dep})
		return true
	case Reset:
		ss.finish(nil)
		panic(http.ErrAbortHandler)
	case Cut:
		ss.finish(nil)
		cut(ss.r)
	case EOF:
		ss.finish(nil)
		return true
	case Hold:
		ss.flush()
		ss.srv.wait(f, nil)
	case Stall:
		ss.flush()
		ss.srv.wait(f, ss.r.Context().Done())
		return ss.r.Context().Err() != nil
	}
	return false
}

// after does what a fault does with the ack of a batch. True: the session is
// over.
func (ss *session) after(f *fault, o *outcome) bool {
	f.count()
	switch f.Do {
	case ApplyReset:
		ss.finish(nil)
		panic(http.ErrAbortHandler)
	case ApplyCut:
		ss.finish(nil)
		cut(ss.r)
	case ApplyEOF:
		ss.finish(nil)
		return true
	case ApplyRefuse:
		o.no = f.refusal()
	case TornAck:
		ss.finish(nil)
		frame := o.frame(ss.srv)
		ss.w.Write(frame[:len(frame)/2])
		ss.rc.Flush()
		panic(http.ErrAbortHandler)
	case HoldAnswer:
		o.fault = f
	case Advise:
		o.flags = flagReconnect
	}
	return false
}

// frame is the outcome as bytes; the tail is that of now.
func (o *outcome) frame(s *Server) []byte {
	if o.no != nil {
		return appendTerminal(nil, o.no)
	}
	return appendFrame(nil, o.flags, o.ack.proto)
}

// deliver sends an ack, now or when it is due.
func (ss *session) deliver(o outcome) {
	if ss.pump == nil {
		ss.srv.mu.Lock()
		o.ack.Tail = ss.st.stable
		ss.srv.mu.Unlock()
		if o.fault == nil && o.ack.Tail.Seq >= o.dep {
			ss.out = appendFrame(ss.out, o.flags, o.ack.proto)
			return
		}
		ss.flush()
		ss.pump = newPump(ss)
	}
	ss.pump.add(o)
}

// finish sends what is still to be sent, and last as the final frame. After it
// nobody but the caller writes.
func (ss *session) finish(last *outcome) {
	if last != nil && ss.pump == nil && last.dep > 0 {
		ss.flush()
		ss.pump = newPump(ss)
	}
	switch {
	case ss.pump != nil:
		if last != nil {
			ss.pump.add(*last)
		}
		ss.pump.drain()
	case last != nil:
		ss.out = append(ss.out, last.frame(ss.srv)...)
	}
	ss.flush()
}

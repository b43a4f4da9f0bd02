package s2mem

import (
	"sync"
	"time"
)

// pump writes the outcomes of a session, each when it is due.
type pump struct {
	ss   *session
	mu   sync.Mutex
	todo []outcome
	end  bool          // nothing more comes
	more chan struct{} // one slot: todo or end changed
	quit chan struct{} // stop without writing
	done chan struct{}
}

func newPump(ss *session) *pump {
	p := &pump{ss: ss, more: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go p.run()
	return p
}

func (p *pump) add(o outcome) {
	p.mu.Lock()
	p.todo = append(p.todo, o)
	p.mu.Unlock()
	p.wake()
}

func (p *pump) wake() {
	select {
	case p.more <- struct{}{}:
	default:
	}
}

// drain waits until all is written, or cannot be.
func (p *pump) drain() {
	p.mu.Lock()
	p.end = true
	p.mu.Unlock()
	p.wake()
	<-p.done
}

// abandon stops the pump and waits for its end.
func (p *pump) abandon() {
	select {
	case <-p.done:
		return
	default:
	}
	close(p.quit)
	<-p.done
}

// run writes outcomes until the last one, an error, or quit.
func (p *pump) run() {
	defer close(p.done)
	ss := p.ss
	gone := ss.r.Context().Done()
	for {
		p.mu.Lock()
		todo, end := p.todo, p.end
		p.todo = nil
		p.mu.Unlock()
		for i := range todo {
			if !p.write(&todo[i], i == len(todo)-1, gone) {
				// Nobody can be told any more: wake the reader of the body too.
				_ = ss.rc.SetReadDeadline(time.Unix(1, 0))
				return
			}
		}
		if len(todo) > 0 {
			continue
		}
		if end {
			return
		}
		select {
		case <-p.more:
		case <-gone:
			return
		case <-p.quit:
			return
		}
	}
}

// write waits until an outcome is due and writes it. False: the session ends.
func (p *pump) write(o *outcome, last bool, gone <-chan struct{}) bool {
	ss, s := p.ss, p.ss.srv
	if o.fault != nil {
		select {
		case <-o.fault.gate.open:
		case <-gone:
			return false
		case <-p.quit:
			return false
		case <-s.closing:
			return false
		}
	}
	for {
		s.mu.Lock()
		o.ack.Tail = ss.st.stable
		deleted := ss.st.deleted
		ready := o.ack.Tail.Seq >= o.dep
		changed := ss.st.change()
		s.mu.Unlock()
		if ready {
			break
		}
		if deleted {
			o.no = refuse("unavailable", "streamer missing in action")
			break
		}
		if ss.rc.Flush() != nil {
			return false
		}
		select {
		case <-changed:
		case <-gone:
			return false
		case <-p.quit:
			return false
		case <-s.closing:
			return false
		}
	}
	if _, err := ss.w.Write(o.frame(s)); err != nil {
		return false
	}
	if last && ss.rc.Flush() != nil {
		return false
	}
	return o.no == nil
}

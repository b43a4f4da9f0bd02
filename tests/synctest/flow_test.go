//go:build synctests

package bubble

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// flow is one direction of a link.
type flow struct {
	delay time.Duration

	mu       sync.Mutex
	pieces   []piece
	readErr  error // behind the pieces
	writeErr error
	frozen   bool
	deadline time.Time
	changed  chan struct{} // closed at the next change; nil: nobody waits
}

type piece struct {
	data []byte
	due  time.Time
}

func newFlow(delay time.Duration) *flow { return &flow{delay: delay} }

// change does something under the lock and wakes whoever reads.
func (f *flow) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

func (f *flow) write(p []byte) (n int, err error) {
	f.change(func() {
		if err = f.writeErr; err != nil || len(p) == 0 {
			return
		}
		n = len(p)
		f.pieces = append(f.pieces, piece{append([]byte(nil), p...), time.Now().Add(f.delay)})
	})
	return n, err
}

func (f *flow) end(err error, lost bool) {
	f.change(func() {
		if lost {
			f.pieces = nil
		}
		if f.readErr == nil || lost && errors.Is(err, net.ErrClosed) {
			f.readErr = err
		}
	})
}

func (f *flow) refuse(err error) {
	f.change(func() {
		if f.writeErr == nil {
			f.writeErr = err
		}
	})
}

func (f *flow) freeze(on bool)          { f.change(func() { f.frozen = on }) }
func (f *flow) setDeadline(t time.Time) { f.change(func() { f.deadline = t }) }

func (f *flow) read(p []byte) (int, error) {
	for {
		n, wait, changed, err := f.try(p)
		if n > 0 || err != nil {
			return n, err
		}
		if wait == 0 {
			<-changed
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// try reads what is there; else it says how long to wait (0: for ever) unless
// changed is closed before.
func (f *flow) try(p []byte) (n int, wait time.Duration, changed <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if errors.Is(f.readErr, net.ErrClosed) {
		return 0, 0, nil, f.readErr
	}
	if !f.deadline.IsZero() {
		if wait = f.deadline.Sub(now); wait <= 0 {
			return 0, 0, nil, os.ErrDeadlineExceeded
		}
	}
	if !f.frozen {
		for len(f.pieces) > 0 && n < len(p) && !f.pieces[0].due.After(now) {
			c := copy(p[n:], f.pieces[0].data)
			n += c
			if f.pieces[0].data = f.pieces[0].data[c:]; len(f.pieces[0].data) == 0 {
				f.pieces = f.pieces[1:]
			}
		}
		switch {
		case n > 0:
			return n, 0, nil, nil
		case len(f.pieces) > 0:
			if due := f.pieces[0].due.Sub(now); wait == 0 || due < wait {
				wait = due
			}
		case f.readErr != nil:
			return 0, 0, nil, f.readErr
		}
	}
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return 0, wait, f.changed, nil
}

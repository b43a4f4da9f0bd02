package s2mem

import "sync"

// hold is a gate that opens once.
type hold struct {
	open chan struct{}
	mu   sync.Mutex
	next []func()
	done bool
}

func newHold() *hold { return &hold{open: make(chan struct{})} }

// release opens the gate and runs what was to run then.
func (h *hold) release() {
	h.mu.Lock()
	if h.done {
		h.mu.Unlock()
		return
	}
	h.done = true
	next := h.next
	h.next = nil
	close(h.open)
	h.mu.Unlock()
	for _, f := range next {
		f()
	}
}

func (h *hold) released() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.done
}

// then runs f at the release. False: the gate is open already, f never runs.
func (h *hold) then(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.done {
		h.next = append(h.next, f)
	}
	return !h.done
}

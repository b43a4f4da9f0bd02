package handoff

import "sync"

// mailbox takes events from anybody without ever making them wait. What can
// pile up in it is bounded elsewhere: records by the source's byte budget, acks
// by the window, answers by one request at a time.
type mailbox struct {
	mu     sync.Mutex
	events []Event
	spare  []Event
	wake   chan struct{} // one token: there is something
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (b *mailbox) put(ev Event) {
	b.mu.Lock()
	b.events = append(b.events, ev)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take empties the mailbox; the slice is valid until the next take.
func (b *mailbox) take() []Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.spare)
	b.events, b.spare = b.spare[:0], b.events
	return b.spare
}

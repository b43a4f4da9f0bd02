package fidelity

import (
	"bytes"
	"net"
	"sync"
)

// forger sits between a Kafka and its clients and puts other bytes in the place of some: batches that no client could have
// written. kfake sends an answer in one piece, and a batch in it as it came, but for what stands before its checksum.
type forger struct {
	mu    sync.Mutex
	swaps [][2][]byte
	done  int // how often
}

func (f *forger) wrap(l net.Listener) net.Listener { return &forgedListener{l, f} }

// forge lets clients see a batch otherwise than it was produced: change works on a copy. What it changes must lie in the
// first hundred bytes.
func (f *forger) forge(encoded []byte, change func([]byte) []byte) {
	to := min(len(encoded), 100)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.swaps = append(f.swaps, [2][]byte{encoded[atChecksum:to], change(bytes.Clone(encoded))[atChecksum:to]})
}

// heal lets everything pass as it is.
func (f *forger) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.swaps = nil
}

func (f *forger) forged() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.done
}

func (f *forger) pass(b []byte) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	own := false
	for _, s := range f.swaps {
		for from := 0; ; from += len(s[0]) {
			i := bytes.Index(b[from:], s[0])
			if i < 0 {
				break
			}
			if !own {
				own, b = true, bytes.Clone(b)
			}
			from += i
			copy(b[from:], s[1])
			f.done++
		}
	}
	return b
}

type forgedListener struct {
	net.Listener
	forger *forger
}

func (l *forgedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &forgedConn{c, l.forger}, nil
}

type forgedConn struct {
	net.Conn
	forger *forger
}

func (c *forgedConn) Write(b []byte) (int, error) { return c.Conn.Write(c.forger.pass(b)) }

package mapping

import (
	"math/bits"
	"sync"
	"unsafe"
)

// Buffers come in powers of two from 1 KiB to 512 KiB, so that the many
// partitions with little traffic pin little, and in one big size that holds a
// full batch: 1 MiB metered and what the encoding adds to 1,000 records.
// Batches that encode to more (floods of tiny headers) get a buffer that no
// pool keeps.
const (
	smallest   = 10 // log2 of the bytes
	largest    = 19
	bigBuffer  = 1<<20 + 1<<17 // 1.125 MiB
	bigClass   = largest - smallest + 1
	classCount = bigClass + 1
	unpooled   = -1
)

// store is the memory of a batch.
type store struct {
	buf     []byte
	entries []entry
}

// mem is what the store pins, bytes.
func (s *store) mem() int {
	return cap(s.buf) + cap(s.entries)*int(unsafe.Sizeof(entry{}))
}

var pools [classCount]sync.Pool

// class returns the pool for buffers of n bytes, and the size of its buffers.
func class(n int) (index, bytes int) {
	switch {
	case n > bigBuffer:
		return unpooled, n
	case n > 1<<largest:
		return bigClass, bigBuffer
	case n <= 1<<smallest:
		return 0, 1 << smallest
	}
	log := bits.Len(uint(n - 1))
	return log - smallest, 1 << log
}

// take returns an empty store with room for n encoded bytes.
func take(n int) *store {
	index, bytes := class(n)
	if index != unpooled {
		if s, ok := pools[index].Get().(*store); ok {
			return s
		}
	}
	return &store{buf: make([]byte, 0, bytes)}
}

// give hands the store back. Nothing may refer to it any more.
func (s *store) give() {
	poison(s.buf)
	index, bytes := class(cap(s.buf))
	if index == unpooled || cap(s.buf) != bytes {
		return
	}
	s.buf, s.entries = s.buf[:0], s.entries[:0]
	pools[index].Put(s)
}

// grow makes room for n more encoded bytes.
func (s *store) grow(n int) *store {
	if cap(s.buf)-len(s.buf) >= n {
		return s
	}
	next := take(max(len(s.buf)+n, min(2*cap(s.buf), bigBuffer)))
	next.buf = append(next.buf, s.buf...)
	next.entries = append(next.entries, s.entries...)
	s.give()
	return next
}

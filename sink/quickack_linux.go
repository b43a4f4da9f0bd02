package sink

import (
	"net"
	"syscall"
)

// quickConn acknowledges what it received at once. s2-lite leaves Nagle's
// algorithm on: its second small answer waits for our delayed TCP ACK, 40 ms,
// when we have nothing to send. The kernel forgets the option, so it is set
// after each Read.
type quickConn struct {
	net.Conn
	raw syscall.RawConn
}

func quickAck(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	return &quickConn{Conn: c, raw: raw}
}

func (c *quickConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		// Only speed is at stake; a broken connection says so elsewhere.
		_ = c.raw.Control(setQuickAck)
	}
	return n, err
}

func setQuickAck(fd uintptr) {
	_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
}

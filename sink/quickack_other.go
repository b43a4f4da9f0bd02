//go:build !linux

package sink

import "net"

func quickAck(c net.Conn) net.Conn { return c }

package s2mem_test

import (
	"bytes"
	"io"
	"strconv"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"kafka-s2-bridge/tests/s2mem"
)

// BenchmarkDiscard is what a batch of 1,000 records of 1 kB costs the whole
// process: client, two times the kernel, and server.
func BenchmarkDiscard(b *testing.B) {
	for _, size := range []int{100, 1000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			srv := s2mem.New(s2mem.Options{Discard: true})
			defer srv.Close()
			if err := srv.Listen("127.0.0.1:0"); err != nil {
				b.Fatal(err)
			}
			srv.Create("s")
			cl := dial(b, srv, "h2c")
			x, err := cl.open(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			defer x.end()
			batch := fullBatch(1000, size)
			done := make(chan error, 1)
			b.SetBytes(int64(1000 * size))
			b.ReportAllocs()
			start := cpu()
			b.ResetTimer()
			go func() {
				_, err := io.Copy(io.Discard, x.r)
				done <- err
			}()
			for b.Loop() {
				if _, err := x.w.Write(batch); err != nil {
					b.Fatal(err)
				}
			}
			x.w.Close()
			<-done
			b.ReportMetric((cpu()-start).Seconds()/(float64(b.N)*float64(1000*size)/(1<<30)), "cpu-s/GiB")
		})
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fullBatch is a frame of n records with a header and a body of size bytes.
func fullBatch(n, size int) []byte {
	var b []byte
	for range n {
		var h, r []byte
		h = protowire.AppendTag(h, 1, protowire.BytesType)
		h = protowire.AppendString(h, "~")
		h = protowire.AppendTag(h, 2, protowire.BytesType)
		h = protowire.AppendBytes(h, make([]byte, 12))
		r = protowire.AppendTag(r, 2, protowire.BytesType)
		r = protowire.AppendBytes(r, h)
		r = protowire.AppendTag(r, 3, protowire.BytesType)
		r = protowire.AppendBytes(r, bytes.Repeat([]byte("x"), size))
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendBytes(b, r)
	}
	l := len(b) + 1
	return append([]byte{byte(l >> 16), byte(l >> 8), byte(l), 0}, b...)
}

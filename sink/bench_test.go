package sink

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/sink/s2s"
)

// discardEnv makes the test binary a server that acknowledges every frame and
// keeps nothing: a process of its own, so that a benchmark's CPU is ours.
const discardEnv = "SINK_TEST_DISCARD_SERVER"

// serveDiscard prints its URL and serves until its standard input ends. Its
// HTTP/2 settings are those of s2-lite.
func serveDiscard() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(discard), Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{
		MaxConcurrentStreams: 200, MaxReadFrameSize: 16 << 10,
		MaxReceiveBufferPerConnection: 1 << 20, MaxReceiveBufferPerStream: 1 << 20,
	}}
	srv.Protocols.SetUnencryptedHTTP2(true)
	go srv.Serve(l)
	fmt.Fprintf(os.Stdout, "http://%s\n", l.Addr())
	io.Copy(io.Discard, os.Stdin)
}

func discard(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)
	flush := w.(http.Flusher)
	flush.Flush()
	in := bufio.NewReaderSize(r.Body, 64<<10)
	ack := []byte{0, 0, 9, 0, 0x0a, 0x02, 0x08, 0x01, 0x12, 0x02, 0x08, 0x02} // 1 to 2
	for {
		var h [s2s.HeaderSize]byte
		if _, err := io.ReadFull(in, h[:]); err != nil {
			return
		}
		if _, err := in.Discard(int(h[0])<<16 | int(h[1])<<8 | int(h[2]) - 1); err != nil {
			return
		}
		w.Write(ack)
		flush.Flush()
	}
}

func startDiscard(b *testing.B) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), discardEnv+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(url)
}

// BenchmarkSession sends full batches through one session, six in flight, to a
// server in another process. "sent" reuses encoded batches; "encoded" encodes
// every record. cpu-s/GiB is the CPU time of this process, kernel included, for
// a GiB of record values.
func BenchmarkSession(b *testing.B) {
	url := startDiscard(b)
	for _, size := range []int{100, 1000} {
		for _, encode := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/%dB", map[bool]string{false: "sent", true: "encoded"}[encode], size), func(b *testing.B) {
				benchmarkSession(b, url, size, encode)
			})
		}
	}
}

func benchmarkSession(b *testing.B, url string, size int, encode bool) {
	const window = 6
	c := newClient(b, Config{Endpoint: url})
	ctx := b.Context()
	value := bytes.Repeat([]byte("v"), size)
	full := func(from int64) (*mapping.Batch, int) {
		var queue []*mapping.Batch
		for n := 0; ; n++ {
			r := mapping.Record{Offset: from + int64(n), Timestamp: 1_700_000_000_000, Value: value}
			next, err := mapping.Pack(queue, &r, 1<<20)
			if err != nil {
				b.Fatal(err)
			}
			if len(next) == 2 {
				next[1].Release()
				return next[0], n
			}
			queue = next
		}
	}
	records, count := full(1 << 30)
	acked := make(chan struct{}, window)
	ended := make(chan error, 1)
	ss := c.Stream("bench", StreamSettings{}).Open(ctx, Events{
		Acked: func(uint64, uint64) { acked <- struct{}{} },
		Ended: func(err error) { ended <- err },
	})
	var flying []*mapping.Batch
	b.SetBytes(int64(count * size))
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu(b)
	for i := range b.N {
		if len(flying) == window {
			<-acked
			if encode {
				flying[0].Release()
			}
			flying = append(flying[:0], flying[1:]...)
		}
		batch := records
		if encode {
			batch, _ = full(int64(i * count))
		}
		ss.Send(batch, uint64(i), "kb1.abcdefgh.1.0123456789")
		flying = append(flying, batch)
	}
	for range flying {
		<-acked
	}
	used := cpu(b) - before
	b.StopTimer()
	b.ReportMetric(used/(float64(b.N)*float64(count*size)/(1<<30)), "cpu-s/GiB")
	ss.Finish()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// cpu is the time that this process has used, in seconds.
func cpu(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(u.Utime) + seconds(u.Stime)
}

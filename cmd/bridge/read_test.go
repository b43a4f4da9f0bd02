package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/sink/s2s"
	"kafka-s2-bridge/tests/s2mem"
)

// shapes are records of all kinds.
func shapes() []mapping.Record {
	h := func(name string, value []byte) mapping.Header { return mapping.Header{Key: name, Value: value} }
	return []mapping.Record{
		{Offset: 0, LeaderEpoch: 5, Timestamp: 1_700_000_000_000, Key: []byte("k1"), Value: []byte("hi")},
		{Offset: 1, LeaderEpoch: -1, Timestamp: -1, TimestampType: mapping.NoTimestampType},
		{Offset: 2, Timestamp: 7, TimestampType: mapping.LogAppendTime, Key: []byte{}, Value: []byte{}},
		{Offset: 3, Timestamp: math.MinInt64, Key: []byte{0xff, 0}, Value: []byte("a\xffb"), Headers: []mapping.Header{
			h("", nil), h("", []byte{}), h("fence", []byte("token")), h("trim", []byte("12345678")), h("~", []byte("x")), h("~k", []byte("y")),
			h("dup", []byte("1")), h("dup", []byte("2")), h("b\xfen", []byte{0xff}), h("null", nil),
		}},
		{Offset: math.MaxInt64, Value: []byte("\"\\\n\r\t\x00\x1b[2J\x7f\u0085\u2028\u2029</script>ü😀\ufffd")},
	}
}

const shapesAsJSON = `{"topic":"orders","partition":3,"offset":0,"leader_epoch":5,"timestamp":1700000000000,"timestamp_type":"CreateTime","key":"k1","value":"hi","headers":[]}
{"topic":"orders","partition":3,"offset":1,"leader_epoch":-1,"timestamp":-1,"timestamp_type":"none","key":null,"value":null,"headers":[]}
{"topic":"orders","partition":3,"offset":2,"leader_epoch":0,"timestamp":7,"timestamp_type":"LogAppendTime","key":"","value":"","headers":[]}
{"topic":"orders","partition":3,"offset":3,"leader_epoch":0,"timestamp":-9223372036854775808,"timestamp_type":"CreateTime","key":{"base64":"/wA="},"value":{"base64":"Yf9i"},"headers":[["",null],["",""],["fence","token"],["trim","12345678"],["~","x"],["~k","y"],["dup","1"],["dup","2"],[{"base64":"Yv5u"},{"base64":"/w=="}],["null",null]]}
{"topic":"orders","partition":3,"offset":9223372036854775807,"leader_epoch":0,"timestamp":0,"timestamp_type":"CreateTime","key":null,"value":"\"\\\n\r\t\u0000\u001b[2J\u007f\u0085\u2028\u2029</script>ü😀�","headers":[]}
`

func TestReadJSON(t *testing.T) {
	r := newReel(t, "orders/3")
	r.take(0)
	r.data(shapes()...)
	r.want(exitDone, shapesAsJSON, "", "read")

	// A JSON reader gets the bytes back.
	var line struct{ Key, Value any }
	for i, text := range strings.Split(strings.TrimSpace(shapesAsJSON), "\n") {
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		want := shapes()[i]
		if got := [][]byte{unjson(t, line.Key), unjson(t, line.Value)}; !reflect.DeepEqual(got, [][]byte{want.Key, want.Value}) {
			t.Errorf("offset %d: %q", want.Offset, got)
		}
	}
}

func unjson(t *testing.T, v any) []byte {
	switch v := v.(type) {
	case string:
		return []byte(v)
	case map[string]any:
		b, err := base64.StdEncoding.DecodeString(v["base64"].(string))
		if err != nil {
			t.Error(err)
		}
		return b
	}
	return nil
}

func TestReadFormat(t *testing.T) {
	r := newReel(t, "orders/3")
	r.take(0)
	r.data(shapes()[:4]...)
	r.want(exitDone, "orders 3 0 1700000000000 k1 hi 2 2 \n"+
		"orders 3 1 -1 NULL NULL -1 -1 \n"+
		"orders 3 2 7   0 0 \n"+
		"orders 3 3 -9223372036854775808 \xff\x00 a\xffb 2 3 =NULL,=,fence=token,trim=12345678,~=x,~k=y,dup=1,dup=2,b\xfen=\xff,null=NULL\n",
		"", "read", "-f", `%t %p %o %T %k %s %K %S %h\n`)
	r.want(exitDone, "100%\\\t\r\x00\xfeA", "", "read", "--count", "1", "-f", `100%%\\\t\r\0\xfe\x41`)

	for format, why := range map[string]string{
		"%": "single %", `\`: `single \`, "%q": "%q, which", `\q`: `\q, which`, `\x4`: "two hex digits", `\xzz`: "two hex digits", "%é": "%é", "": "must not be empty",
	} {
		if got := r.run("read", "-f", format); got.code != exitUsage || !strings.Contains(got.err, why) || got.out != "" {
			t.Errorf("-f %q: %+v", format, got)
		}
	}
}

// Without an open marker the topic is not known, unless the flags say it.
func TestReadOriginUnknown(t *testing.T) {
	r := newReel(t, "orders/3")
	r.data(plain(7, 8, 9, 10)...)
	r.want(exitDone, `{"offset":7,"leader_epoch":-1,"timestamp":7000,"timestamp_type":"CreateTime","key":null,"value":"viii","headers":[]}`+"\n", "", "read", "--count", "1")
	r.want(exitDone, "- - 7", "", "read", "-f", "%t %p %o", "--count", "1")
	// By the template: the same stream.
	got := bridge(t, "read", "-c", configFor(t, r.srv), "--topic", "orders", "--partition", "3", "-f", "%t %p %o", "--count", "1")
	if got != (said{exitDone, "orders 3 7", ""}) {
		t.Errorf("by topic: %+v", got)
	}
	// A marker that comes later says it from there on.
	r.take(11)
	r.data(plain(11)...)
	r.want(exitDone, "- 7, - 8, - 9, - 10, orders 11, ", "", "read", "-f", "%t %o, ")
	// The beginning is looked at for it, wherever reading begins.
	s := &reel{t, r.srv, "orders/4"}
	r.srv.Create(s.stream)
	s.take(0)
	s.data(plain(0, 1, 2, 3, 4, 5, 6, 7, 8)...)
	s.want(exitDone, "orders 8", "", "read", "-f", "%t %o", "--last", "1")
}

func TestReadChunks(t *testing.T) {
	r := newReel(t, "orders/3")
	r.take(0)
	r.data(plain(0)...)
	parts := encode(t, large(1))
	if len(parts) != 3 {
		t.Fatalf("%d chunks", len(parts))
	}
	r.append(parts[0]) // torn: the bridge died
	r.append(parts[1])
	r.take(1)
	r.data(append([]mapping.Record{large(1)}, plain(2)...)...)
	r.append(encode(t, large(3))[0]) // torn, and the end of the stream
	r.want(exitDone, "0 -1 1\n1 3 2621440\n2 -1 3\n", "", "read", "-f", `%o %K %S\n`)
	for _, last := range []string{"1", "2", "3", "4"} {
		want := "0 1 2 "[max(0, 6-2*int(last[0]-'0')):]
		r.want(exitDone, want, "", "read", "-f", offsets, "--last", last)
	}
	for offset, want := range map[string]string{"0": "0 1 2 ", "1": "1 2 ", "2": "2 ", "3": ""} {
		r.want(exitDone, want, "", "read", "-f", offsets, "--from-offset", offset)
		r.want(exitDone, want, "", "read", "-f", offsets, "--from-time", offset+"000")
	}
	var line struct{ Value string }
	got := r.run("read", "--from-offset", "1", "--count", "1")
	if err := json.Unmarshal([]byte(got.out), &line); err != nil || line.Value != string(large(1).Value) {
		t.Errorf("a record from chunks: %v, %d bytes", err, len(line.Value))
	}
}

// What no bridge wrote is told and counted, and takes nothing else away.
func TestReadForeign(t *testing.T) {
	r := newReel(t, "orders/3")
	r.take(0)
	r.data(plain(0)...)
	r.append(stored("x", "y", "z"), stored("x", "q", "z"), stored("\x1b[2J", "", ""))
	r.append(s2s.AppendRecord(nil, nil, nil), stored("~", "\x20forged", ""), stored("~!", "later", "{}"))
	r.data(plain(1)...)
	r.data(plain(1)...) // twice
	parts := encode(t, large(2))
	r.append(parts[0])
	r.append(parts[2])
	r.take(2)
	r.data(plain(2)...)
	got := r.run("read", "-f", offsets)
	want := `sequence numbers 3 to 4: not written by a bridge: first header is "x"
sequence number 5: not written by a bridge: first header is "\x1b[2J"
sequence number 6: not written by a bridge: record without headers
sequence number 7: not written by a bridge: `
	rest := `
sequence number 10: corrupt: offset 1 comes behind offset 1
sequence number 12: corrupt: chunk 2 of offset 2 does not continue what is before it
error: the stream "orders/3" is not as a bridge writes it: 7 records, told above
`
	if got.code != exitFailed || got.out != "0 1 2 " || !strings.HasPrefix(got.err, want) || !strings.HasSuffix(got.err, rest) {
		t.Errorf("%d %q\n%s", got.code, got.out, got.err)
	}
	// Where it is not met, it does not count.
	r.want(exitDone, "2 ", "", "read", "-f", offsets, "--last", "1")
	r.want(exitDone, "0 ", "", "read", "-f", offsets, "--count", "1")

	// Another version of the format: nothing behind it can be trusted.
	r.append(stored("~", "\x40\x03\x01\x00", "new"))
	r.data(plain(4)...)
	got = r.run("read", "-f", offsets, "--last", "2")
	if got.code != exitFailed || got.out != "2 " || !strings.Contains(got.err, "error: sequence number 16: ") || !strings.Contains(got.err, "version") {
		t.Errorf("%+v", got)
	}
}

func TestReadGapMarkers(t *testing.T) {
	r := newReel(t, "orders/3")
	r.take(0)
	r.data(plain(4)...)
	r.append(gap(5, 20, mapping.ReasonRetention))
	r.data(plain(20)...)
	told := "sequence number 3: gap: offsets 5 to 19 are not in the stream (retention)\n"
	r.want(exitDone, "4 20 ", told, "read", "-f", offsets)
	r.want(exitDone, "20 ", told, "read", "-f", offsets, "--from-offset", "5")
	r.want(exitDone, "20 ", told, "read", "-f", offsets, "--from-offset", "19")
	r.want(exitDone, "20 ", "", "read", "-f", offsets, "--from-offset", "20")
}

func TestReadEmptyMissingTrimmed(t *testing.T) {
	r := newReel(t, "a b/ä?#%2F")
	for _, flags := range [][]string{nil, {"--last", "3"}, {"--from-offset", "3"}, {"--from-time", "3"}, {"--last", "0"}} {
		r.want(exitDone, "", "", "read", flags...)
	}
	r.take(0)
	r.data(plain(0, 1, 2, 3, 4, 5)...)
	r.srv.Trim(r.stream, 5) // offsets below 3
	r.want(exitDone, "3 4 5 ", "", "read", "-f", offsets)
	r.want(exitDone, "3 4 5 ", "", "read", "-f", offsets, "--last", "4")
	r.want(exitDone, "3 4 5 ", "", "read", "-f", offsets, "--from-time", "1000")
	r.want(exitDone, "4 5 ", "", "read", "-f", offsets, "--from-offset", "4")
	r.want(exitDone, "3 4 5 ", "the stream begins at sequence number 5, what was before it is trimmed; offset 1 may have been there\n",
		"read", "-f", offsets, "--from-offset", "1")
	r.srv.Trim(r.stream, 8)
	for _, flags := range [][]string{nil, {"--last", "3"}, {"--from-offset", "3"}, {"--from-time", "3"}, {"--last", "0"}} {
		r.want(exitDone, "", "", "read", flags...)
	}
	r.srv.Delete(r.stream)
	r.want(exitFailed, "", fmt.Sprintf("error: the stream %q does not exist in basin %s at %s\n", r.stream, s2mem.DefaultBasin, r.srv.URL()), "read")
}

// The end of a record whose first chunks were trimmed is passed over.
func TestReadTrimmedInsideOfAGroup(t *testing.T) {
	r := newReel(t, "orders/3")
	r.take(0)
	r.data(large(0))
	r.data(plain(1)...)
	r.srv.Trim(r.stream, 3)
	r.want(exitDone, "1 ", "", "read", "-f", offsets)
	r.want(exitDone, "1 ", "", "read", "-f", offsets, "--last", "2")
}

func TestReadIntoAClosedPipe(t *testing.T) {
	r := newReel(t, "orders/3")
	r.take(0)
	for first := range int64(100) {
		r.data(plain(10*first, 10*first+1, 10*first+2)...)
	}
	args := []string{"read", r.address(), "--endpoint", r.srv.URL()}
	var errout strings.Builder

	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = reader.Close()
	defer func() { _ = writer.Close() }()
	if code := run(t.Context(), args, nil, writer, &errout); code != exitDone || errout.String() != "" {
		t.Errorf("a pipe of the system: %d %s", code, errout.String())
	}
	code := run(t.Context(), append(args, "--follow"), nil, writer, &errout)
	if code != exitDone || errout.String() != "" {
		t.Errorf("following: %d %s", code, errout.String())
	}
	memory, sink := io.Pipe()
	_ = memory.Close()
	if code := run(t.Context(), append([]string{"gaps"}, args[1:]...), nil, sink, &errout); code != exitDone || errout.String() != "" {
		t.Errorf("gaps: %d %s", code, errout.String())
	}
	// Any other failure is one.
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil && runtime.GOOS == "linux" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip("SKIPPED, NOT TESTED: no /dev/full on this system, so nobody looks at a full disk")
	}
	defer func() { _ = full.Close() }()
	if code := run(t.Context(), args, nil, full, &errout); code != exitFailed || !strings.Contains(errout.String(), "standard output: ") {
		t.Errorf("a full disk: %d %s", code, errout.String())
	}
}

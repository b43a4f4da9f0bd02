package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/tests/s2mem"
)

func TestReadFromTime(t *testing.T) {
	r := newReel(t, "orders/3")
	r.take(0)
	at := func(offset, ms int64) mapping.Record { return mapping.Record{Offset: offset, Timestamp: ms} }
	r.data(at(0, 1000), at(1, 5000), at(2, 2000), at(3, -1), at(4, 6000), at(5, 3000))
	for _, c := range []struct{ time, want string }{
		{"0", "0 1 2 3 4 5 "}, {"-5", "0 1 2 3 4 5 "}, {"1000", "0 1 2 3 4 5 "}, {"1001", "1 2 3 4 5 "}, {"5000", "1 2 3 4 5 "},
		{"5001", "4 5 "}, {"6001", ""}, {"9223372036854775807", ""},
		{"1970-01-01T00:00:05Z", "1 2 3 4 5 "}, {"1970-01-01T01:00:05+01:00", "1 2 3 4 5 "}, {"1970-01-01T00:00:05.0000001Z", "4 5 "},
	} {
		r.want(exitDone, c.want, "", "read", "-f", offsets, "--from-time", c.time)
	}
}

// A foreign trim command carries the time of its arrival, and S2's timestamps
// never fall: what S2 finds is in front of what is wanted.
func TestReadFromTimeBehindAForeignCommand(t *testing.T) {
	r := newReel(t, "orders/3")
	r.take(0)
	r.data(mapping.Record{Offset: 0, Timestamp: 1000})
	r.append([]byte("\x0a\x0c\x08\x90\x4e\x12\x07\x12\x05fence")) // at 10,000
	r.append(opened(1))
	r.data(mapping.Record{Offset: 1, Timestamp: 2000}, mapping.Record{Offset: 2, Timestamp: 3000})
	r.want(exitDone, "2 ", "", "read", "-f", offsets, "--from-time", "2500")
}

// Every start in streams of all shapes is compared with reading all.
func TestReadStartsAgainstReadingAll(t *testing.T) {
	for seed := range uint64(8) {
		chunked := 0 // records of several chunks that were meant to be
		random := rand.New(rand.NewPCG(seed, 7))
		r := newReel(t, "orders/3")
		var have []int64
		next := int64(random.IntN(5))
		r.take(next)
		for range 12 {
			switch random.IntN(5) {
			case 0: // many commands in a row
				for range 1 + random.IntN(12) {
					r.append(fence("kb1.t"))
				}
				r.append(opened(next))
			case 1:
				r.append(stored("foreign", "", ""), stored("foreign", "", ""))
			case 2:
				to := next + 1 + int64(random.IntN(5))
				r.append(gap(next, to, mapping.ReasonOperator))
				next = to
			case 3:
				if chunked == 1 || seed%4 != 0 {
					continue // each costs its megabytes in every reading
				}
				chunked++
				parts := encode(t, large(next))
				r.append(parts[0])
				r.take(next)
				if random.IntN(2) == 0 {
					for _, p := range parts {
						r.append(p)
					}
					have = append(have, next)
					next++
				}
			default:
				for range 1 + random.IntN(40) {
					next += int64(random.IntN(3))
					r.data(plain(next)...)
					have = append(have, next)
					next++
				}
			}
		}
		text := func(from func(i int) bool) string {
			var b strings.Builder
			for i, o := range have {
				if from(i) {
					_, _ = fmt.Fprintf(&b, "%d ", o)
				}
			}
			return b.String()
		}
		if got := r.run("read", "-f", offsets); got.out != text(func(int) bool { return true }) {
			t.Fatalf("seed %d: %s, want %v", seed, got.out, have)
		}
		for n := int64(0); n <= next+1; n += 1 + int64(random.IntN(4+12*chunked)) {
			for flag, want := range map[string]string{
				"--from-offset": text(func(i int) bool { return have[i] >= n }),
				"--last":        text(func(i int) bool { return i >= len(have)-int(n) }),
			} {
				if got := r.run("read", "-f", offsets, flag, strconv.FormatInt(n, 10)); got.out != want {
					t.Fatalf("seed %d %s %d: %q, want %q", seed, flag, n, got.out, want)
				}
			}
		}
	}
}

// A long stream is read in full pages, and a place in it is found in few.
func TestReadPages(t *testing.T) {
	const records = 100_000
	r := newReel(t, "orders/3")
	r.take(0)
	for first := int64(0); first < records; first += 1000 {
		for _, batch := range encode(t, plain(thousand(first)...)...) {
			r.append(batch)
		}
	}
	for _, c := range []struct {
		flags string
		lines int
		most  int // reads: one for the origin, the rest are what the flags need
	}{
		{"", records, 1 + 101},
		{"--last 1", 1, 1 + 1 + 1},
		{"--last 5000", 5000, 1 + 6 + 6},
		{"--from-offset 99000", 1000, 1 + 17 + 2},
		{"--from-offset 12345 --count 1", 1, 1 + 17 + 1},
		{"--from-time 50000000 --count 1", 1, 1 + 1 + 1},
		{"--from-offset 100000", 0, 1 + 17},
	} {
		before := r.srv.Requests(s2mem.OpRead)
		got := r.run("read", append(strings.Fields(c.flags), "-f", `%o\n`)...)
		reads := r.srv.Requests(s2mem.OpRead) - before
		if lines := strings.Count(got.out, "\n"); got.code != exitDone || lines != c.lines || reads > c.most {
			t.Errorf("%s: code %d, %d lines, want %d; %d reads, want %d at most", c.flags, got.code, lines, c.lines, reads, c.most)
		}
	}
}

package main

import (
	"strings"
	"testing"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/tests/s2mem"
)

// holey is a stream in which everything is missing that can be.
func holey(t *testing.T) *reel {
	r := newReel(t, "orders/3")
	r.take(5)
	r.data(plain(5, 6, 9)...) // 7 and 8 were compacted
	r.append(gap(10, 20, mapping.ReasonRetention))
	r.append(gap(22, 23, mapping.ReasonRefused)) // 20 and 21 were control records
	r.append(encode(t, large(30))[0])            // torn
	r.take(23)
	r.data(large(30)) // 23 to 29 were aborted
	r.append(gap(25, 31, mapping.ReasonTruncation))
	r.append(gap(31, 32, mapping.ReasonRefused))
	r.data(plain(32)...)
	return r
}

const holes = `s2://s2mem-basin/orders/3
        from  to (before)   offsets  reason                     at                        seq
          10           20        10  retention                  2025-11-24T16:00:00.000Z  5
          22           23         1  refused                    2025-11-24T16:00:00.000Z  6
          25           31         6  truncation                 2025-11-24T16:00:00.000Z  13
          31           32         1  refused                    2025-11-24T16:00:00.000Z  14
total  refused: 2 offsets in 2 gaps; retention: 10 offsets in 1 gap; truncation: 6 offsets in 1 gap
`

const holesAsJSON = `{"stream":"orders/3","from":7,"to":9,"offsets":2,"reason":"compacted_or_transactional","seq":4}
{"stream":"orders/3","from":10,"to":20,"offsets":10,"reason":"retention","at":1764000000000,"seq":5}
{"stream":"orders/3","from":20,"to":22,"offsets":2,"reason":"compacted_or_transactional","seq":6}
{"stream":"orders/3","from":22,"to":23,"offsets":1,"reason":"refused","at":1764000000000,"seq":6}
{"stream":"orders/3","from":23,"to":30,"offsets":7,"reason":"compacted_or_transactional","seq":12}
{"stream":"orders/3","from":25,"to":31,"offsets":6,"reason":"truncation","at":1764000000000,"seq":13}
{"stream":"orders/3","from":31,"to":32,"offsets":1,"reason":"refused","at":1764000000000,"seq":14}
{"stream":"orders/3","totals":{"compacted_or_transactional":{"gaps":3,"offsets":11},"refused":{"gaps":2,"offsets":2},"retention":{"gaps":1,"offsets":10},"truncation":{"gaps":1,"offsets":6}}}
`

func TestGaps(t *testing.T) {
	r := holey(t)
	r.want(exitDone, holes, "", "gaps")
	r.want(exitDone, holesAsJSON, "", "gaps", "--all", "--json")
	got := r.run("gaps", "--all")
	if lines := strings.Split(got.out, "\n"); got.code != exitDone || len(lines) != 11 ||
		lines[2] != "           7            9         2  compacted_or_transactional -                         4" {
		t.Errorf("%s", got.out)
	}
}

// An empty marker says where an adopted stream goes on: nothing is missing.
func TestGapsOfAnAdoptedStream(t *testing.T) {
	r := newReel(t, "orders/3")
	r.take(0)
	r.data(plain(0)...)
	r.take(1)
	r.append(gap(1, 1, mapping.ReasonOperator))
	r.want(exitDone, "s2://s2mem-basin/orders/3\nno gaps\n", "", "gaps")
}

func TestGapsUnexplained(t *testing.T) {
	r := newReel(t, "orders/3")
	r.take(0)
	r.data(plain(0)...)
	r.take(7)
	r.want(exitDone, `{"stream":"orders/3","from":1,"to":7,"offsets":6,"reason":"unexplained","seq":4}
{"stream":"orders/3","totals":{"unexplained":{"gaps":1,"offsets":6}}}
`, "", "gaps", "--json")
}

// Records that were trimmed while the list was made do not count as a gap.
func TestGapsOvertakenByATrim(t *testing.T) {
	var a account
	see := func(seq uint64, offset int64) []missing {
		s := mapping.Stored{Seq: seq}
		return a.take(s, mapping.Entry{Kind: mapping.Data, Position: mapping.Position{Offset: offset}})
	}
	if out := append(see(0, 0), see(9, 50)...); len(out) != 0 {
		t.Errorf("%+v", out)
	}
	if out := see(10, 60); len(out) != 1 || out[0] != (missing{51, 60, reasonLegal, nil, 10}) {
		t.Errorf("%+v", out)
	}
}

func TestGapsOfNothing(t *testing.T) {
	r := newReel(t, "orders/3")
	head := "s2://s2mem-basin/orders/3\n"
	r.want(exitDone, head+"no gaps\n", "", "gaps", "--all")
	r.want(exitDone, `{"stream":"orders/3","totals":{}}`+"\n", "", "gaps", "--all", "--json")
	r.take(0)
	r.data(plain(0, 1, 5)...)
	r.want(exitDone, head+"no gaps\n", "", "gaps")
	r.srv.Trim(r.stream, 4) // what is before the first record left is not known
	r.want(exitDone, head+"no gaps\n", "", "gaps", "--all")
	r.srv.Delete(r.stream)
	if got := r.run("gaps"); got.code != exitFailed || !strings.Contains(got.err, "does not exist") || got.out != "" {
		t.Errorf("%+v", got)
	}
}

// A stranger's records are told; the list is as complete as without them.
func TestGapsWithForeignRecords(t *testing.T) {
	r := newReel(t, "orders/3")
	r.take(0)
	r.append(stored("~!", "gap", `{"v":1,"from":5,"to":2}`), stored("x", "", ""))
	r.append(gap(0, 3, mapping.ReasonOperator))
	got := r.run("gaps", "--json")
	if got.code != exitDone || strings.Count(got.out, "operator") != 2 || strings.Count(got.err, "not written by a bridge") != 2 {
		t.Errorf("%+v", got)
	}
	r.append(stored("~!", "gap", `{"v":2,"from":5,"to":7}`))
	if got := r.run("gaps"); got.code != exitFailed || !strings.Contains(got.err, "sequence number 5: gap marker has format version 2") {
		t.Errorf("%+v", got)
	}
}

// All partitions of a topic are found by the names of their streams.
func TestGapsOfATopic(t *testing.T) {
	srv := s2mem.Start(t, s2mem.Options{})
	file := configFor(t, srv, "[stream]", `name = "k/{topic}-{partition}.x"`)
	if got := bridge(t, "gaps", "-c", file, "--topic", "t1"); got.code != exitFailed || !strings.Contains(got.err, `would begin with "k/t1-"`) {
		t.Errorf("%+v", got)
	}
	for _, stream := range []string{"k/t1-10.x", "k/t1-2.x", "k/t1-0.x", "k/t1-02.x", "k/t1-.x", "k/t1-0.y", "k/t1-a-3.x", "k/t11-4.x", "k/t1-+5.x", "k/t1-9999999999.x"} {
		srv.Create(stream)
	}
	s := &reel{t, srv, "k/t1-2.x"}
	s.take(0)
	s.append(gap(0, 1000, mapping.ReasonDeadLetter))
	got := bridge(t, "gaps", "-c", file, "--topic", "t1", "--json")
	want := `{"stream":"k/t1-0.x","totals":{}}
{"stream":"k/t1-2.x","from":0,"to":1000,"offsets":1000,"reason":"dead_letter","at":1764000000000,"seq":2}
{"stream":"k/t1-2.x","totals":{"dead_letter":{"gaps":1,"offsets":1000}}}
{"stream":"k/t1-10.x","totals":{}}
`
	if got != (said{exitDone, want, ""}) {
		t.Errorf("%+v, want\n%s", got, want)
	}
	got = bridge(t, "gaps", "-c", file, "--topic", "t1", "--partition", "2")
	if got.code != exitDone || !strings.HasSuffix(got.out, "total  dead_letter: 1,000 offsets in 1 gap\n") || !strings.HasPrefix(got.out, "s2://s2mem-basin/k/t1-2.x\n") {
		t.Errorf("%+v", got)
	}
}

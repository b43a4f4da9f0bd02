package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"kafka-s2-bridge/tests/chaos"
	"kafka-s2-bridge/tests/oracle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUsage(t *testing.T) {
	for args, want := range map[string]struct {
		code int
		says string
	}{
		"-h":               {exitVerified, "go run ./tests/chaos/cmd -for 30s -memory"},
		"--nonsense":       {exitUsage, "not defined: -nonsense"},
		"-for 0s":          {exitUsage, "-for and -rate must be positive"},
		"-rate 0":          {exitUsage, "-for and -rate must be positive"},
		"-kills -1":        {exitUsage, "not negative"},
		"-partitions 1001": {exitUsage, "-partitions must be from 1 to 1000"},
		"-bridges 1":       {exitUsage, "-bridges must be from 2 to 9"},
		"-old /nowhere":    {exitUsage, "-old: "},
		"now":              {exitUsage, `takes flags only, not "now"`},
	} {
		var out, errout bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &out, &errout); code != want.code || !strings.Contains(errout.String(), want.says) || out.Len() > 0 {
			t.Errorf("%s: exit code %d, output %q\n%s", args, code, &out, &errout)
		}
	}
}

func TestExitCodes(t *testing.T) {
	right := chaos.Verdict{Report: oracle.Report{Records: 5}, Served: 5}
	for name, c := range map[string]struct {
		result
		err  error
		want int
	}{
		"right":               {result{Verdict: right, judged: true}, nil, exitVerified},
		"a record is missing": {result{Verdict: chaos.Verdict{Report: oracle.Report{Records: 4, Missing: 1}, Served: 5}, judged: true}, nil, exitDifferent},
		"a wrong commit":      {result{Verdict: chaos.Verdict{Report: oracle.Report{Records: 5}, Served: 5, Commits: 1}, judged: true}, nil, exitDifferent},
		"seen live only":      {result{Verdict: right, Live: chaos.Tally{Doubled: 1}, judged: true}, nil, exitDifferent},
		"not judged":          {result{Verdict: right, Error: "no servers"}, errors.New("no servers"), exitUnknown},
	} {
		var errout bytes.Buffer
		if code := c.result.code(c.err, &errout); code != c.want {
			t.Errorf("%s: exit code %d, %s", name, code, &errout)
		}
		var parsed struct {
			Verified bool
			Records  *int
			Lost     *int
			Error    string
		}
		text, err := json.Marshal(c.result)
		if err == nil {
			err = json.Unmarshal(text, &parsed)
		}
		if err != nil || parsed.Verified != (c.want == exitVerified) || parsed.Records == nil || parsed.Lost == nil || parsed.Error != c.Error {
			t.Errorf("%s: %s, %v", name, text, err)
		}
	}
}

// On a terminal the status stays at the bottom, below the events; elsewhere it is a line now and then.
func TestScreen(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	s.width = func() int { return 10 }
	s.show([]string{"12345678901", "two"})
	s.tell("event %d", 1)
	if got, want := out.String(), "1234567890\ntwo\n\x1b[2A\r\x1b[J   0.0 s  event 1\n1234567890\ntwo\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	out.Reset()
	s.keep()
	s.tell("the end")
	if got, want := out.String(), "   0.0 s  the end\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}

	out.Reset()
	s = newScreen(&out)
	s.show([]string{"one", "two"})
	s.show([]string{"too", "soon"})
	s.tell("event")
	if got, want := out.String(), "   0.0 s  one; two\n   0.0 s  event\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 12345678: "12,345,678"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/go-multierror"
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	Key  string // "kafka.topics[2]"; or the variable or file that is no key
	From string // the environment variable that set it; "" = the file, or nobody
	Text string // goes on where the key ends: "must be ..."

	rank int // place in the table of keys; -1: no key
}

func (p *Problem) Error() string {
	if p.From == "" {
		return p.Key + " " + p.Text
	}
	return p.Key + " (" + p.From + ") " + p.Text
}

func (l *loader) add(key, text string) {
	l.problems = multierror.Append(l.problems, &Problem{Key: key, Text: text, rank: -1})
}

// refuse reports a key once: what comes later is most often a consequence.
func (l *loader) refuse(k key, text string) {
	if !l.refused[k.name] {
		l.refuseItem(k, "", text)
	}
}

// refuseItem reports a key, or one item of a list, whatever was said of it before.
func (l *loader) refuseItem(k key, at, text string) {
	l.refused[k.name] = true
	l.problems = multierror.Append(l.problems, &Problem{
		Key: k.name + at, From: l.from[k.name], Text: text,
		rank: slices.IndexFunc(l.keys, func(other key) bool { return other.name == k.name }),
	})
}

func (l *loader) errorOrNil() error {
	if l.problems != nil {
		slices.SortStableFunc(l.problems.Errors, func(a, b error) int { return rankOf(a) - rankOf(b) })
		l.problems.ErrorFormat = func(problems []error) string {
			var b strings.Builder
			_, _ = fmt.Fprintf(&b, "the configuration has %d mistake", len(problems))
			if len(problems) > 1 {
				b.WriteByte('s')
			}
			b.WriteString(" (nothing was contacted):")
			for _, p := range problems {
				b.WriteString("\n  ")
				b.WriteString(p.Error())
			}
			return b.String()
		}
	}
	return l.problems.ErrorOrNil()
}

func rankOf(err error) int {
	var p *Problem
	if errors.As(err, &p) {
		return p.rank
	}
	return -1
}

// butIs says in words which TOML type was found, never the value; nothing for
// text where text is right, but not this one.
func (v value) butIs(found any) string {
	switch found.(type) {
	case string:
		if v.text {
			return ""
		}
		return "; this is text"
	case int64:
		return "; this is a whole number"
	case float64:
		return "; this is a number"
	case bool:
		return "; this is true or false"
	case []any:
		return "; this is a list, or a list with something else in it"
	case map[string]any:
		return "; this is a table"
	}
	return "; this is a date or time"
}

// doubleKey finds the name in go-toml's complaints about a key or table that is
// there twice; these have no position.
var doubleKey = regexp.MustCompile(`(?:key|table) ([A-Za-z0-9_-]+) .*(?:already|redefine)`)

// tomlMistake is err of the TOML parser without the pieces of the file that it
// quotes: a password whose closing quote is missing is such a piece. (go-toml's
// messages hold one character of the file at most, but for numbers, which come
// last, and for keys.)
func tomlMistake(err error, keys []key) string {
	var at interface{ Position() (line, column int) }
	if errors.As(err, &at) {
		line, column := at.Position()
		what, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "toml: "), ": ")
		return fmt.Sprintf("is not TOML: line %d, column %d: %s", line, column, what)
	}
	if m := doubleKey.FindStringSubmatch(err.Error()); m != nil {
		for _, k := range keys {
			if strings.Contains("."+k.name+".", "."+m[1]+".") {
				return fmt.Sprintf("is not TOML: %q is there twice, or both as a key and as a table", m[1])
			}
		}
	}
	return "is not TOML: a key or table is there twice, or as both"
}

// withoutPath returns the reason inside a file error.
func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return errors.New("could not be read")
}

// isBareKey: TOML takes it without quotes. Only such names are repeated in
// messages; a quoted one may be anything, a misplaced secret too.
func isBareKey(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r > unicode.MaxASCII || r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

func printable(variable string) string {
	if isBareKey(variable) {
		return variable
	}
	return envPrefix + "..."
}

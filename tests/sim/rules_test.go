package sim

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// rules finds the oracle's rules in the source: what it says when one is broken.
func rules(t *testing.T) (formats []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			if fun, ok := call.Fun.(*ast.SelectorExpr); !ok || fun.Sel.Name != "violate" {
				return true
			}
			lit, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				t.Fatalf("%s: a rule without a text", name)
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			formats = append(formats, text)
			return true
		})
	}
	return formats
}

var verbs = regexp.MustCompile(`%\+?[a-z]`)

// matches tells whether a violation is that of a rule.
func matches(format, said string) bool {
	parts := verbs.Split(format, -1)
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile(strings.Join(parts, ".*") + "$").MatchString(said)
}

// TestEveryRule: a rule of the oracle that no planted bug breaks may be one that
// cannot be broken.
func TestEveryRule(t *testing.T) {
	var mu sync.Mutex
	var said []string
	var work sync.WaitGroup
	cores := make(chan struct{}, 2)
	for _, b := range Bugs {
		cores <- struct{}{}
		work.Go(func() {
			defer func() { <-cores }()
			for seed := range uint64(500) {
				opt := Options{Seed: seed, Bug: b.Name}
				if seed%2 == 0 {
					opt.Focus = b.Focus
				}
				if r := Run(opt); r.Failed != "" {
					mu.Lock()
					said = append(said, r.Failed)
					mu.Unlock()
				}
			}
		})
	}
	work.Wait()
	for _, format := range rules(t) {
		if breaks[format] == nil && !slices.ContainsFunc(said, func(s string) bool { return matches(format, s) }) {
			t.Errorf("no planted bug breaks the rule %q", format)
		}
	}
}

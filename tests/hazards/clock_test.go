package hazards

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// byTheDay are the ways from a moment to the time of day. A moment of time.Now also has a monotonic reading, which Sub, Since,
// Before and After go by: it does not jump when somebody sets the clock. These lose it.
var byTheDay = []string{"Unix", "UnixMilli", "UnixMicro", "UnixNano", "UTC", "Local", "In", "Round", "Truncate", "Format", "AppendFormat", "Date", "Equal", "Compare", "YearDay", "Clock"}

// allowed are the places where the time of day is right, or the moment is not one of the clock: by file and function.
var allowed = map[string]string{
	"handoff/answer.go gap":              "the field at of a gap marker, for people",
	"mapping/record.go millis":           "a record's timestamp, as Kafka has it",
	"source/locate.go Locate":            "the moment that policy.start names, for Kafka's index of timestamps",
	"source/retention.go TopicRetention": "a duration, no moment",
}

// A clock that jumps, stands still or is wrong by years must not move anything. So the rooms that carry data never turn a moment
// into a time of day, but where it is told to people.
func TestNoDecisionByTheTimeOfDay(t *testing.T) {
	seen := map[string]bool{}
	for _, room := range []string{"source", "handoff", "mapping", "offsets", "sink", "sink/s2s"} {
		files, err := filepath.Glob(filepath.Join(root, room, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(room, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, place := range timesOfDay(t, room, file) {
				if _, ok := allowed[place]; !ok {
					t.Errorf("%s goes by the time of day: compare moments (Sub, Before), or say here why it may", place)
				}
				seen[place] = true
			}
		}
	}
	for place := range allowed {
		if !seen[place] {
			t.Errorf("%s does not go by the time of day any more: take it off the list", place)
		}
	}
}

// timesOfDay are the functions of a file that do.
func timesOfDay(t *testing.T, room, file string) (places []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return timesIn(f, room+"/"+filepath.Base(file))
}

func timesIn(f *ast.File, name string) (places []string) {
	for _, d := range f.Decls {
		where := name
		if fn, ok := d.(*ast.FuncDecl); ok {
			where += " " + fn.Name.Name
		}
		ast.Inspect(d, func(x ast.Node) bool {
			call, ok := x.(*ast.CallExpr)
			if !ok {
				return true
			}
			s, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains(byTheDay, s.Sel.Name) || slices.Contains(places, where) {
				return true
			}
			if of, ok := s.X.(*ast.Ident); !ok || !slices.Contains([]string{"slices", "bytes", "cmp", "strings", "time"}, of.Name) {
				places = append(places, where)
			}
			return true
		})
	}
	return places
}

func TestPlantedTimeOfDay(t *testing.T) {
	for source, want := range map[string]bool{
		"func f() { if time.Now().Unix() > deadline { stop() } }":               true,
		"func f() { until := time.Now().Add(d).UTC(); _ = until }":              true,
		"func f() { if time.Since(began) > d { stop() } }":                      false,
		"func f() { if time.Now().After(until) && until.Before(x) { stop() } }": false,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\n"+source, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := timesIn(f, "x.go"); (len(got) > 0) != want {
			t.Errorf("%s: %v", source, got)
		}
	}
}

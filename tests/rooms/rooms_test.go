// Package rooms holds the picture of the code to the code: who may import whom.
//
//	cmd/bridge -> everything
//	source     -> handoff, offsets, mapping
//	handoff    -> mapping, offsets
//	sink       -> mapping, sink/s2s
//	sink/s2s, mapping, offsets -> nothing of ours
//	tests/...  -> everything
package rooms

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "kafka-s2-bridge/"

// may lists the rooms that a room's own code may import.
var may = map[string][]string{
	"source":   {"handoff", "offsets", "mapping"},
	"handoff":  {"mapping", "offsets"},
	"sink":     {"mapping", "sink/s2s"},
	"sink/s2s": {},
	"mapping":  {},
	"offsets":  {},
}

// never lists packages of others that a room must not know.
var never = map[string][]string{
	"handoff": {"net", "net/http", "github.com/twmb/franz-go/pkg/kadm"},
	"mapping": {"net", "net/http", "time", "os"},
	"offsets": {"net", "net/http", "time", "os", "sync"},
	"sink":    {"github.com/twmb/franz-go"},
	"source":  {"net/http"},
}

// pure are the files of handoff that may have no clock, goroutine or I/O of
// their own; owner.go, request.go and what they report through are the driver.
var driver = []string{"owner.go", "request.go", "mailbox.go", "report.go", "metrics.go", "ports.go"}

func TestRoomsImportOnlyWhatThePictureAllows(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := map[string]int{}
	for room := range may {
		for _, file := range sources(t, filepath.Join(root, room)) {
			seen[room]++
			for _, path := range imports(t, file) {
				if ours, ok := strings.CutPrefix(path, module); ok && !slices.Contains(may[room], ours) {
					t.Errorf("%s imports %s: %s may import only %v", file, ours, room, may[room])
				}
				for _, banned := range never[room] {
					if path == banned || strings.HasPrefix(path, banned+"/pkg/") {
						t.Errorf("%s imports %s, which %s must not know", file, path, room)
					}
				}
			}
		}
	}
	for room := range may {
		if seen[room] == 0 {
			t.Errorf("room %s has no files: the picture and the code differ", room)
		}
	}
}

func TestTheMachineIsPure(t *testing.T) {
	for _, file := range sources(t, filepath.Join("..", "..", "handoff")) {
		if slices.Contains(driver, filepath.Base(file)) {
			continue
		}
		for _, path := range imports(t, file) {
			if slices.Contains([]string{"context", "sync", "os", "log/slog", "crypto/rand"}, path) || strings.Contains(path, "franz-go") {
				t.Errorf("%s imports %s: the machine has no goroutine, I/O or client of its own", file, path)
			}
		}
	}
}

func TestNothingOfOursIsLeftOut(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		room, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		room = filepath.ToSlash(room)
		if strings.HasPrefix(d.Name(), ".") && room != "." || slices.Contains([]string{"tests", "cmd", "docker", "docs"}, room) || d.Name() == "testdata" {
			return fs.SkipDir
		}
		if _, known := may[room]; !known && len(sources(t, path)) > 0 {
			t.Errorf("%s holds code and is not a room of the picture", room)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sources(t *testing.T, dir string) (files []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if !strings.HasSuffix(f, "_test.go") {
			files = append(files, f)
		}
	}
	return files
}

func imports(t *testing.T, file string) (paths []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range f.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// docs/dependencies.md gives a reason for each module that is imported, and for
// no other.
func TestDependenciesAreExplained(t *testing.T) {
	const root = "../.."
	doc, err := os.ReadFile(filepath.Join(root, "docs/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{} // module of the table -> is imported
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		used[row[1]] = false
	}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "target"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
				continue // the standard library's, or ours
			}
			module := longestPrefix(used, imported)
			if module == "" {
				t.Errorf("%s imports %s, which docs/dependencies.md does not explain", path, imported)
				continue
			}
			used[module] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for module, isUsed := range used {
		if !isUsed {
			t.Errorf("docs/dependencies.md explains %s, which nobody imports", module)
		}
	}
}

func longestPrefix(modules map[string]bool, imported string) string {
	longest := ""
	for module := range modules {
		if (imported == module || strings.HasPrefix(imported, module+"/")) && len(module) > len(longest) {
			longest = module
		}
	}
	return longest
}

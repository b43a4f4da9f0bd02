package hazards

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kafka-s2-bridge/tests/sim"
)

// root is the repository, seen from here.
const root = "../.."

// names knows what the tests of this repository are called.
type names struct {
	packages    map[string]*source  // by folder
	transcripts map[string][]string // file without .txt -> scenarios
	windows     []string            // of the simulation
	mutants     map[string]*sim.Bug // planted in it
	unseen      map[string]bool     // planted, and not caught
	strings     map[string][]string // folder -> string literals of its test files
	points      []string            // at which a process dies
}

// source is what the tests of a folder are made of.
type source struct {
	tests map[string]bool       // Test and Fuzz functions
	decls map[string][]ast.Node // functions, methods and variables, by name
}

func readNames() (*names, error) {
	n := &names{packages: map[string]*source{}, transcripts: map[string][]string{}, strings: map[string][]string{}, mutants: map[string]*sim.Bug{}, windows: sim.Windows(true)}
	for i := range sim.Bugs {
		n.mutants[sim.Bugs[i].Name] = &sim.Bugs[i]
	}
	files, err := filepath.Glob(filepath.Join(root, "handoff", "testdata", "*.txt"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		for line := range strings.Lines(string(text)) {
			if scenario, ok := strings.CutPrefix(strings.TrimSpace(line), "== "); ok {
				n.transcripts[name] = append(n.transcripts[name], scenario)
			}
		}
	}
	unseen, err := n.literalsOf("tests/sim/mutants_test.go", "unseen")
	n.unseen = map[string]bool{}
	for _, name := range unseen {
		n.unseen[name] = true
	}
	if err != nil {
		return nil, err
	}
	if n.points, err = n.literalsOf("handoff/crashpoint_on.go", "crashPoints"); err != nil {
		return nil, err
	}
	if len(n.transcripts) == 0 || len(n.windows) == 0 || len(n.mutants) == 0 || len(n.points) == 0 {
		return nil, errors.New("transcripts, windows, mutants or crash points are not where they were")
	}
	return n, nil
}

// literalsOf are the strings in the value of a variable.
func (n *names) literalsOf(file, variable string) (list []string, err error) {
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, 0)
	if err != nil {
		return nil, err
	}
	for name, decl := range declared(f) {
		if name == variable {
			for _, node := range decl {
				list = append(list, literals(node)...)
			}
		}
	}
	return list, nil
}

func literals(node ast.Node) (list []string) {
	ast.Inspect(node, func(x ast.Node) bool {
		if s, ok := text(x); ok {
			list = append(list, s)
		}
		return true
	})
	return list
}

func text(x ast.Node) (string, bool) {
	l, ok := x.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

// declared are the functions, methods and variables of a file.
func declared(f *ast.File) map[string][]ast.Node {
	all := map[string][]ast.Node{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			all[d.Name.Name] = append(all[d.Name.Name], d)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if v, ok := s.(*ast.ValueSpec); ok {
					for _, name := range v.Names {
						all[name.Name] = append(all[name.Name], v)
					}
				}
			}
		}
	}
	return all
}

// folder reads the Go files of a folder, whatever their build tags.
func (n *names) folder(dir string) (*source, error) {
	if p := n.packages[dir]; p != nil {
		return p, nil
	}
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no Go files in %s", dir)
	}
	p := &source{tests: map[string]bool{}, decls: map[string][]ast.Node{}}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return nil, err
		}
		for name, nodes := range declared(f) {
			p.decls[name] = append(p.decls[name], nodes...)
			if fn, ok := nodes[0].(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasSuffix(file, "_test.go") &&
				name != "TestMain" && testName.MatchString(name) {
				p.tests[name] = true
			}
		}
		if strings.HasSuffix(file, "_test.go") {
			n.strings[dir] = append(n.strings[dir], literals(f)...)
		}
	}
	n.packages[dir] = p
	return p, nil
}

var (
	testName  = regexp.MustCompile(`^(Test|Fuzz)[A-Z][A-Za-z0-9]*$`)
	reference = regexp.MustCompile(`^([a-z0-9/]+) ((?:Test|Fuzz)[A-Za-z0-9]+)(?:/(.+))?$`)
)

// exists says what is wrong with a reference. There are these kinds:
//
//	tests/losses TestX             a test, or a fuzz target
//	tests/losses TestX/running     one of its subtests, by the name that stands in the source
//	transcript acquire: back-off   a sequence of events for the machine
//	window rebalance               something that must happen in the simulation, or the campaign fails
//	mutant read-before-fence       a bug that the simulation must catch
//	bubble s2 batch wrong ack      something that disturbs the real parts in fake time
//	network silent                 something that a socket does
//	crash point mid-chunk          where a process is killed
func (n *names) exists(ref string) error {
	if m := reference.FindStringSubmatch(ref); m != nil {
		return n.test(m[1], m[2], m[3])
	}
	kind, name, _ := strings.Cut(ref, " ")
	switch kind {
	case "transcript":
		file, scenario, _ := strings.Cut(name, ": ")
		if !slices.Contains(n.transcripts[file], scenario) {
			return errors.New("no such transcript")
		}
	case "window":
		if !slices.Contains(n.windows, name) {
			return errors.New("the simulation does not want it to happen")
		}
	case "mutant":
		switch b := n.mutants[name]; {
		case b == nil:
			return errors.New("no such bug is planted")
		case b.Right:
			return errors.New("that one is no bug")
		case n.unseen[name]:
			return errors.New("that one is not caught by the simulation")
		}
	case "bubble":
		return n.said("tests/synctest", name)
	case "network":
		return n.said("tests/network", name)
	case "crash":
		if point, ok := strings.CutPrefix(name, "point "); !ok || !slices.Contains(n.points, point) {
			return errors.New("no such point")
		}
	default:
		return errors.New("not a kind of reference")
	}
	return nil
}

// said: a name is a string in the tests of a folder, or is put together of some.
func (n *names) said(dir, name string) error {
	if _, err := n.folder(dir); err != nil {
		return err
	}
	parts := n.strings[dir]
	if slices.Contains(parts, name) {
		return nil
	}
	reach := make([]bool, len(name)+1)
	reach[0] = true
	for at := range name {
		if !reach[at] {
			continue
		}
		for _, p := range parts {
			if (len(p) > 2 || p == " ") && strings.HasPrefix(name[at:], p) {
				reach[at+len(p)] = true
			}
		}
	}
	if name == "" || !reach[len(name)] {
		return fmt.Errorf("nothing of that name in %s", dir)
	}
	return nil
}

func (n *names) test(dir, name, sub string) error {
	p, err := n.folder(dir)
	if err != nil {
		return err
	}
	if !p.tests[name] {
		return fmt.Errorf("no such test in %s", dir)
	}
	if sub == "" || slices.Contains(p.subtests(name), sub) {
		return nil
	}
	return errors.New("the test has no such subtest")
}

// subtests are the names of a test's cases, as far as they stand in the source: in the test, and in what it calls or refers to.
func (p *source) subtests(name string) (list []string) {
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, node := range p.decls[name] {
			ast.Inspect(node, func(x ast.Node) bool {
				switch x := x.(type) {
				case *ast.Ident:
					visit(x.Name)
				case *ast.CallExpr:
					if s, ok := x.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Run" && len(x.Args) == 2 {
						list = append(list, maybe(x.Args[0])...)
					}
				case *ast.CompositeLit:
					list = append(list, cases(x)...)
				}
				return true
			})
		}
	}
	visit(name)
	return list
}

// cases are the names in a table: keys of a map, the field name, or the first of a struct's values.
func cases(x *ast.CompositeLit) (list []string) {
	for i, e := range x.Elts {
		switch e := e.(type) {
		case *ast.KeyValueExpr:
			if field, ok := e.Key.(*ast.Ident); ok && field.Name == "name" {
				list = append(list, maybe(e.Value)...)
			}
			list = append(list, maybe(e.Key)...)
		default:
			if _, values := x.Type.(*ast.ArrayType); values || i == 0 {
				list = append(list, maybe(e)...)
			}
		}
	}
	return list
}

func maybe(x ast.Expr) []string {
	if s, ok := text(x); ok {
		return []string{s}
	}
	return nil
}

package handoff

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// go test ./handoff -run TestTranscripts -rewrite writes the answers in
// testdata anew. Read the difference: it is a change of the protocol.
var rewrite = flag.Bool("rewrite", false, "write the transcripts in testdata anew")

// A transcript is a text file of scenarios. A scenario opens with "== name"
// below a comment that tells its story, and consists of blocks:
//
//	commands, one a line
//	----
//	what the machine answered
//
// A blank line ends a block; "#" begins a comment; a command behind "@" is
// carried out without its answer being shown.
type block struct {
	head     []string // comments, blank lines, the scenario's name
	scenario string   // set where a scenario begins here
	commands []string
	answer   []string
}

func parseTranscript(text string) (blocks []block, tail []string) {
	var b block
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case line == "----":
			for i++; i < len(lines) && lines[i] != ""; i++ {
				b.answer = append(b.answer, lines[i])
			}
			blocks, b = append(blocks, b), block{}
		case strings.HasPrefix(line, "== "):
			b.scenario = line[3:]
			b.head = append(b.head, line)
		case strings.HasPrefix(line, "#") || line == "":
			b.head = append(b.head, line)
		default:
			b.commands = append(b.commands, line)
		}
	}
	return blocks, append(b.head, b.commands...)
}

func (b block) text(answer []string) string {
	lines := append(append(append([]string{}, b.head...), b.commands...), "----")
	return strings.Join(append(lines, answer...), "\n") + "\n\n"
}

// TestTranscripts holds every rule of the protocol to the sequence of events
// that would lose, double or reorder a record, or stop a healthy partition, if
// the rule were missing. The sequences are told in testdata.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			blocks, tail := parseTranscript(string(text))
			if len(tail) > 0 {
				t.Fatalf("commands without an answer at the end: %q", tail)
			}
			var out strings.Builder
			for len(blocks) > 0 {
				n := 1
				for n < len(blocks) && blocks[n].scenario == "" {
					n++
				}
				t.Run(blocks[0].scenario, func(t *testing.T) {
					d := newDriver(t)
					rest := blocks[:n]
					defer func() { // after a failure, what was not reached stays as it is
						for _, b := range rest {
							out.WriteString(b.text(b.answer))
						}
					}()
					for _, b := range blocks[:n] {
						got := d.perform(b.commands)
						rest = rest[1:]
						out.WriteString(b.text(got))
						if g, w := strings.Join(got, "\n"), strings.Join(b.answer, "\n"); g != w && !*rewrite {
							t.Fatalf("%s\n--- got\n%s\n--- want\n%s", strings.Join(b.commands, "\n"), g, w)
						}
					}
				})
				blocks = blocks[n:]
			}
			if *rewrite {
				text := strings.TrimRight(out.String(), "\n") + "\n"
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

package hazards

import (
	"fmt"
	"regexp"
	"strings"
)

// row is a line of one of the tables: what may go wrong, what the bridge does, what holds it.
type row struct {
	line       int
	id         string // H07, T24
	name, does string
	refs       []string // each in backticks in the last cell
	rest       string   // that cell without them
}

// series is the numbers that a table must have, each once, in order: letter and ranges.
type series struct {
	letter string
	ranges [][2]int
}

// What the document must tell.
var (
	ownHazards = series{"H", [][2]int{{1, 55}}}
	others     = series{"T", [][2]int{{24, 51}, {63, 65}}}
)

func (s series) ids() (list []string) {
	for _, r := range s.ranges {
		for n := r[0]; n <= r[1]; n++ {
			list = append(list, fmt.Sprintf("%s%02d", s.letter, n))
		}
	}
	return list
}

// reason begins the last cell of a hazard that cannot come.
const reason = "Does not apply:"

var (
	rowBegin = regexp.MustCompile(`^\|\s*([A-Z][0-9]+)\s*\|`)
	quoted   = regexp.MustCompile("`([^`]*)`")
)

// parse finds the rows of a series in a document.
func parse(text string, of series) (rows []row, wrong []string) {
	for i, line := range strings.Split(text, "\n") {
		m := rowBegin.FindStringSubmatch(line)
		if m == nil || !strings.HasPrefix(m[1], of.letter) {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 {
			wrong = append(wrong, fmt.Sprintf("line %d: %s has %d cells, want 4", i+1, m[1], len(cells)))
			continue
		}
		r := row{line: i + 1, id: m[1], name: strings.TrimSpace(cells[1]), does: strings.TrimSpace(cells[2])}
		for _, ref := range quoted.FindAllStringSubmatch(cells[3], -1) {
			r.refs = append(r.refs, ref[1])
		}
		r.rest = strings.Trim(quoted.ReplaceAllString(cells[3], ""), " ,;")
		rows = append(rows, r)
	}
	return rows, wrong
}

// judge says what is wrong with a document: a row that is missing, doubled or empty, a reference that leads nowhere.
func judge(text string, of series, exists func(ref string) error) (wrong []string) {
	rows, wrong := parse(text, of)
	want := of.ids()
	for i, r := range rows {
		switch {
		case i >= len(want):
			wrong = append(wrong, fmt.Sprintf("line %d: %s is not of %s", r.line, r.id, strings.Join(want, " ")))
			return wrong
		case r.id != want[i]:
			wrong = append(wrong, fmt.Sprintf("line %d: %s, want %s", r.line, r.id, want[i]))
			return wrong
		}
		if len(r.name) < 10 || len(r.does) < 10 {
			wrong = append(wrong, fmt.Sprintf("line %d: %s does not say what it is about", r.line, r.id))
		}
		if why, no := strings.CutPrefix(r.rest, reason); no && len(strings.TrimSpace(why)) > 20 {
			// The sentence may name tests all the same.
		} else if len(r.refs) == 0 {
			wrong = append(wrong, fmt.Sprintf("line %d: %s names no test, nor why it does not apply", r.line, r.id))
		} else if strings.Trim(r.rest, " ,;") != "" {
			wrong = append(wrong, fmt.Sprintf("line %d: %s has words beside its tests: %q", r.line, r.id, r.rest))
		}
		for _, ref := range r.refs {
			if err := exists(ref); err != nil {
				wrong = append(wrong, fmt.Sprintf("line %d: %s names %q: %v", r.line, r.id, ref, err))
			}
		}
	}
	for _, id := range want[len(rows):] {
		wrong = append(wrong, "no row for "+id)
	}
	return wrong
}

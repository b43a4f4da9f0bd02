package hazards

import (
	"errors"
	"strings"
	"testing"
)

// A right document, in small: what is planted below must be what is found.
const small = `
| | hazard | what the bridge does | held by |
|---|---|---|---|
| H01 | a hazard in words | what is done about it | ` + "`tests/oracle TestPlanted`, `tests/oracle TestPlanted/lost`, `transcript flow: no ack comes`" + ` |
| H02 | another one in words | what is done about it | ` + "`window rebalance`, `mutant read-before-fence`, `bubble s2 batch wrong ack`, `network silent`" + ` |
| H03 | a third one in words | what is done about it | ` + "`crash point mid-chunk`, `mapping FuzzNoCommand`" + ` |
| H04 | one that cannot come | what there is instead | Does not apply: the bridge keeps no state of its own |
`

var four = series{"H", [][2]int{{1, 4}}}

// Whatever is wrong with a document is found and named.
func TestPlantedRows(t *testing.T) {
	n := known(t)
	if wrong := judge(small, four, n.exists); len(wrong) > 0 {
		t.Fatalf("the right one is not: %s", strings.Join(wrong, "\n"))
	}
	for _, c := range []struct{ name, old, new, words string }{
		{"row missing at the end", "| H04 |", "| X04 |", "no row for H04"},
		{"row missing in the middle", "| H02 |", "| X02 |", "H03, want H02"},
		{"row doubled", "| H03 |", "| H02 |", "H02, want H03"},
		{"row too many", "| H04 | one", "| H04 | one that cannot come | what there is instead | Does not apply: the bridge keeps no state |\n| H05 | one", "H05 is not of"},
		{"cell missing", "| a third one in words ", "", "H03 has 3 cells"},
		{"no hazard", "a hazard in words", "", "H01 does not say"},
		{"no answer", "what there is instead", "-", "H04 does not say"},
		{"nothing named", "`crash point mid-chunk`, `mapping FuzzNoCommand`", "", "H03 names no test"},
		{"no reason", ": the bridge keeps no state of its own", ": never", "H04 names no test"},
		{"only words", "`crash point mid-chunk`, `mapping FuzzNoCommand`", "it is tested well", "H03 names no test"},
		{"words beside", "`crash point mid-chunk`", "`crash point mid-chunk` and so on", "words beside"},
		{"no such test", "TestPlanted`", "TestPlantedd`", "no such test"},
		{"test elsewhere", "mapping FuzzNoCommand", "offsets FuzzNoCommand", "no such test in offsets"},
		{"no such folder", "mapping FuzzNoCommand", "mapped FuzzNoCommand", "no Go files"},
		{"no such subtest", "TestPlanted/lost", "TestPlanted/lost again", "no such subtest"},
		{"a helper", "TestPlanted`", "TestMain`", "no such test"},
		{"no such transcript", "no ack comes", "no ack ever comes", "no such transcript"},
		{"transcript elsewhere", "transcript flow", "transcript acquire", "no such transcript"},
		{"no such window", "window rebalance", "window balance", "does not want it"},
		{"no such mutant", "mutant read-before-fence", "mutant read-after-fence", "no such bug"},
		{"a mutant that is right", "mutant read-before-fence", "mutant static-token", "no bug"},
		{"no such bubble", "wrong ack", "right ack", "nothing of that name"},
		{"no such harm", "network silent", "network loud", "nothing of that name"},
		{"no such point", "mid-chunk", "mid-record", "no such point"},
		{"no kind", "crash point mid-chunk", "hope for the best", "not a kind"},
		{"empty name", "`mapping FuzzNoCommand`", "``", "not a kind"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(small, c.old, c.new, 1)
			if text == small {
				t.Fatal("nothing was planted")
			}
			wrong := strings.Join(judge(text, four, n.exists), "\n")
			if !strings.Contains(wrong, c.words) {
				t.Errorf("want %q, have %q", c.words, wrong)
			}
		})
	}
}

// A mutant that the simulation does not catch holds nothing.
func TestPlantedUnseenMutant(t *testing.T) {
	n := known(t)
	n.unseen["read-before-fence"] = true
	if err := n.exists("mutant read-before-fence"); err == nil || !strings.Contains(err.Error(), "not caught") {
		t.Error(err)
	}
}

// The real document, with every name made wrong in turn: none is passed over.
func TestNoReferenceIsPassedOver(t *testing.T) {
	asked := 0
	for _, of := range []series{ownHazards, others} {
		rows, wrong := parse(document(t), of)
		if len(wrong) > 0 {
			t.Fatal(wrong)
		}
		refs := 0
		for _, r := range rows {
			refs += len(r.refs)
		}
		seen := 0
		judge(document(t), of, func(string) error { seen++; return errors.New("none") })
		if seen != refs || refs < len(rows) {
			t.Errorf("%d of %d references of %s are looked at", seen, refs, of.letter)
		}
		asked += seen
	}
	if asked < 200 {
		t.Errorf("%d references in all: the tables are not read", asked)
	}
}

package losses

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The numbers in the names of the tests say which story of a failure a test plays. None of those that are about losses may be
// without one.
func TestEveryStoryIsPlayed(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var names strings.Builder
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`(?m)^func Test((?:[TH][0-9]{2})+)`).FindAllStringSubmatch(string(source), -1) {
			names.WriteString(match[1] + " ")
		}
	}
	for kind, ranges := range map[string][][2]int{"T": {{24, 36}, {63, 65}}, "H": {{20, 34}, {51, 51}}} {
		for _, r := range ranges {
			for n := r[0]; n <= r[1]; n++ {
				if story := fmt.Sprintf("%s%d", kind, n); !strings.Contains(names.String(), story) {
					t.Errorf("no test plays %s", story)
				}
			}
		}
	}
}

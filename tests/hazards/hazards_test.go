package hazards

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// document reads docs/hazards.md.
func document(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "hazards.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func known(t *testing.T) *names {
	t.Helper()
	n, err := readNames()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Each hazard has its row, and what the row names exists.
func TestEveryHazardIsHeld(t *testing.T) {
	text, n := document(t), known(t)
	for _, of := range []series{ownHazards, others} {
		for _, wrong := range judge(text, of, n.exists) {
			t.Errorf("docs/hazards.md: %s", wrong)
		}
	}
}

package oracle_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The oracle's worth is that it shares nothing with what it judges.
func TestNoCodeOfTheBridge(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for _, dep := range strings.Fields(string(out)) {
		if strings.HasPrefix(dep, "kafka-s2-bridge/tests/oracle") {
			seen++
		} else if strings.HasPrefix(dep, "kafka-s2-bridge") {
			t.Errorf("the oracle depends on %s", dep)
		}
	}
	if seen == 0 {
		t.Error("go list named no package of the oracle: the test looked at nothing")
	}
}

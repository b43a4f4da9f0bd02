package mapping

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// go test ./mapping -update writes the vectors in testdata anew. A change
// there is a change of a published format.
var update = flag.Bool("update", false, "write the vectors in testdata anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

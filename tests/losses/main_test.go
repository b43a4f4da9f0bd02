package losses

import (
	"testing"

	"kafka-s2-bridge/tests/real/bridge/suite"
)

// program is the bridge, built once.
var program string

func TestMain(m *testing.M) { suite.Main(m, "8", &program) }

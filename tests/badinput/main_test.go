package badinput

import (
	"testing"

	"kafka-s2-bridge/tests/real/bridge/suite"
)

// binary is the bridge, built once.
var binary string

func TestMain(m *testing.M) { suite.Main(m, "4", &binary) }

package fidelity

import (
	"testing"

	"kafka-s2-bridge/tests/real/bridge/suite"
)

// program is the bridge, built once.
var program string

func TestMain(m *testing.M) { suite.Main(m, "3", &program) }

//go:build !crashpoints

package handoff

// CrashPoint marks a place where a process may die in tests (crashpoint_on.go).
// In every other build it is empty, as are the ones below, and is inlined away.
func CrashPoint(string) {}

func crashBefore(Action)   {}
func crashAfter(Action)    {}
func crashOn(Event)        {}
func crashDraining(*Owner) {}

//go:build race

package mapping

// poison overwrites a buffer that was handed back, in race-detector builds
// only: a reader that still holds it is reported as a race, or reads rubbish.
func poison(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}

const raceEnabled = true

package chaos

import "testing"

// The live count finds what it is there to find, in whatever order the two sides come.
func TestLiveCount(t *testing.T) {
	for name, c := range map[string]struct {
		kafka, stream []int64
		want          Tally
	}{
		"right":        {[]int64{0, 1, 3}, []int64{0, 1, 3}, Tally{Copied: 3}},
		"behind":       {[]int64{0, 1, 3}, []int64{0}, Tally{Copied: 1}},
		"lost":         {[]int64{0, 1, 2, 3}, []int64{0, 3}, Tally{Copied: 2, Lost: 2}},
		"doubled":      {[]int64{0, 1, 2}, []int64{0, 1, 0, 1, 2}, Tally{Copied: 3, Doubled: 2}},
		"not of Kafka": {[]int64{0, 5}, []int64{0, 2, 5}, Tally{Copied: 2, Stranger: 1}},
		"doubled at 0": {[]int64{0}, []int64{0, 0}, Tally{Copied: 1, Doubled: 1}},
		"out of order": {[]int64{0, 1, 2}, []int64{0, 2, 1}, Tally{Copied: 2, Lost: 1, Doubled: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			l, p := &Live{}, &pair{last: -1}
			p.kafka, p.stream = append(p.kafka, c.kafka...), append(p.stream, c.stream...)
			l.compare(p)
			if l.tally != c.want {
				t.Errorf("at once: %+v, want %+v", l.tally, c.want)
			}
			l, p = &Live{}, &pair{last: -1}
			for i := range max(len(c.kafka), len(c.stream)) { // S2 first: it may be read before Kafka is
				if i < len(c.stream) {
					p.stream = append(p.stream, c.stream[i])
					l.compare(p)
				}
				if i < len(c.kafka) {
					p.kafka = append(p.kafka, c.kafka[i])
					l.compare(p)
				}
			}
			if l.tally != c.want {
				t.Errorf("bit by bit: %+v, want %+v", l.tally, c.want)
			}
		})
	}
}

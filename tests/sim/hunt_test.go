package sim

import (
	"flag"
	"strings"
	"sync"
	"testing"
)

var huntFor = flag.String("hunt", "", "")

func TestHunt(t *testing.T) {
	var work sync.WaitGroup
	for _, pair := range strings.Fields(strings.ReplaceAll(*huntFor, ";", " ")) {
		name, focus, _ := strings.Cut(pair, ":")
		work.Go(func() {
			n, first, said := 0, -1, ""
			for seed := range *seeds {
				if r := Run(Options{Seed: uint64(seed), Bug: name, Focus: focus}); r.Failed != "" && Run(Options{Seed: uint64(seed), Focus: focus}).Failed == "" {
					if n++; n == 1 {
						first, said = seed, r.Failed
					}
				}
			}
			t.Log(name, focus, "caught", n, "first", first, said)
		})
	}
	work.Wait()
}

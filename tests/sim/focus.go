package sim

import (
	"slices"
	"strings"
	"time"

	"kafka-s2-bridge/handoff"
)

// A focus makes runs full of what is to be tried: words, with commas between.
// Kinds of faults take the place of every other fault of the plan, in turn; the
// words below bend the policy.
//
//	truncate,gap    the log is cut again and again, and all losses are given up
var bends = map[string]func(*policy){
	"answered": func(p *policy) { p.diligence = 100 },
	"alone":    func(p *policy) { p.diligence, p.Standing = 0, nil },
	"gap": func(p *policy) {
		p.Standing = map[handoff.Reason]handoff.Answer{
			handoff.RetentionLost: handoff.AnswerGap, handoff.Truncated: handoff.AnswerGap, handoff.S2Behind: handoff.AnswerGap,
		}
	},
	"replay": func(p *policy) {
		p.Standing = map[handoff.Reason]handoff.Answer{handoff.S2Behind: handoff.AnswerReplay, handoff.PositionUnproven: handoff.AnswerReplay}
	},
	"asked":         func(p *policy) { p.Standing, p.diligence = nil, 100 },
	"skip":          func(p *policy) { p.Large, p.Refused = handoff.SkipRecord, handoff.SkipRecord },
	"letter":        func(p *policy) { p.Large, p.Refused = handoff.DeadLetterRecord, handoff.DeadLetterRecord },
	"hold":          func(p *policy) { p.Large, p.Refused = handoff.HoldRecord, handoff.HoldRecord },
	"whole":         func(p *policy) { p.packer.NoChunks = true },
	"latest":        func(p *policy) { p.Start = handoff.StartPolicy{From: handoff.FromLatest} },
	"beyond":        func(p *policy) { p.Start = handoff.StartPolicy{From: handoff.FromOffset, Offset: 20} },
	"transactional": func(p *policy) { p.transactional = true },
	"nameless":      func(p *policy) { p.anonymous = true },
}

// focus bends a world, and its plan.
func (w *world) focus(words string) {
	var kinds []kind
	for word := range strings.SplitSeq(words, ",") {
		if bend := bends[word]; bend != nil {
			bend(&w.policy)
		} else if k := slices.Index(kindNames[:], word); k >= 0 {
			kinds = append(kinds, kind(k))
		} else if word != "" {
			panic("sim: no such focus: " + word)
		}
	}
	for _, f := range w.plan {
		if len(kinds) == 0 || f.index%2 > 0 {
			continue
		}
		k := kinds[f.index/2%len(kinds)]
		f.kind, f.point = k, ""
		switch k {
		case crashAt, staticCrashAt, pauseAt, truncateAt, expireAt, rollBackAt:
			f.point, f.ordinal = points[f.dice.IntN(len(points))], f.dice.between(1, 3)
		}
		switch {
		case k == staleTail, k == epochUnknown:
			f.lasts, f.percent = min(max(f.lasts, 500*time.Millisecond), 1500*time.Millisecond), 50
		case k < weatherKinds:
			f.lasts, f.percent, f.part = w.shape.horizon, 40, -1
		}
	}
}

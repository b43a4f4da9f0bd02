package sim

import (
	"slices"
	"time"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
)

// word is an operator's answer to a hold of one owner. It is good for one loss.
type word struct {
	answer handoff.Answer
	hold   handoff.Hold
	used   int // incarnation of the stream in which it was, 0: it was not
}

// page calls an operator to a hold. Some look at once, some never do, and not
// everybody types what fits.
func (w *world) page(o *owner) {
	d := w.people
	if w.now > max(w.shape.horizon, w.peace)+15*time.Second || !d.percent(w.policy.diligence) {
		return
	}
	after := d.span(20*time.Millisecond, 5*time.Second)
	n := d.IntN(20)
	pick := d.Uint64()
	w.in(after, func() {
		s := o.machine.Status()
		if o.done || o.m.dead || s.Phase != "held" {
			return
		}
		fits := losses(s.Hold.Reason)
		a := handoff.AnswerRetry
		switch {
		case n < 15 && len(fits) > 0:
			a = fits[pick%uint64(len(fits))]
		case n < 17:
			a = allAnswers[pick%uint64(len(allAnswers))]
		}
		w.say(o.name, "operator: "+string(a))
		o.put(handoff.Resume{Answer: a})
	})
}

var allAnswers = []handoff.Answer{
	handoff.AnswerGap, handoff.AnswerReplay, handoff.AnswerAdopt, handoff.AnswerRetry, handoff.AnswerNewStream,
}

// told notes an answer that is about to reach the machine.
func (o *owner) told(a handoff.Answer) {
	s := o.machine.Status()
	if s.Phase != "held" || a == handoff.AnswerNewStream || !slices.Contains(s.Hold.Reason.Answers(), a) {
		o.w.hit("answer that does not fit")
		return
	}
	o.w.hit("answer " + string(a) + " to " + string(s.Hold.Reason))
	o.words = append(o.words, &word{answer: a, hold: s.Hold})
}

// leave tells whether somebody, once or in advance, gave an answer to a hold.
// The word of an operator that is the leave comes with it.
func (o *owner) leave(r handoff.Reason, a handoff.Answer, fits func(*word) bool) (*word, bool) {
	if o.w.policy.Standing[r] == a {
		return nil, true
	}
	for _, word := range o.words {
		if word.answer == a && word.hold.Reason == r && o.unused(word) && (fits == nil || fits(word)) {
			return word, true
		}
	}
	return nil, false
}

// unused: the word has done its work in no stream that still is.
func (o *owner) unused(w *word) bool { return w.used == 0 || w.used != o.p.stream.made }

// use: it has.
func (o *owner) use(w *word) { w.used = o.p.stream.made }

// covers: the word was given for a loss that this marker's overlaps.
func covers(g *mapping.Gap) func(*word) bool {
	return func(w *word) bool {
		return w.hold.To <= w.hold.From || (g.From < w.hold.To && g.To > w.hold.From)
	}
}

// adopts tells whether somebody said that the stream is ours.
func (o *owner) adopts() (*word, bool) {
	for _, r := range []handoff.Reason{handoff.Recreated, handoff.ForeignIdentity, handoff.ForeignRecord, handoff.TokenCleared} {
		if word, ok := o.leave(r, handoff.AnswerAdopt, nil); ok {
			return word, true
		}
	}
	return nil, false
}

// replays tells whether somebody said that what is lost is to be copied again.
// Where Kafka was cut back below what S2 lost, the leave to give that up will do:
// what Kafka writes there now was never lost.
func (o *owner) replays() (*word, bool) {
	if o.p.cuts > 0 || o.news.lost {
		if word, ok := o.leave(handoff.S2Behind, handoff.AnswerGap, nil); ok {
			return word, true
		}
	}
	if word, ok := o.leave(handoff.S2Behind, handoff.AnswerReplay, nil); ok {
		return word, true
	}
	return o.leave(handoff.PositionUnproven, handoff.AnswerReplay, nil)
}

// toldToAdopt: somebody has said so, whether it was needed or not.
func (o *owner) toldToAdopt() bool {
	return slices.ContainsFunc(o.words, func(w *word) bool { return w.answer == handoff.AnswerAdopt })
}

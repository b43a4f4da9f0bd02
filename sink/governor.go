package sink

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// burstTime is how much of a second's batches may go at once. Less would space
// out the batches of a single busy stream; more would let all streams start
// together and be throttled together.
const burstTime = 100 * time.Millisecond

// Governor shares S2's limit of append batches a second among all streams. It
// only tells how long to wait; waiting is the caller's, so nobody blocks here.
type Governor struct {
	limit *rate.Limiter
}

// NewGovernor allows perSecond batches a second; 0 is no limit.
func NewGovernor(perSecond float64) *Governor {
	if perSecond <= 0 {
		return &Governor{limit: rate.NewLimiter(rate.Inf, 0)}
	}
	burst := int(math.Ceil(perSecond * burstTime.Seconds()))
	return &Governor{limit: rate.NewLimiter(rate.Limit(perSecond), burst)}
}

// Reserve takes the permit for one append batch and says after what time it
// holds; 0 is now. The permit is used up whether or not the batch is sent.
func (g *Governor) Reserve() time.Duration {
	return g.limit.Reserve().Delay()
}

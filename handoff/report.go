package handoff

import (
	"log/slog"
	"slices"
	"time"

	"kafka-s2-bridge/mapping"
)

// report tells metrics and log what an owner's steps changed.
type report struct {
	log     *slog.Logger
	metrics partitionMetrics
	last    Status
	sendAt  []time.Duration // of what is in flight, oldest first
	quiet   time.Duration   // until then the same trouble is not logged again
}

// troubleEvery is how often a trouble that lasts is logged.
const troubleEvery = 30 * time.Second

func newReport(opt Options, id mapping.Identity) *report {
	r := &report{
		log:     opt.Logger.With("topic", id.Topic, "partition", id.Partition),
		metrics: opt.Metrics.partition(id),
		last:    Status{Durable: -1},
	}
	r.metrics.durable.Set(-1)
	return r
}

func (r *report) sent(now time.Duration) { r.sendAt = append(r.sendAt, now) }

func (r *report) aborted() { r.sendAt = nil }

func (r *report) event(now time.Duration, ev Event) {
	if _, ok := ev.(Acked); ok && len(r.sendAt) > 0 {
		r.metrics.all.latency.WithLabelValues(r.metrics.labels...).Observe((now - r.sendAt[0]).Seconds())
		r.sendAt = r.sendAt[1:]
	}
}

func (r *report) status(now time.Duration, s Status) {
	last := r.last
	r.last = s
	r.metrics.records.Add(float64(s.Records - last.Records))
	r.metrics.bytes.Add(float64(s.Bytes - last.Bytes))
	for cause, n := range s.Acquisitions {
		if more := n - last.Acquisitions[cause]; more > 0 {
			r.metrics.all.acquisitions.WithLabelValues(r.metrics.with(Cause(cause).String())...).Add(float64(more))
		}
	}
	for class, n := range s.Missing {
		if more := n - last.Missing[class]; more > 0 {
			r.metrics.all.missing.WithLabelValues(r.metrics.with(Missing(class).String())...).Add(float64(more))
		}
	}
	for _, g := range s.LastGaps {
		if g.From == g.To || slices.Contains(last.LastGaps, g) {
			continue
		}
		r.log.Warn("gap marker written: these offsets are not in the stream", "reason", g.Reason, "from", g.From, "to", g.To, "offsets", g.To-g.From)
	}
	if s.Durable != last.Durable {
		r.metrics.durable.Set(float64(s.Durable))
	}
	if s.InflightBytes != last.InflightBytes {
		r.metrics.inflght.Set(float64(s.InflightBytes))
	}
	if s.Hold != last.Hold {
		r.hold(last.Hold, s.Hold)
	}
	if s.Phase != last.Phase {
		r.phase(s)
	}
	r.trouble(now, last.Trouble, s.Trouble)
}

func (r *report) hold(before, after Hold) {
	if before.Reason != "" {
		r.metrics.all.held.DeleteLabelValues(r.metrics.with(string(before.Reason))...)
	}
	if after.Reason == "" {
		r.log.Info("partition goes on", "was_held", string(before.Reason))
		return
	}
	r.metrics.all.held.WithLabelValues(r.metrics.with(string(after.Reason))...).Set(1)
	if after.Reason != before.Reason || after.Detail != before.Detail {
		args := []any{"reason", string(after.Reason), "detail", after.Detail, "next", after.Reason.Next()}
		if after.To > after.From {
			args = append(args, "lost_from", after.From, "lost_to", after.To)
		}
		r.log.Error("partition held", args...)
	}
}

func (r *report) phase(s Status) {
	switch s.Phase {
	case flowing.String():
		r.log.Info("writing", "behind_offset", s.Durable, "sequence_number", s.Next)
	case released.String():
		r.log.Info("released", "durable_offset", s.Durable, "position", s.Position)
	}
}

func (r *report) trouble(now time.Duration, before, after string) {
	switch {
	case after == "" && before != "":
		if r.quiet > 0 {
			r.log.Info("recovered", "from", before)
		}
		r.quiet = 0
	case after != "" && now >= r.quiet:
		r.log.Warn("not writing, trying again", "error", after)
		r.quiet = now + troubleEvery
	}
}

func (r *report) close() { r.metrics.forget(r.last.Hold.Reason) }

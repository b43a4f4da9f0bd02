package main

import (
	"context"
	"log/slog"

	"kafka-s2-bridge/handoff"
)

// heldLine is what an owner logs when its partition stops. It knows no commands;
// what to type is added here.
const heldLine = "partition held"

// answering is a slog.Handler that adds to the line of a hold the command that
// answers it.
type answering struct {
	slog.Handler
	perTopicID bool   // stream.name has {topic_id}
	topic      string // that the logger carries; "" none
	number     int64
}

func withCommands(h slog.Handler, perTopicID bool) slog.Handler {
	return &answering{Handler: h, perTopicID: perTopicID}
}

func (a *answering) Handle(ctx context.Context, r slog.Record) error {
	if r.Message != heldLine || a.topic == "" {
		return a.Handler.Handle(ctx, r)
	}
	var reason handoff.Reason
	r.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "reason" {
			reason = handoff.Reason(attr.Value.String())
		}
		return true
	})
	p := partition{Topic: a.topic, Partition: int32(a.number)}
	p.holdOf(handoff.Hold{Reason: reason}, a.perTopicID)
	if how := howToResume(p.id(), p.Accepts); how != "" {
		r = r.Clone()
		r.AddAttrs(slog.String("to_answer", how))
	}
	return a.Handler.Handle(ctx, r)
}

func (a *answering) WithAttrs(attrs []slog.Attr) slog.Handler {
	bound := *a
	bound.Handler = a.Handler.WithAttrs(attrs)
	for _, attr := range attrs {
		switch v := attr.Value.Resolve(); {
		case attr.Key == "topic" && v.Kind() == slog.KindString:
			bound.topic = v.String()
		case attr.Key == "partition" && v.Kind() == slog.KindInt64:
			bound.number = v.Int64()
		}
	}
	return &bound
}

func (a *answering) WithGroup(name string) slog.Handler {
	bound := *a
	bound.Handler = a.Handler.WithGroup(name)
	return &bound
}

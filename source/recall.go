package source

import (
	"context"
	"errors"

	"kafka-s2-bridge/handoff"
	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/offsets"
)

var errStub = errors.New("not written yet")

func (p *partition) Locate(context.Context, handoff.StartPolicy) (int64, error) { return 0, errStub }

func (p *partition) Records(context.Context, int64, int64) ([]mapping.Record, error) {
	return nil, errStub
}

func (p *partition) Overwrite(context.Context, offsets.Mark) error { return errStub }

func (p *partition) DeadLetter(context.Context, handoff.Letter) error { return errStub }

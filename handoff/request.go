package handoff

import "context"

// request asks S2 or Kafka in a goroutine that run waits for.
func (o *Owner) request(a Action) {
	ctx, slots := o.ctx, 0
	if _, letter := a.(DeadLetter); !letter { // that one may take long, and is no acquisition
		o.outstanding++
		if o.slots == 0 {
			slots = 1
		}
	}
	claim := slots
	o.claims += claim
	o.work.Go(func() {
		if slots > 0 {
			select {
			case o.opt.Slots <- struct{}{}:
			case <-ctx.Done():
				slots = 0
			}
		}
		o.mail.put(answer{o.perform(ctx, a), claim, slots})
	})
}

func (o *Owner) perform(ctx context.Context, a Action) Event {
	switch a := a.(type) {
	case Ask:
		tail, token, exists, err := o.stream.Ask(ctx)
		return Asked{a.ID, tail, token, exists, err}
	case Create:
		return Created{a.ID, o.stream.Create(ctx)}
	case Fence:
		seq, err := o.stream.Fence(ctx, a.Token, a.Seen, a.Tail)
		return Fenced{a.ID, seq, err}
	case Read:
		records, err := o.stream.Read(ctx, a.From, a.Count)
		return Page{a.ID, records, err}
	case Range:
		start, end, err := o.partition.Range(ctx)
		return Ranged{a.ID, start, end, err}
	case EpochEnd:
		of, end, err := o.partition.EpochEnd(ctx, a.Epoch)
		return EpochEnded{a.ID, of, end, err}
	case Locate:
		offset, err := o.partition.Locate(ctx, a.Start)
		return Located{a.ID, offset, err}
	case Recall:
		records, err := o.partition.Records(ctx, a.First, a.Last)
		return Recalled{a.ID, records, err}
	case Overwrite:
		return Overwritten{a.ID, a.Mark, o.partition.Overwrite(ctx, a.Mark)}
	case DeadLetter:
		return DeadLettered{a.ID, o.partition.DeadLetter(ctx, a.Letter)}
	}
	panic("handoff: no such request")
}

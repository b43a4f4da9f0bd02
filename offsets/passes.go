package offsets

// Passes remembers how far Kafka's log was read behind a data record: offsets
// of control records that carry no data. Once the data record before them is
// durable, the commit may pass them, or lag would never be 0 on a transactional
// topic.
//
//	offsets   7 data   8 data   9 control  10 control   11 data
//	passes                      after 8, up to 11
type Passes struct {
	list []pass
}

type pass struct{ after, upTo int64 }

// Add says that everything between the data record at offset after and the
// offset upTo (exclusive) is without data. Offsets rise from call to call.
func (p *Passes) Add(after, upTo int64) {
	if n := len(p.list); n > 0 && p.list[n-1].after == after {
		p.list[n-1].upTo = upTo
		return
	}
	p.list = append(p.list, pass{after, upTo})
}

// Through gives the position that a commit may name once everything up to the
// offset durable is in the stream (durable + 1, or behind the control records
// that follow it), and forgets what is used up.
func (p *Passes) Through(durable int64) int64 {
	position := durable + 1
	for len(p.list) > 0 && p.list[0].after <= durable {
		position = max(position, p.list[0].upTo)
		p.list = p.list[1:]
	}
	return position
}

// Clear forgets everything.
func (p *Passes) Clear() { p.list = nil }

package handoff

import (
	"errors"
	"fmt"

	"kafka-s2-bridge/mapping"
)

// fetched takes what Kafka served, in order: data is encoded at once, so that
// the fetch can go, and control records move the position behind the data
// before them.
func (m *Machine) fetched(ev Fetched) {
	if len(ev.Records) == 0 || ev.Cut != m.cut || m.from < 0 || m.refused != nil || m.phase == draining || m.phase == held {
		return
	}
	left := 0
	for i := range ev.Records {
		left += payload(&ev.Records[i])
	}
	for i := range ev.Records {
		r := &ev.Records[i]
		if r.Offset <= m.taken {
			m.rewound(r.Offset, fmt.Sprintf("Kafka served offset %d again after %d", r.Offset, m.taken))
			return
		}
		left -= payload(r)
		if m.phase == flowing && r.Offset <= m.pos.durable {
			// Still on its way when the position was read: it is in the
			// stream, unless Kafka's history is another one by now.
			if e := m.pos.exact(); e >= 0 && r.LeaderEpoch > e && !m.has(RewriteUnseen) {
				m.rewound(r.Offset, fmt.Sprintf("Kafka serves offset %d with leader epoch %d, the stream holds offset %d with epoch %d", r.Offset, r.LeaderEpoch, m.pos.durable, m.pos.epoch))
				return
			}
			m.taken, m.lastData = r.Offset, r.Offset
			continue
		}
		if r.Control {
			m.taken = r.Offset
			m.passes.Add(m.lastData, r.Offset+1)
			m.epoch = max(m.epoch, r.LeaderEpoch)
			continue
		}
		queue, err := m.cfg.Packer.Pack(m.queue, r, left)
		if err == nil {
			m.queue, m.taken, m.lastData = queue, r.Offset, r.Offset
		} else if !m.refuse(r, err) {
			break
		}
	}
	switch m.phase {
	case idle:
		if len(m.queue) > 0 || m.refused != nil || m.taken >= m.marked.Offset {
			m.acquire(First)
		}
	case flowing:
		m.pump()
		m.settled()
	}
}

func payload(r *mapping.Record) int { return len(r.Key) + len(r.Value) }

// rewound: Kafka went back. What was fetched since is not trusted; the one
// recovery path runs Kafka's check.
func (m *Machine) rewound(offset int64, why string) {
	m.kafkaTrouble(Trouble{Cut: m.cut, Kind: DataLoss, Offset: offset, Detail: why})
}

// kafkaTrouble: Kafka will not go on at our position. S2 says which one that
// is, and the check before the first append what is to be thought of it.
func (m *Machine) kafkaTrouble(ev Trouble) {
	if m.phase == draining || m.phase == held || ev.Cut != m.cut {
		return
	}
	if ev.Kind == TopicRecreated {
		detail := ev.Detail
		if m.pos.durable >= 0 {
			detail += fmt.Sprintf("; the stream is complete up to offset %d of the old one", m.pos.durable)
		}
		m.stop(Recreated, detail)
		return
	}
	m.trouble = errors.New(ev.Detail)
	m.do(Pause{})
	m.suspected(ev.Offset)
	m.witnessed = m.witnessed || ev.Offset >= 0 && m.from >= 0 && m.taken >= m.from
	switch {
	case m.phase == idle && ev.Kind == OutOfRange && m.taken+1 < m.marked.Offset:
		m.from = -1
		m.askRange()
	case m.phase == flowing || m.phase == idle:
		m.repair()
	case m.phase == acquiring:
		m.dropAll() // the acquisition that is under way asks for Kafka's range before its end, and seeks
		m.from, m.trusted = -1, unknown
	}
}

// repair acquires anew, to learn where reading goes on.
func (m *Machine) repair() {
	if m.cut > 0 && m.taken < m.from { // nothing came since the last Seek
		m.fruitless++
	} else {
		m.fruitless = 0
	}
	m.dropSession(false)
	m.dropAll()
	m.from, m.phase = -1, acquiring
	if m.fruitless < 2 {
		m.acquire(KafkaPosition)
		return
	}
	// Kafka's answers contradict each other. Each round costs a fence and a
	// marker in the stream, so rounds become rare.
	m.wait(m.pause(m.fruitless), func() { m.acquire(KafkaPosition) })
}

// dropAll forgets what was fetched and is not in flight.
func (m *Machine) dropAll() {
	m.retired = append(m.retired, m.queue...)
	m.queue, m.refused, m.letter, m.posting = nil, nil, nil, false
	m.passes.Clear()
}

// recycle frees the memory of what the step before forgot. Not earlier: until
// its Abort was carried out, a session may still have been reading the batches
// that it was given, and another partition would have put its own records there.
func (m *Machine) recycle() {
	for _, b := range m.retired {
		b.Release()
	}
	m.retired = nil
}

// dropThrough forgets what is in the stream already: by record, because another
// owner may have cut its batches elsewhere.
func (m *Machine) dropThrough(offset int64) {
	kept := m.queue[:0]
	for _, b := range m.queue {
		b.DropThrough(offset)
		g := b.Gap()
		switch {
		case b.Count() == 0:
			m.retired = append(m.retired, b)
		case g != nil && g.From <= offset:
			m.retired = append(m.retired, b)
			kept = append(kept, mapping.GapMarker(m.gap(g.Reason, offset+1, g.To)))
		default:
			kept = append(kept, b)
		}
	}
	clear(m.queue[len(kept):])
	m.queue = kept
}

// epochThrough is the highest leader epoch among the records that we hold at or
// below offset; -1: none.
func (m *Machine) epochThrough(offset int64) int32 {
	epoch := int32(-1)
	for _, b := range m.queue {
		epoch = max(epoch, b.EpochThrough(offset))
	}
	return epoch
}

package sim

import (
	"encoding/binary"
	"time"
)

// A script is a world in bytes, for a fuzzer that learns which bytes lead where:
//
//	 8 bytes  the seed of everything that the rest does not say
//	 4 bytes  partitions, processes, records, horizon
//	10 bytes  for each fault: kind, instant (2), duration (2), partition, percent,
//	          process, point, how often the point is passed first
//
// Every byte string is a script: what is missing is zero, what is too large wraps
// around.
type script []byte

const (
	scriptHead   = 12
	scriptFault  = 10
	scriptFaults = 30 // at most
)

func (s *script) take(n int) []byte {
	b := make([]byte, n)
	*s = (*s)[copy(b, *s):]
	return b
}

// read gives the world of a script.
func (s script) read() (seed uint64, shape shape, plan []*fault) {
	seed = binary.BigEndian.Uint64(s.take(8))
	head := s.take(4)
	shape.partitions, shape.processes = 1+int(head[0]%3), 1+int(head[1]%3)
	shape.records, shape.horizon = 10+int(head[2]%71), 5*time.Second+time.Duration(head[3])*100*time.Millisecond
	for len(s) > 0 && len(plan) < scriptFaults {
		b := s.take(scriptFault)
		f := &fault{index: len(plan), dice: newDice(seed, 100+uint64(len(plan)))}
		if f.kind = kind(b[0] % byte(kindCount)); f.kind == weatherKinds {
			f.kind = crash
		}
		f.at = min(time.Duration(binary.BigEndian.Uint16(b[1:]))*time.Millisecond, shape.horizon)
		f.lasts = time.Duration(binary.BigEndian.Uint16(b[3:])) * time.Millisecond
		f.part, f.percent, f.slot = int(b[5])%shape.partitions, int(b[6])%101, int(b[7])%shape.processes
		f.limit(b[8], b[9])
		plan = append(plan, f)
	}
	return seed, shape, plan
}

// limit keeps a fault within what is one.
func (f *fault) limit(point, ordinal byte) {
	switch f.kind {
	case epochUnknown, staleTail:
		f.lasts = min(f.lasts, 1500*time.Millisecond)
	case rivalWar:
		f.lasts = 20*time.Second + f.lasts
	case pause, pauseAt, twin:
		f.lasts = min(f.lasts, 25*time.Second) + 10*time.Millisecond
	default:
		f.lasts = min(f.lasts, 10*time.Second)
	}
	switch f.kind {
	case crashAt, staticCrashAt, pauseAt, truncateAt, expireAt, rollBackAt:
		f.point, f.ordinal = points[int(point)%len(points)], 1+int(ordinal%5)
	}
}

// write makes a script of a world's plan.
func write(seed uint64, shape shape, plan []*fault) script {
	s := binary.BigEndian.AppendUint64(nil, seed)
	s = append(s, byte(shape.partitions-1), byte(shape.processes-1), byte(shape.records-10), byte((shape.horizon-5*time.Second)/(100*time.Millisecond)))
	for _, f := range plan {
		s = append(s, byte(f.kind))
		s = binary.BigEndian.AppendUint16(s, uint16(min(f.at/time.Millisecond, 1<<16-1)))
		s = binary.BigEndian.AppendUint16(s, uint16(min(f.lasts/time.Millisecond, 1<<16-1)))
		point := 0
		for i, p := range points {
			if p == f.point {
				point = i
			}
		}
		s = append(s, byte(max(f.part, 0)), byte(f.percent), byte(f.slot), byte(point), byte(max(f.ordinal-1, 0)))
	}
	return s
}

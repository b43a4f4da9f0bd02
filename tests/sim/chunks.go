package sim

import (
	"bytes"

	"kafka-s2-bridge/mapping"
)

// pieces are a record of which some chunks are in the stream.
type pieces struct {
	x     *entry
	token string
	epoch int32
	chunk mapping.Chunk // that came last
	got   int           // bytes of the value
}

// torn: something else follows a group that is not complete. Only a fence may
// stand between.
func (s *stream) torn(o *owner, token string) {
	if g := s.line.group; g != nil {
		s.w.hit("chunks-torn")
		if g.token == token {
			s.w.violate("%s: %s left the chunks of offset %d behind without a fence", s.name, o.name, g.x.rec.Offset)
		}
	}
	s.line.group = nil
}

// chunk judges one behind the first.
func (s *stream) chunk(o *owner, token string, rec mapping.Stored, pos mapping.Position) (whole bool) {
	g := s.line.group
	if g == nil || g.token != token || g.x.rec.Offset != pos.Offset || g.epoch != pos.LeaderEpoch {
		s.w.violate("%s: %s wrote chunk %d of offset %d, which continues nothing", s.name, o.name, pos.Chunk.Index, pos.Offset)
		return false
	}
	want := g.chunk
	want.Index++
	value := g.x.rec.Value
	if *pos.Chunk != want || len(rec.Headers) != 1 || g.got+len(rec.Body) > len(value) || !bytes.Equal(rec.Body, value[g.got:g.got+len(rec.Body)]) {
		s.w.violate("%s: chunk %d of offset %d is not as it should be", s.name, pos.Chunk.Index, pos.Offset)
		return false
	}
	g = &pieces{x: g.x, token: g.token, epoch: g.epoch, chunk: want, got: g.got + len(rec.Body)} // an earlier state keeps its own
	s.line.group = g
	if want.Index < want.Count-1 {
		return false
	}
	if g.got != len(value) || want.Total != uint64(len(value)) {
		s.w.violate("%s: the chunks of offset %d make %d bytes of %d", s.name, pos.Offset, g.got, len(value))
	}
	s.w.hit("chunks-complete")
	s.line.group = nil
	s.complete(g.x, rec.Seq)
	return true
}

package oracle

import (
	"fmt"
	"hash"
	"hash/crc32"
)

// chunkGroup is a record of which some chunks were read.
type chunkGroup struct {
	first  Item // the chunk with index 0
	next   uint64
	value  []byte
	crc    hash.Hash32
	fenced bool // a fence came since the last chunk: the writer may only begin anew
}

// data takes a data record: whole, or a chunk.
func (c *check) data(seq uint64, it *Item) {
	if !it.Chunked {
		c.torn(fmt.Sprintf("by a record at %d", seq), false)
		c.complete(seq, &it.Record)
		return
	}
	g := c.group
	if it.Index == 0 {
		c.torn(fmt.Sprintf("by another at %d", seq), false)
		g = &chunkGroup{first: *it, crc: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
		c.group = g
	} else if why := g.refuses(it); why != "" {
		c.violation(&c.Broken, "chunk %d of offset %d at %d %s", it.Index, it.Record.Offset, seq, why)
		c.group = nil
		return
	}
	g.next++
	g.value = append(g.value, it.Record.Value...)
	_, _ = g.crc.Write(it.Record.Value)
	if g.next < it.Count {
		return
	}
	c.group = nil
	if uint64(len(g.value)) != it.Total || g.crc.Sum32() != it.CRC {
		c.violation(&c.Broken, "chunks of offset %d end at %d with %d bytes and CRC %08x; they announce %d and %08x",
			it.Record.Offset, seq, len(g.value), g.crc.Sum32(), it.Total, it.CRC)
	}
	r := g.first.Record
	r.Value = g.value
	c.Chunked++
	if whole := metered(Stored{Headers: headers(r, position(r, nil)), Body: r.Value}); whole <= limit {
		c.violation(&c.Broken, "offset %d at %d came in chunks, but S2 would take it whole (%d metered bytes)", r.Offset, seq, whole)
	}
	c.complete(seq, &r)
}

// refuses says why a later chunk does not continue the group; g may be nil.
func (g *chunkGroup) refuses(it *Item) string {
	if g == nil {
		return "follows nothing"
	}
	a, b := &g.first, it
	switch {
	case g.fenced:
		return "goes on behind a fence"
	case a.Record.Offset != b.Record.Offset:
		return fmt.Sprintf("follows chunks of offset %d", a.Record.Offset)
	case g.next != b.Index:
		return fmt.Sprintf("follows chunk %d", g.next-1)
	case a.Count != b.Count || a.Total != b.Total || a.CRC != b.CRC || a.Record.Epoch != b.Record.Epoch ||
		a.Record.Timestamp != b.Record.Timestamp || a.Record.Type != b.Record.Type:
		return "has another position than its group"
	}
	return ""
}

// torn ends an incomplete group. That is right only after a fence, or where the stream ends.
func (c *check) torn(by string, end bool) {
	g := c.group
	if g == nil {
		return
	}
	c.group = nil
	if !g.fenced && !end {
		c.violation(&c.Broken, "chunks of offset %d broken off %s without a fence", g.first.Record.Offset, by)
		return
	}
	c.Torn++
}

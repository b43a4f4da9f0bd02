package offsets

import (
	"encoding/json"
	"strings"
)

// MetaLimit is the size in bytes that Kafka allows for the metadata of a
// committed offset (offset.metadata.max.bytes).
const MetaLimit = 4096

// Meta is what a commit of ours says beside the offset, so that the next owner
// can tell what the commit counts.
type Meta struct {
	Next  uint64 // S2 sequence number behind the last data record or marker of ours that the commit counts
	Last  int64  // Kafka offset up to which the stream was complete then
	Parts int32  // the topic's partition count then
	ID    string // the eight characters of the identity that wrote the stream
}

// Commit is a committed offset of the group that carries metadata of ours.
type Commit struct {
	Offset int64 // the next offset to read
	Epoch  int32 // leader epoch that was committed with it, -1 if none
	Meta
}

// Mark is a commit to be made: the group's offset and what it counts.
type Mark struct {
	Offset int64
	Epoch  int32
	Meta
}

type metaJSON struct {
	V     *int    `json:"v"`
	Next  *uint64 `json:"next"`
	Last  *int64  `json:"last"`
	Parts *int32  `json:"parts"`
	ID    *string `json:"id"`
}

// Encode gives the metadata string of an OffsetCommit.
func (m Meta) Encode() string {
	v := 1
	text, err := json.Marshal(metaJSON{&v, &m.Next, &m.Last, &m.Parts, &m.ID})
	if err != nil {
		panic("offsets: encode commit metadata: " + err.Error()) // numbers and a string always encode
	}
	return string(text)
}

// ParseMeta reads the metadata of a committed offset. False: it is not ours, or
// of a version that this program does not know; such a commit counts for
// nothing and is never an error.
func ParseMeta(text string) (Meta, bool) {
	if len(text) > MetaLimit {
		return Meta{}, false
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	var raw metaJSON
	if decoder.Decode(&raw) != nil || decoder.InputOffset() != int64(len(text)) {
		return Meta{}, false
	}
	if raw.V == nil || *raw.V != 1 || raw.Next == nil || raw.Last == nil || raw.Parts == nil || raw.ID == nil {
		return Meta{}, false
	}
	if len(*raw.ID) != 8 || *raw.Last < -1 || *raw.Parts < 0 {
		return Meta{}, false
	}
	return Meta{Next: *raw.Next, Last: *raw.Last, Parts: *raw.Parts, ID: *raw.ID}, true
}

package oracle

// Stored is one record of an S2 stream as a reader gets it.
type Stored struct {
	Seq, Timestamp uint64
	Headers        []StoredHeader
	Body           []byte
}

// StoredHeader is a header of a stored record.
type StoredHeader struct{ Name, Value []byte }

// Kind of a stored record.
type Kind uint8

// The kinds that docs/format.md knows; everything else is Foreign.
const (
	Foreign Kind = iota
	Data
	Open
	Gap
	OtherMarker
	Fence
	Trim
)

// Item is a stored record, understood.
type Item struct {
	Kind   Kind
	Why    string // Foreign: what is wrong with it
	Record Record // Data: complete unless Chunked, then with this chunk's part of the value
	Marker string // markers: the kind as written
	Open   OpenMarker
	Gap    GapMarker
	Token  string // Fence

	Chunked             bool
	Index, Count, Total uint64 // of the chunk group
	CRC                 uint32 // Castagnoli, of the whole value
}

// OpenMarker begins a tenure.
type OpenMarker struct {
	V         int    `json:"v"`
	Cluster   string `json:"cluster"`
	Topic     string `json:"topic"`
	TopicID   string `json:"topic_id"`
	Partition int32  `json:"partition"`
	Group     string `json:"group"`
	Bridge    string `json:"bridge"`
	Resume    int64  `json:"resume"`
	Epoch     int32  `json:"epoch"`
}

// GapMarker names Kafka offsets that are not in the stream; To is exclusive, At in ms.
type GapMarker struct {
	V      int    `json:"v"`
	From   int64  `json:"from"`
	To     int64  `json:"to"`
	Reason string `json:"reason"`
	At     int64  `json:"at"`
}

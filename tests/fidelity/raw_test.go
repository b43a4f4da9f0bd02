package fidelity

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// batch is a Kafka record batch made by hand: what no client of good will produces.
type batch struct {
	Records   []rawRecord
	Codec     int8   // 0 to 4
	LogAppend bool   // the timestamp type bit
	Claims    int32  // records that it claims to have; 0: those that it has
	Payload   []byte // in the place of the (compressed) records; nil: these
}

// rawRecord has a timestamp that need not fit into a time.Time.
type rawRecord struct {
	Timestamp  int64
	Key, Value []byte
	Headers    []kgo.RecordHeader
}

// encode is the batch as a producer sends it: base offset 0.
func (b batch) encode(w *world) []byte {
	first, highest := b.Records[0].Timestamp, int64(math.MinInt64)
	var plain []byte
	for i, r := range b.Records {
		highest = max(highest, r.Timestamp)
		plain = append(plain, r.encode(r.Timestamp-first, int32(i))...)
	}
	if b.Payload != nil {
		plain = b.Payload
	} else {
		plain = compress(w, plain, b.Codec)
	}
	n := int32(len(b.Records))
	if b.Claims != 0 {
		n = b.Claims
	}
	raw := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(b.Codec), LastOffsetDelta: n - 1, FirstTimestamp: first, MaxTimestamp: highest,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: n, Records: plain,
	}
	out := raw.AppendTo(nil)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	return seal(out)
}

// Where a batch's parts are.
const (
	atChecksum   = 17
	atAttributes = 22 // the lower byte
	atHighest    = 35 // the highest timestamp, or the broker's
	atRecords    = 61
)

// seal writes the checksum.
func seal(encoded []byte) []byte {
	binary.BigEndian.PutUint32(encoded[atChecksum:], crc32.Checksum(encoded[atChecksum+4:], crc32.MakeTable(crc32.Castagnoli)))
	return encoded
}

func (r rawRecord) encode(delta int64, offset int32) []byte {
	body := []byte{0}
	body = kbin.AppendVarlong(body, delta)
	body = kbin.AppendVarint(body, offset)
	body = kbin.AppendVarintBytes(body, r.Key)
	body = kbin.AppendVarintBytes(body, r.Value)
	body = kbin.AppendVarint(body, int32(len(r.Headers)))
	for _, h := range r.Headers {
		body = kbin.AppendVarintString(body, h.Key)
		body = kbin.AppendVarintBytes(body, h.Value)
	}
	return append(kbin.AppendVarint(nil, int32(len(body))), body...)
}

// codecs by their number in a batch.
var codecs = []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}

// codecNames by their number.
var codecNames = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// compress is done by the client's own compressor.
func compress(w *world, plain []byte, codec int8) []byte {
	w.t.Helper()
	if codec == 0 {
		return plain
	}
	c, err := kgo.DefaultCompressor(codecs[codec])
	if err != nil {
		w.t.Fatal(err)
	}
	out, used := c.Compress(new(bytes.Buffer), plain)
	if int8(used) != codec {
		w.t.Fatalf("codec %d was used instead of %d", used, codec)
	}
	return out
}

// sendRaw appends a batch as it is to a partition and returns the offset of its first record.
func (w *world) sendRaw(topic string, partition int, encoded []byte) int64 {
	w.t.Helper()
	ctx, cancel := w.context()
	defer cancel()
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = int32(partition), encoded
	to := kmsg.NewProduceRequestTopic()
	to.Topic, to.TopicID, to.Partitions = topic, w.kafka.TopicInfo(topic).TopicID, []kmsg.ProduceRequestTopicPartition{part}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = -1, 10_000, []kmsg.ProduceRequestTopic{to}
	resp, err := w.client.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		w.t.Fatal(err)
	}
	answer := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		w.t.Fatal(fmt.Errorf("produce a batch made by hand: %w", err))
	}
	return answer.BaseOffset
}

package mapping

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// Identity names the one Kafka partition whose records a stream holds. The
// zero TopicID means that the broker has no topic ids (before Kafka 2.8).
type Identity struct {
	Cluster   string
	Topic     string
	TopicID   [16]byte
	Partition int32
}

// Hash returns the 8 characters that stand for the identity in fencing tokens
// and in commit metadata.
func (id Identity) Hash() string {
	b := make([]byte, 0, 128)
	b = append(b, id.Cluster...)
	b = append(b, 0)
	b = append(b, id.Topic...)
	b = append(b, 0)
	b = append(b, id.TopicID[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(id.Partition))
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// TopicUUID returns the topic id as Kafka prints it: 22 characters of
// base64url without padding.
func (id Identity) TopicUUID() string {
	return base64.RawURLEncoding.EncodeToString(id.TopicID[:])
}

// Anonymous returns the identity with the zero topic id: what a bridge wrote
// while the broker told it none.
func (id Identity) Anonymous() Identity {
	id.TopicID = [16]byte{}
	return id
}

// isTopicUUID tells whether s is a topic id as TopicUUID prints it. Strict
// decoding refuses a last character with bits that no 16 bytes produce.
func isTopicUUID(s string) bool {
	if len(s) != 22 {
		return false
	}
	var id [16]byte
	n, err := base64.RawURLEncoding.Strict().Decode(id[:], []byte(s))
	return err == nil && n == len(id)
}

package mapping

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"math"
	"strings"
	"testing"
)

var testIdentity = Identity{Cluster: "kafka-1", Topic: "orders", TopicID: testTopicID, Partition: 258}

func TestIdentity(t *testing.T) {
	in := "kafka-1\x00orders\x00" + string(testTopicID[:]) + "\x00\x00\x01\x02"
	sum := sha256.Sum256([]byte(in))
	if got, want := testIdentity.Hash(), base64.URLEncoding.EncodeToString(sum[:6]); got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
	if got := testIdentity.TopicUUID(); got != testOpen.TopicID {
		t.Errorf("topic id %s", got)
	}
	anonymous := testIdentity.Anonymous()
	if anonymous.TopicUUID() != "AAAAAAAAAAAAAAAAAAAAAA" || anonymous.Topic != "orders" || testIdentity.TopicID != testTopicID {
		t.Errorf("anonymous is %+v", anonymous)
	}
	others := []Identity{anonymous, testIdentity, testIdentity, testIdentity, testIdentity}
	others[1].Partition++
	others[2].Topic += "s"
	others[3].Cluster += "0"
	others[4].Cluster, others[4].Topic = "kafka", "-1orders"
	for _, id := range others {
		if id.Hash() == testIdentity.Hash() {
			t.Errorf("%+v has the same hash", id)
		}
	}
}

func TestNewToken(t *testing.T) {
	random := []byte{0, 1, 9, 10, 35, 36, 255, 71, 72, 100, 7, 8, 9, 10, 11, 12, 13, 14}
	hash := testIdentity.Hash()
	tests := []struct {
		generation int64
		random     []byte
		want       string
	}{
		{0, random[:10], "0.019az03z0s"},
		{42, random, "16.019az03z0s789abc"},
		{-1, random[:10], "0.019az03z0s"},
		{math.MaxInt32, random, "zik0zj.019az03z0s789abc"},
		{generationMax, random, "zzzzzzzzzzzz.019az03z0s"},
		{math.MaxInt64, random, "zzzzzzzzzzzz.019az03z0s"},
	}
	for _, tt := range tests {
		got := NewToken(testIdentity, tt.generation, tt.random)
		if want := "kb1." + hash + "." + tt.want; got != want {
			t.Errorf("generation %d: %s, want %s", tt.generation, got, want)
		}
		token, ok := ParseToken(got)
		if !ok || len(got) > 36 || token.ID != hash || token.Generation != min(max(tt.generation, 0), generationMax) ||
			!strings.HasSuffix(got, "."+token.Random) {
			t.Errorf("%s is read as %+v, %v", got, token, ok)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("9 random bytes were enough")
		}
	}()
	NewToken(testIdentity, 1, bytes.Repeat([]byte{1}, 9))
}

var notTokens = []string{
	"", "kb1.", "nope", "fence", "kb1.abcdefgh", "kb1.abcdefgh.", "kb1.abcdefgh.1", "kb1.abcdefgh.1.",
	"kb1.abcdefgh.1.123456789",              // 9 random characters
	"kb1.abcdefgh.1.0123456789abcdefghijkl", // 37 bytes
	"kb2.abcdefgh.1.0123456789", "KB1.abcdefgh.1.0123456789", " kb1.abcdefgh.1.0123456789",
	"kb1.abcdefg.1.0123456789", "kb1.abcdefghi.1.0123456789", "kb1.abcdefg+.1.0123456789", "kb1.abcdefg=.1.0123456789",
	"kb1.abcdefgh.01.0123456789", "kb1.abcdefgh.-1.0123456789", "kb1.abcdefgh.+1.0123456789", "kb1.abcdefgh..0123456789",
	"kb1.abcdefgh.A.0123456789", "kb1.abcdefgh.1.012345678A", "kb1.abcdefgh.1.01234.56789", "kb1.abcdefgh.1.0123456789 ",
	"kb1.abcdefgh.1.012345678\xff",
}

func TestParseTokenRefuses(t *testing.T) {
	for _, s := range notTokens {
		if token, ok := ParseToken(s); ok || token != (Token{}) {
			t.Errorf("%q is read as %+v", s, token)
		}
	}
	if _, ok := ParseToken("kb1.ab-_EF09.1.0123456789"); !ok {
		t.Error("a token was refused")
	}
}

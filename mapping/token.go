package mapping

import (
	"strconv"
	"strings"
)

const (
	tokenPrefix   = "kb1."
	tokenMax      = 36 // S2's limit for a fencing token, bytes
	hashLen       = 8
	randomMin     = 10
	generationMax = 4738381338321616895 // 36^12 - 1: with 10 random characters, just fits
)

// Token is a fencing token of a bridge, taken apart. The token on a stream
// says for whom it was written even when nothing else is left there.
type Token struct {
	ID         string // Identity.Hash of the owner's partition
	Generation int64  // of the consumer group
	Random     string // 0-9a-z, at least 10 characters
}

// NewToken makes a fencing token of at most 36 bytes. Random must be at least
// 10 bytes of entropy; a byte gives one character, and up to 16 are used. A
// generation below 0 (no group) counts as 0; Kafka's are 32 bits wide, and
// anything that leaves no room for 10 random characters is cut to the largest
// that does.
func NewToken(id Identity, generation int64, random []byte) string {
	if len(random) < randomMin {
		panic("mapping: a fencing token needs 10 bytes of entropy, got " + strconv.Itoa(len(random)))
	}
	generation = min(max(generation, 0), generationMax)
	b := make([]byte, 0, tokenMax)
	b = append(b, tokenPrefix...)
	b = append(b, id.Hash()...)
	b = append(b, '.')
	b = strconv.AppendInt(b, generation, 36)
	b = append(b, '.')
	for _, r := range random[:min(len(random), 16, tokenMax-len(b))] {
		// 256 is no multiple of 36, so some characters are likelier by a
		// seventh. Ten of them still carry 51 bits.
		b = append(b, "0123456789abcdefghijklmnopqrstuvwxyz"[r%36])
	}
	return string(b)
}

// ParseToken takes a token apart. It says false for what no bridge wrote.
func ParseToken(s string) (Token, bool) {
	rest, ours := strings.CutPrefix(s, tokenPrefix)
	if !ours || len(s) > tokenMax || len(rest) <= hashLen || rest[hashLen] != '.' {
		return Token{}, false
	}
	hash := rest[:hashLen]
	for i := range len(hash) {
		if !isBase64URL(hash[i]) {
			return Token{}, false
		}
	}
	digits, random, found := strings.Cut(rest[hashLen+1:], ".")
	if !found || !isBase36(digits) || len(random) < randomMin || !isBase36(random) {
		return Token{}, false
	}
	generation, err := strconv.ParseInt(digits, 36, 64)
	if err != nil || strconv.FormatInt(generation, 36) != digits { // no leading zeros
		return Token{}, false
	}
	return Token{ID: hash, Generation: generation, Random: random}, true
}

func isBase64URL(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

func isBase36(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}

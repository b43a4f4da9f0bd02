package s2mem

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

type recordJSON struct {
	Seq       uint64      `json:"seq_num"`
	Timestamp uint64      `json:"timestamp"`
	Headers   [][2]string `json:"headers,omitempty"`
	Body      string      `json:"body,omitempty"`
}

type batchJSON struct {
	Records []recordJSON `json:"records"`
	Tail    *Position    `json:"tail,omitempty"`
}

// jsonBatch is a page in JSON. Raw text replaces what is not UTF-8.
func jsonBatch(records []Record, tail *Position, raw bool) batchJSON {
	text := base64.StdEncoding.EncodeToString
	if raw {
		text = lossy
	}
	out := batchJSON{Records: make([]recordJSON, 0, len(records)), Tail: tail}
	for _, r := range records {
		j := recordJSON{Seq: r.Seq, Timestamp: r.Timestamp, Body: text(r.Body)}
		for _, h := range r.Headers {
			j.Headers = append(j.Headers, [2]string{text(h.Name), text(h.Value)})
		}
		out.Records = append(out.Records, j)
	}
	return out
}

// lossy puts one U+FFFD for each sequence that could have become a character,
// as Rust and browsers do; Go would put one for each byte.
func lossy(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = brokenLen(b)
		}
		out.WriteRune(r)
		b = b[n:]
	}
	return out.String()
}

// brokenLen is the length of the broken sequence that b begins with: the
// longest prefix of some character, at least one byte.
func brokenLen(b []byte) int {
	need, low, high := 0, byte(0x80), byte(0xBF)
	switch c := b[0]; {
	case c >= 0xC2 && c <= 0xDF:
		need = 1
	case c >= 0xE0 && c <= 0xEF:
		need = 2
		if c == 0xE0 {
			low = 0xA0
		} else if c == 0xED {
			high = 0x9F
		}
	case c >= 0xF0 && c <= 0xF4:
		need = 3
		if c == 0xF0 {
			low = 0x90
		} else if c == 0xF4 {
			high = 0x8F
		}
	}
	n := 1
	for n <= need && n < len(b) && b[n] >= low && b[n] <= high {
		n++
		low, high = 0x80, 0xBF
	}
	return n
}

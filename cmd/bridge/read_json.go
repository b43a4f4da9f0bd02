package main

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"kafka-s2-bridge/mapping"
)

// label is what a stream says of its origin.
type label struct {
	known     bool
	topic     string
	partition int32
}

// printer appends a record to dst as it is printed.
type printer func(dst []byte, l label, r *mapping.Record) []byte

// appendJSON writes a record as one line.
func appendJSON(dst []byte, l label, r *mapping.Record) []byte {
	dst = append(dst, '{')
	if l.known {
		dst = append(dst, `"topic":`...)
		dst = appendBytes(dst, []byte(l.topic))
		dst = append(dst, `,"partition":`...)
		dst = strconv.AppendInt(dst, int64(l.partition), 10)
		dst = append(dst, ',')
	}
	dst = append(dst, `"offset":`...)
	dst = strconv.AppendInt(dst, r.Offset, 10)
	dst = append(dst, `,"leader_epoch":`...)
	dst = strconv.AppendInt(dst, int64(r.LeaderEpoch), 10)
	dst = append(dst, `,"timestamp":`...)
	dst = strconv.AppendInt(dst, r.Timestamp, 10)
	dst = append(dst, `,"timestamp_type":"`...)
	switch r.TimestampType {
	case mapping.CreateTime:
		dst = append(dst, "CreateTime"...)
	case mapping.LogAppendTime:
		dst = append(dst, "LogAppendTime"...)
	default:
		dst = append(dst, "none"...)
	}
	dst = append(dst, `","key":`...)
	dst = appendBytes(dst, r.Key)
	dst = append(dst, `,"value":`...)
	dst = appendBytes(dst, r.Value)
	dst = append(dst, `,"headers":[`...)
	for i, h := range r.Headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '[')
		dst = appendBytes(dst, []byte(h.Key)) // never null
		dst = append(dst, ',')
		dst = appendBytes(dst, h.Value)
		dst = append(dst, ']')
	}
	return append(dst, "]}\n"...)
}

// appendBytes writes bytes as JSON: null, a string if they are UTF-8, else an
// object that no string can be taken for.
func appendBytes(dst, b []byte) []byte {
	switch {
	case b == nil:
		return append(dst, "null"...)
	case !utf8.Valid(b):
		dst = append(dst, `{"base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, b)
		return append(dst, `"}`...)
	}
	dst = append(dst, '"')
	from := 0
	for i, r := range string(b) {
		escape := escapeJSON(r)
		if escape == "" {
			continue
		}
		dst = append(append(dst, b[from:i]...), escape...)
		from = i + utf8.RuneLen(r)
	}
	return append(append(dst, b[from:]...), '"')
}

// escapeJSON is how a character is written that cannot stand for itself: what
// JSON forbids, and what a terminal or a reader of lines would act on.
func escapeJSON(r rune) string {
	const hex = "0123456789abcdef"
	switch {
	case r == '"':
		return `\"`
	case r == '\\':
		return `\\`
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r < ' ', r >= 0x7f && r <= 0x9f:
		return `\u00` + hex[r>>4:r>>4+1] + hex[r&15:r&15+1]
	case r == '\u2028':
		return `\u2028`
	case r == '\u2029':
		return `\u2029`
	}
	return ""
}

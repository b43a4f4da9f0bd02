package main

import (
	"errors"
	"fmt"
	"strconv"

	"kafka-s2-bridge/mapping"
)

// parseFormat makes a printer of a format string like kcat's.
func parseFormat(format string) (printer, error) {
	var pieces []printer
	var text []byte
	end := func() {
		if len(text) > 0 {
			fixed := text
			pieces = append(pieces, func(dst []byte, _ label, _ *mapping.Record) []byte { return append(dst, fixed...) })
			text = nil
		}
	}
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' && c != '\\' {
			text = append(text, c)
			continue
		}
		if i++; i == len(format) {
			return nil, fmt.Errorf("-f ends with a single %c: write it twice to mean itself", c)
		}
		switch {
		case format[i] == c:
			text = append(text, c)
		case c == '%':
			piece, ok := directives[format[i]]
			if !ok {
				return nil, fmt.Errorf("-f has %%%s, which means nothing: there are %%t %%p %%o %%T %%k %%s %%K %%S %%h and %%%%", firstRune(format[i:]))
			}
			end()
			pieces = append(pieces, piece)
		case format[i] == 'x':
			if len(format) < i+3 {
				return nil, errHex
			}
			n, err := strconv.ParseUint(format[i+1:i+3], 16, 8)
			if err != nil {
				return nil, errHex
			}
			text = append(text, byte(n))
			i += 2
		default:
			plain, ok := map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', '0': 0}[format[i]]
			if !ok {
				return nil, fmt.Errorf(`-f has \%s, which means nothing: there are \n \r \t \0 \xNN and \\`, firstRune(format[i:]))
			}
			text = append(text, plain)
		}
	}
	end()
	return func(dst []byte, l label, r *mapping.Record) []byte {
		for _, p := range pieces {
			dst = p(dst, l, r)
		}
		return dst
	}, nil
}

var errHex = errors.New(`-f has \x without two hex digits behind it`)

func firstRune(s string) string {
	for _, r := range s {
		return oneLine(string(r))
	}
	return ""
}

// directives are what a percent sign introduces.
var directives = map[byte]printer{
	't': func(dst []byte, l label, _ *mapping.Record) []byte {
		if !l.known {
			return append(dst, '-')
		}
		return append(dst, l.topic...)
	},
	'p': func(dst []byte, l label, _ *mapping.Record) []byte {
		if !l.known {
			return append(dst, '-')
		}
		return strconv.AppendInt(dst, int64(l.partition), 10)
	},
	'o': func(dst []byte, _ label, r *mapping.Record) []byte { return strconv.AppendInt(dst, r.Offset, 10) },
	'T': func(dst []byte, _ label, r *mapping.Record) []byte { return strconv.AppendInt(dst, r.Timestamp, 10) },
	'k': func(dst []byte, _ label, r *mapping.Record) []byte { return appendRaw(dst, r.Key) },
	's': func(dst []byte, _ label, r *mapping.Record) []byte { return appendRaw(dst, r.Value) },
	'K': func(dst []byte, _ label, r *mapping.Record) []byte { return appendLength(dst, r.Key) },
	'S': func(dst []byte, _ label, r *mapping.Record) []byte { return appendLength(dst, r.Value) },
	'h': func(dst []byte, _ label, r *mapping.Record) []byte {
		for i, h := range r.Headers {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(append(dst, h.Key...), '=')
			dst = appendRaw(dst, h.Value)
		}
		return dst
	},
}

func appendRaw(dst, b []byte) []byte {
	if b == nil {
		return append(dst, "NULL"...)
	}
	return append(dst, b...)
}

// appendLength writes -1 for null.
func appendLength(dst, b []byte) []byte {
	if b == nil {
		return append(dst, "-1"...)
	}
	return strconv.AppendInt(dst, int64(len(b)), 10)
}

package main

import (
	"math"
	"strconv"
	"strings"
	"time"

	"kafka-s2-bridge/handoff"
)

// value is one setting's type: how a TOML value gets into its Go variable, and
// how the text of an environment variable becomes a TOML value first.
type value struct {
	set  func(v any) bool      // false: not of this type; the variable is as it was
	read func(text string) any // text that it cannot read stays text, and set refuses it
	text bool                  // it is written as text, so "this is text" would explain nothing
}

func asText(s string) any { return s }

func word[S ~string](dst *S) value {
	return value{text: true, read: asText, set: func(v any) bool {
		s, ok := v.(string)
		if ok {
			*dst = S(s)
		}
		return ok
	}}
}

func flag(dst *bool) value {
	return value{
		set: func(v any) bool {
			b, ok := v.(bool)
			if ok {
				*dst = b
			}
			return ok
		},
		read: func(s string) any {
			switch s {
			case "true":
				return true
			case "false":
				return false
			}
			return s
		},
	}
}

func whole(dst *int) value {
	return value{
		set: func(v any) bool {
			n, ok := v.(int64)
			if ok {
				*dst = int(n)
			}
			return ok
		},
		read: func(s string) any {
			if n, err := strconv.ParseInt(s, 10, 64); err == nil {
				return n
			}
			return s
		},
	}
}

func number(dst *float64) value {
	return value{
		set: func(v any) bool {
			switch n := v.(type) {
			case int64:
				*dst = float64(n)
			case float64:
				*dst = n
			default:
				return false
			}
			return true
		},
		read: func(s string) any {
			if f, err := strconv.ParseFloat(s, 64); err == nil {
				return f
			}
			return s
		},
	}
}

// texts is a list. In the environment its items are separated by commas; `\,`
// is a comma inside of one, as regular expressions need it.
func texts(dst *[]string) value {
	return value{
		set: func(v any) bool {
			items, ok := v.([]any)
			if !ok {
				return false
			}
			list := make([]string, 0, len(items))
			for _, item := range items {
				s, ok := item.(string)
				if !ok {
					return false
				}
				list = append(list, s)
			}
			*dst = list
			return true
		},
		read: func(s string) any {
			items := []any{}
			if strings.TrimSpace(s) == "" {
				return items
			}
			const comma = "\x00" // cannot occur in an environment variable
			for item := range strings.SplitSeq(strings.ReplaceAll(s, `\,`, comma), ",") {
				items = append(items, strings.ReplaceAll(strings.TrimSpace(item), comma, ","))
			}
			return items
		},
	}
}

func span(dst *time.Duration) value {
	return value{text: true, read: asText, set: func(v any) bool {
		s, ok := v.(string)
		if !ok {
			return false
		}
		d, ok := parseSpan(s)
		if ok {
			*dst = d
		}
		return ok
	}}
}

func size(dst *int64) value {
	return value{text: true, read: asText, set: func(v any) bool {
		switch v := v.(type) {
		case int64:
			*dst = v
			return true
		case string:
			n, ok := parseSize(v)
			if ok {
				*dst = n
			}
			return ok
		}
		return false
	}}
}

func retention(dst *Retention) value {
	return value{text: true, read: asText, set: func(v any) bool {
		s, ok := v.(string)
		if !ok {
			return false
		}
		switch s {
		case "topic":
			*dst = Retention{FromTopic: true}
			return true
		case "infinite":
			*dst = Retention{}
			return true
		}
		age, ok := parseSpan(s)
		if !ok || age < time.Second || age%time.Second != 0 {
			return false // S2 counts in whole seconds, and 0 would mean "for ever"
		}
		*dst = Retention{Age: age}
		return true
	}}
}

// beginning also takes a time as TOML writes it, without quotes.
func beginning(dst *handoff.StartPolicy) value {
	return value{text: true, read: asText, set: func(v any) bool {
		var s handoff.StartPolicy
		ok := false
		switch v := v.(type) {
		case string:
			s, ok = parseStart(v)
		case time.Time:
			s, ok = startAt(v)
		}
		if ok {
			*dst = s
		}
		return ok
	}}
}

func parseStart(s string) (handoff.StartPolicy, bool) {
	switch s {
	case "earliest":
		return handoff.StartPolicy{}, true
	case "latest":
		return handoff.StartPolicy{From: handoff.FromLatest}, true
	}
	if digits, ok := strings.CutPrefix(s, "offset:"); ok {
		n, ok := parseCount(digits, 63)
		return handoff.StartPolicy{From: handoff.FromOffset, Offset: n}, ok
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return handoff.StartPolicy{}, false
	}
	return startAt(t)
}

// startAt refuses times before 1970: Kafka would take the negative number for a
// word of its own, such as "the end".
func startAt(t time.Time) (handoff.StartPolicy, bool) {
	return handoff.StartPolicy{From: handoff.FromTime, At: t.UTC()}, t.UnixMilli() >= 0
}

func startOffsets(dst *map[int32]int64) value {
	return value{read: asText, set: func(v any) bool {
		table, ok := v.(map[string]any)
		if !ok {
			return false
		}
		offsets := make(map[int32]int64, len(table))
		for name, found := range table {
			partition, ok := parseCount(name, 31)
			offset, isWhole := found.(int64)
			if !ok || !isWhole || offset < 0 {
				return false
			}
			offsets[int32(partition)] = offset
		}
		*dst = offsets
		return true
	}}
}

// parseCount reads a number of 0 or more in the one way to write it.
func parseCount(digits string, bits int) (int64, bool) {
	n, err := strconv.ParseUint(digits, 10, bits)
	return int64(n), err == nil && strconv.FormatUint(n, 10) == digits
}

// parseSpan reads a duration of 0 or more: Go's units and, in front of them,
// weeks and days of 24 hours ("1w", "7d", "1d12h", "250ms").
func parseSpan(s string) (time.Duration, bool) {
	const day = 24 * time.Hour
	var total time.Duration
	rest := s
	for _, unit := range []struct {
		letter byte
		length time.Duration
	}{{'w', 7 * day}, {'d', day}} {
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		if digits == 0 || digits == len(rest) || rest[digits] != unit.letter {
			continue
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil || n > int64((math.MaxInt64-total)/unit.length) {
			return 0, false
		}
		total += time.Duration(n) * unit.length
		rest = rest[digits+1:]
	}
	if rest == "" {
		return total, s != ""
	}
	if rest[0] == '-' || rest[0] == '+' {
		return 0, false
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > math.MaxInt64-total {
		return 0, false
	}
	return total + d, true
}

// parseSize reads bytes, alone or in KiB, MiB, GiB, TiB. Decimal units (MB) are
// not taken: half of those who write them mean the binary ones.
func parseSize(s string) (int64, bool) {
	shift := 0
	digits := strings.TrimSuffix(s, "B")
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if cut, ok := strings.CutSuffix(s, unit); ok {
			digits, shift = cut, 10*(i+1)
		}
	}
	digits = strings.TrimSuffix(digits, " ")
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > math.MaxInt64>>shift {
		return 0, false
	}
	return int64(n) << shift, true
}

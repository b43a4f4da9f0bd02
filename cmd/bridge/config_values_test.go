package main

import (
	"testing"
	"time"
)

func TestParseSpan(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0s": 0, "0": 0, "5ms": 5 * time.Millisecond, "1m30s": 90 * time.Second, "7d": 7 * day, "2w": 14 * day, "0d": 0,
		"1d12h": day + 12*time.Hour, "1w1d1s": 8*day + time.Second, "106751d": 106751 * day,
	} {
		if got, ok := parseSpan(text); !ok || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "d", "5", "-1s", "1d-1s", "+1s", "1 d", "1d ", "1d1w", "1.5d", "7 days", "106752d", "106751d24h", "99999999999999999999d", "1h1d", "forever",
	} {
		if got, ok := parseSpan(text); ok {
			t.Errorf("%q must not be a duration: %v", text, got)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "17": 17, "17B": 17, "64KiB": 64 << 10, "512MiB": 512 << 20, "512 MiB": 512 << 20, "4GiB": 4 << 30, "1TiB": 1 << 40,
	} {
		if got, ok := parseSize(text); !ok || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "B", "MiB", "-1", "1.5MiB", "512MB", "512M", "512mib", "1KiBB", "1BKiB", "9223372036854775808", "8388608TiB", "1  MiB"} {
		if got, ok := parseSize(text); ok {
			t.Errorf("%q must not be a size: %d", text, got)
		}
	}
}

func TestRetention(t *testing.T) {
	for text, want := range map[string]Retention{
		"topic": {FromTopic: true}, "infinite": {}, "1s": {Age: time.Second}, "7d": {Age: 7 * 24 * time.Hour},
	} {
		var got Retention
		if !retention(&got).set(text) || got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	for _, v := range []any{"", "0", "0s", "1ms", "1500ms", "Topic", int64(7), nil} {
		if retention(new(Retention)).set(v) {
			t.Errorf("%v must not be a retention", v)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"group", "group", 0}, {"grup", "group", 1}, {"gruop", "group", 2}, {"isolaton", "isolation", 1}, {"abc", "xyz", 3}, {"a", "abcdef", 3}} {
		if got := distance(c.a, c.b, 3); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

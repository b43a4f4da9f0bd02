package offsets

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestMetaIsTheFormatsText(t *testing.T) {
	m := Meta{Next: 1<<64 - 1, Last: -1, Parts: 12, ID: "D6HPc9zt"}
	want := `{"v":1,"next":18446744073709551615,"last":-1,"parts":12,"id":"D6HPc9zt"}`
	if got := m.Encode(); got != want {
		t.Errorf("encoded %s, want %s", got, want)
	}
	if got, ok := ParseMeta(want); !ok || got != m {
		t.Errorf("parsed %+v, %t", got, ok)
	}
}

// A commit that is not ours counts for nothing: another consumer's offset taken
// for ours would skip every record below it.
func TestMetaOfOthers(t *testing.T) {
	for name, text := range map[string]string{
		"empty":            ``,
		"kafka's default":  `{}`,
		"text":             `committed by mirror-maker`,
		"another version":  `{"v":2,"next":7,"last":4,"parts":12,"id":"D6HPc9zt"}`,
		"version 0":        `{"v":0,"next":7,"last":4,"parts":12,"id":"D6HPc9zt"}`,
		"no version":       `{"next":7,"last":4,"parts":12,"id":"D6HPc9zt"}`,
		"no next":          `{"v":1,"last":4,"parts":12,"id":"D6HPc9zt"}`,
		"no last":          `{"v":1,"next":7,"parts":12,"id":"D6HPc9zt"}`,
		"no parts":         `{"v":1,"next":7,"last":4,"id":"D6HPc9zt"}`,
		"no id":            `{"v":1,"next":7,"last":4,"parts":12}`,
		"null":             `{"v":1,"next":null,"last":4,"parts":12,"id":"D6HPc9zt"}`,
		"an unknown field": `{"v":1,"next":7,"last":4,"parts":12,"id":"D6HPc9zt","lag":3}`,
		"short id":         `{"v":1,"next":7,"last":4,"parts":12,"id":"D6HPc9z"}`,
		"long id":          `{"v":1,"next":7,"last":4,"parts":12,"id":"D6HPc9ztt"}`,
		"negative next":    `{"v":1,"next":-7,"last":4,"parts":12,"id":"D6HPc9zt"}`,
		"last below -1":    `{"v":1,"next":7,"last":-2,"parts":12,"id":"D6HPc9zt"}`,
		"negative parts":   `{"v":1,"next":7,"last":4,"parts":-1,"id":"D6HPc9zt"}`,
		"parts too large":  `{"v":1,"next":7,"last":4,"parts":2147483648,"id":"D6HPc9zt"}`,
		"a fraction":       `{"v":1,"next":7.5,"last":4,"parts":12,"id":"D6HPc9zt"}`,
		"next too large":   `{"v":1,"next":18446744073709551616,"last":4,"parts":12,"id":"D6HPc9zt"}`,
		"more behind it":   `{"v":1,"next":7,"last":4,"parts":12,"id":"D6HPc9zt"}{}`,
		"space behind it":  `{"v":1,"next":7,"last":4,"parts":12,"id":"D6HPc9zt"} `,
		"above the limit":  strings.Repeat(" ", MetaLimit) + `{"v":1,"next":7,"last":4,"parts":12,"id":"D6HPc9zt"}`,
	} {
		if m, ok := ParseMeta(text); ok {
			t.Errorf("%s: parsed as %+v", name, m)
		}
	}
}

// FuzzMeta: whatever stands in a commit, parsing neither panics nor believes
// what encoding would not give back; and what we write fits Kafka's limit.
func FuzzMeta(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"v":1,"next":7,"last":4,"parts":12,"id":"D6HPc9zt"}`, `{"v":1,"next":0,"last":-1,"parts":0,"id":"--------"}`,
		`{"v":1,"next":7,"last":4,"parts":12,"id":"<&>\u2028 "}`, `{"v":1,"next":18446744073709551615,"last":9223372036854775807,"parts":2147483647,"id":"D6HPc9zt"}`,
		`{"v":2,"next":7,"last":4,"parts":12,"id":"D6HPc9zt"}`, `{"V":1,"next":7,"last":4,"parts":12,"id":"D6HPc9zt"}`,
		`{"v":1,"next":7,"last":4,"parts":12,"id":"D6HPc9zt","more":[[[[]]]]}`, strings.Repeat("[", 5000), "\xff\xfe", `{"v":1,"v":2}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, ok := ParseMeta(text)
		if !ok {
			return
		}
		if !json.Valid([]byte(text)) || len(text) > MetaLimit || len(m.ID) != 8 || m.Last < -1 || m.Parts < 0 {
			t.Errorf("parsed %q as %+v", text, m)
		}
		encoded := m.Encode()
		if len(encoded) > MetaLimit {
			t.Errorf("encoded to %d bytes", len(encoded))
		}
		if again, ok := ParseMeta(encoded); !ok || again != m {
			t.Errorf("%q is %+v, encoded %q is %+v", text, m, encoded, again)
		}
	})
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
)

// planted is the secret that tests look for in every output. It has signs that
// quoting and encoding would change.
const planted = `pl@nted$ecret!7"f3\a`

func TestSecretIsNeverPrinted(t *testing.T) {
	secret := Secret(planted)
	inside := struct {
		Secret  Secret
		Pointer *Secret
		List    []Secret
		Map     map[string]Secret
	}{secret, &secret, []Secret{secret}, map[string]Secret{"k": secret}}
	var all bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T"} {
		_, _ = fmt.Fprintf(&all, verb+"\n", secret)
		_, _ = fmt.Fprintf(&all, verb+"\n", &secret)
		_, _ = fmt.Fprintf(&all, verb+"\n", inside)
	}
	encoded, err := json.Marshal(inside)
	if err != nil {
		t.Fatal(err)
	}
	all.Write(encoded)
	for _, format := range []string{"text", "json"} {
		log := newLogger(&all, LogConfig{Level: "debug", Format: format}, redactor{})
		log.Info("m", "secret", secret, "inside", inside, "pointer", &secret, slog.Group("g", "secret", secret))
	}
	assertHidden(t, all.String())
	if !strings.Contains(all.String(), redacted) {
		t.Error("a set secret must show that it is set")
	}
	if got := fmt.Sprintf("%v%q%d", Secret(""), Secret(""), Secret("")); got != "" {
		t.Errorf("an empty secret must show that it is not set: %q", got)
	}
}

// assertHidden fails if text holds the planted secret as it is or as Go, JSON or
// hexadecimal quoting would write it.
func assertHidden(t *testing.T, text string) {
	t.Helper()
	quoted, err := json.Marshal(planted)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{planted, strings.Trim(fmt.Sprintf("%q", planted), `"`), strings.Trim(string(quoted), `"`), fmt.Sprintf("%x", planted), fmt.Sprintf("%X", planted)} {
		if strings.Contains(text, form) {
			t.Errorf("the secret is in the output, as %s:\n%s", form, text)
		}
	}
}

type stringer string

func (s stringer) String() string { return string(s) }

// Errors and texts of others may quote what they were sent.
func TestLogIsRedacted(t *testing.T) {
	hide := newRedactor(planted, "short")
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log := newLogger(&out, LogConfig{Level: "info", Format: format}, hide)
		var nilError *exitError
		log.With("bound", "a "+planted).WithGroup("g").Info("message "+planted,
			"error", fmt.Errorf("they said %s: %w", planted, io.EOF), "stringer", stringer(planted), "bytes", []byte(planted),
			"list", []string{"a", planted}, slog.Group("deep", "text", planted), "nil", nilError, "plain", 7, "word", "a short one")
		log.Debug("not at this level")
		assertHidden(t, out.String())
		if got := strings.Count(out.String(), redacted); got != 7 || !strings.Contains(out.String(), "a short one") || strings.Contains(out.String(), "not at") {
			t.Errorf("%s: %d places redacted, want 7:\n%s", format, got, out.String())
		}
	}
}

func TestRedactedErrors(t *testing.T) {
	hide := newRedactor(planted)
	if hide.wrap(nil) != nil {
		t.Error("nil must stay nil")
	}
	if hide.wrap(io.EOF) != io.EOF {
		t.Error("an error without secrets must be left alone")
	}
	err := hide.wrap(fmt.Errorf("login: %w", &exitError{exitUnknown, fmt.Errorf("bad %s: %w", planted, io.EOF)}))
	assertHidden(t, fmt.Sprintf("%v %+v", err, err))
	if !errors.Is(err, io.EOF) {
		t.Error("what it is must still be found")
	}
	var out bytes.Buffer
	if code := report(&out, err); code != exitUnknown || !strings.Contains(out.String(), redacted) {
		t.Errorf("code %d, %s", code, out.String())
	}
	assertHidden(t, out.String())
}

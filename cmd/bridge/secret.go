package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

const redacted = "[redacted]"

// Secret is a password or token that no format verb, encoder or logger can
// print: all of them give "[redacted]", or nothing where no secret is set.
// Reveal is the only way to its text. (Two holes remain in fmt: %p, which go vet
// refuses for a text, and unexported fields, so keep it in exported ones.)
type Secret string

// Reveal returns the text of the secret, for the one call that sends it.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format covers all other verbs: without it %d of a string type would print the text
// inside a complaint about the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

func (s Secret) GoString() string             { return s.String() }
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(s.String()) }

// redactor takes known secrets out of text. It is the second line of defence:
// the first is that secrets are never put into a message; but errors also come
// from libraries and servers, which may quote what they were sent. Its copies
// learn together. The zero value knows none.
type redactor struct {
	known *knownSecrets
}

type knownSecrets struct {
	mu   sync.RWMutex
	list []string
}

// leastRedacted is the shortest secret that is looked for in text, in bytes.
// Anything shorter would take ordinary words out of the log, and tell by the
// holes what the secret is.
const leastRedacted = 8

func newRedactor(secrets ...Secret) redactor {
	r := redactor{&knownSecrets{}}
	for _, s := range secrets {
		r.learn(s)
	}
	return r
}

// learn adds a secret that came later: a file was read again.
func (r redactor) learn(s Secret) {
	if len(s) < leastRedacted || r.known == nil {
		return
	}
	r.known.mu.Lock()
	defer r.known.mu.Unlock()
	if !slices.Contains(r.known.list, string(s)) {
		r.known.list = append(r.known.list, string(s))
	}
}

func (r redactor) text(s string) string {
	if r.known == nil {
		return s
	}
	r.known.mu.RLock()
	defer r.known.mu.RUnlock()
	for _, secret := range r.known.list {
		s = strings.ReplaceAll(s, secret, redacted)
	}
	return s
}

// wrap returns an error that reads like err without the secrets and unwraps to
// it; nil for nil.
func (r redactor) wrap(err error) error {
	if err == nil || r.text(err.Error()) == err.Error() {
		return err
	}
	return &redactedError{text: r.text(err.Error()), err: err}
}

type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string        { return e.text }
func (e *redactedError) Is(target error) bool { return errors.Is(e.err, target) }

// As finds the code to exit with, and nothing that could print the secret.
func (e *redactedError) As(target any) bool {
	coded, ok := target.(**exitError)
	if !ok || !errors.As(e.err, coded) {
		return false
	}
	*coded = &exitError{(*coded).code, errors.New(e.text)}
	return true
}

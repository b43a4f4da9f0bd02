package sink

import (
	"errors"
	"math"
	"net/http"
	"testing"
	"time"

	"kafka-s2-bridge/tests/s2mem"
)

// What Create asks for is what Settings says; asking changes nothing.
func TestSettings(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client) {
		ctx := deadline(t)
		for name, want := range map[string]StreamSettings{
			"a/0":      {Retention: 25 * time.Hour, StorageClass: "standard"},
			"b.%2F /1": {StorageClass: "express"},
		} {
			s := c.Stream(name, want)
			if _, err := s.Settings(ctx); !asError(t, err).NotFound() {
				t.Errorf("%q before it exists: %v", name, err)
			}
			if _, _, exists, err := s.Ask(ctx); exists || err != nil {
				t.Errorf("%q was created by the question: %v, %v", name, exists, err)
			}
			if err := s.Create(ctx); err != nil {
				t.Fatal(err)
			}
			// The stream says it, not who asks.
			if got, err := c.Stream(name, StreamSettings{Retention: time.Minute}).Settings(ctx); err != nil || got != want {
				t.Errorf("%q: %+v, %v; want %+v", name, got, err, want)
			}
		}
	})
}

func TestSettingsRefused(t *testing.T) {
	srv, c := mem(t, s2mem.Options{})
	ctx := deadline(t)
	s := c.Stream("a", StreamSettings{})
	if err := s.Create(ctx); err != nil {
		t.Fatal(err)
	}
	srv.Fault(s2mem.Fault{Op: s2mem.OpConfig, Do: s2mem.Refuse, Status: http.StatusForbidden, Code: "permission_denied"})
	_, err := s.Settings(ctx)
	if e := asError(t, err); !e.Denied() || e.Op != "settings" || e.Stream != "a" {
		t.Errorf("%v", err)
	}
	srv.Fault(s2mem.Fault{Op: s2mem.OpConfig, Do: s2mem.EOF})
	if _, err := s.Settings(ctx); !errors.Is(err, errAnswer) {
		t.Errorf("an empty answer: %v", err)
	}
	if got, err := s.Settings(ctx); err != nil || got != (StreamSettings{StorageClass: "express"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestParseSettings(t *testing.T) {
	for answer, want := range map[string]*StreamSettings{
		`{"storage_class":"express","retention_policy":{"age":86400},"timestamping":null}`: {Retention: 24 * time.Hour, StorageClass: "express"},
		`{"storage_class":null,"retention_policy":{"infinite":{}}}`:                        {},
		`{"retention_policy":{"age":18446744073709551615}}`:                                {Retention: math.MaxInt64 / time.Second * time.Second},
		`{"retention_policy":null}`:                                                        nil,
		`{"retention_policy":{}}`:                                                          nil,
		`{"retention_policy":{"age":0}}`:                                                   nil,
		`{"retention_policy":{"age":-1}}`:                                                  nil,
		`{"retention_policy":{"age":1,"infinite":{}}}`:                                     nil,
		`{"retention_policy":"forever"}`:                                                   nil,
		`{"storage_class":7,"retention_policy":{"a":1}}`:                                   nil,
		`[]`: nil,
		``:   nil,
	} {
		got, err := parseSettings([]byte(answer))
		switch {
		case want == nil && !errors.Is(err, errAnswer):
			t.Errorf("%s: %+v, %v", answer, got, err)
		case want != nil && (err != nil || got != *want):
			t.Errorf("%s: %+v, %v; want %+v", answer, got, err, *want)
		}
	}
}

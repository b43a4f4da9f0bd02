package s2mem

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Config is a stream's configuration.
type Config struct {
	StorageClass  string        // "express" or "standard"
	Retention     time.Duration // 0 means infinite
	TimestampMode string        // "client-prefer", "client-require" or "arrival"
	Uncapped      bool          // timestamps may lie in the future
	DeleteOnEmpty time.Duration // 0 means never
}

// streamConfig is a stream's whole configuration, in the API's units.
type streamConfig struct {
	class    string
	age      uint64 // seconds of retention; 0 infinite
	mode     string
	uncapped bool
	minAge   uint64 // seconds until an empty stream is deleted; 0 never
}

// defaultConfig is S2's.
var defaultConfig = streamConfig{class: "express", age: 7 * 24 * 3600, mode: "client-prefer"}

func (c streamConfig) exported() Config {
	return Config{c.class, seconds(c.age), c.mode, c.uncapped, seconds(c.minAge)}
}

// timestamp is that of a record before the rule that timestamps never fall.
func (c streamConfig) timestamp(r *inputRecord, now uint64) (ts uint64, ok bool) {
	ts = now
	switch {
	case c.mode == "arrival":
	case r.hasTimestamp:
		ts = r.timestamp
	case c.mode == "client-require":
		return 0, false
	}
	if !c.uncapped {
		ts = min(ts, now)
	}
	return ts, true
}

// The JSON form. A pointer is nil where the request says nothing or null.
type configJSON struct {
	StorageClass  *string            `json:"storage_class"`
	Retention     *retentionJSON     `json:"retention_policy"`
	Timestamping  *timestampingJSON  `json:"timestamping"`
	DeleteOnEmpty *deleteOnEmptyJSON `json:"delete_on_empty"`
}

type retentionJSON struct {
	Age      *uint64   `json:"age,omitempty"`
	Infinite *struct{} `json:"infinite,omitempty"`
}

// UnmarshalJSON takes exactly one of the two, and not null.
func (r *retentionJSON) UnmarshalJSON(b []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	if len(fields) != 1 {
		return errors.New("expected value")
	}
	for name, v := range fields {
		switch {
		case name != "age" && name != "infinite":
			return fmt.Errorf("unknown variant `%s`, expected `age` or `infinite`", name)
		case string(v) == "null":
			return errors.New("invalid type: null")
		case name == "age":
			return json.Unmarshal(v, &r.Age)
		}
		return json.Unmarshal(v, &r.Infinite)
	}
	return nil
}

type timestampingJSON struct {
	Mode     *string `json:"mode"`
	Uncapped *bool   `json:"uncapped"`
}

type deleteOnEmptyJSON struct {
	MinAgeSecs uint64 `json:"min_age_secs"`
}

func (c streamConfig) json() configJSON {
	r := retentionJSON{Infinite: &struct{}{}}
	if c.age != 0 {
		r = retentionJSON{Age: &c.age}
	}
	return configJSON{
		StorageClass:  &c.class,
		Retention:     &r,
		Timestamping:  &timestampingJSON{&c.mode, &c.uncapped},
		DeleteOnEmpty: &deleteOnEmptyJSON{c.minAge},
	}
}

// plain is the configuration in a form that is equal where the meaning is.
func (j configJSON) plain() configJSON {
	if j.Timestamping != nil && *j.Timestamping == (timestampingJSON{}) {
		j.Timestamping = nil
	}
	return j
}

// badConfig is a refusal in S2's words: code bad_json or invalid.
type badConfig struct{ code, text string }

func (e badConfig) Error() string { return e.text }

// over lays the given values over defaults.
func (j configJSON) over(c streamConfig) (streamConfig, error) {
	if s := j.StorageClass; s != nil {
		c.class = *s // any text, as on s2-lite
	}
	if r := j.Retention; r != nil {
		switch {
		case r.Age != nil && *r.Age == 0:
			return c, badConfig{"invalid", "age must be greater than 0 seconds"}
		case r.Age != nil:
			c.age = *r.Age
		default:
			c.age = 0
		}
	}
	if t := j.Timestamping; t != nil {
		if m := t.Mode; m != nil {
			if *m != "client-prefer" && *m != "client-require" && *m != "arrival" {
				return c, badConfig{"bad_json", fmt.Sprintf("unknown variant `%s`, expected one of `client-prefer`, `client-require`, `arrival`", *m)}
			}
			c.mode = *m
		}
		if t.Uncapped != nil {
			c.uncapped = *t.Uncapped
		}
	}
	if d := j.DeleteOnEmpty; d != nil {
		c.minAge = d.MinAgeSecs
	}
	return c, nil
}

// seconds caps what time.Duration cannot hold.
func seconds(n uint64) time.Duration {
	return time.Duration(min(n, uint64(1<<63-1)/uint64(time.Second))) * time.Second
}

// patch applies a reconfiguration: a field that is absent stays, null goes back
// to the basin's default.
func (c streamConfig) patch(body []byte, defaults streamConfig) (streamConfig, error) {
	var fields map[string]json.RawMessage
	var given configJSON
	if err := json.Unmarshal(body, &fields); err != nil {
		return c, badConfig{"bad_json", err.Error()}
	}
	if err := json.Unmarshal(body, &given); err != nil {
		return c, badConfig{"bad_json", err.Error()}
	}
	null := func(m map[string]json.RawMessage, name string) bool {
		v, ok := m[name]
		return ok && string(v) == "null"
	}
	if null(fields, "storage_class") {
		c.class = defaults.class
	}
	if null(fields, "retention_policy") {
		c.age = defaults.age
	}
	if null(fields, "timestamping") {
		c.mode, c.uncapped = defaults.mode, defaults.uncapped
	} else if raw, ok := fields["timestamping"]; ok {
		var inner map[string]json.RawMessage
		if err := json.Unmarshal(raw, &inner); err != nil {
			return c, badConfig{"bad_json", err.Error()}
		}
		if null(inner, "mode") {
			c.mode = defaults.mode
		}
		if null(inner, "uncapped") {
			c.uncapped = defaults.uncapped
		}
	}
	if null(fields, "delete_on_empty") {
		c.minAge = defaults.minAge
	}
	return given.over(c)
}

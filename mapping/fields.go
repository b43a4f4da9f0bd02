package mapping

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// fields reads a JSON object whose fields are known, in their order. The
// first thing that is not as expected stops it: why says what. The body must
// be valid JSON.
type fields struct {
	dec *json.Decoder
	why string
}

func newFields(body []byte) *fields {
	f := &fields{dec: json.NewDecoder(bytes.NewReader(body))}
	f.dec.UseNumber()
	if f.token() != json.Delim('{') {
		f.fail("not an object")
	}
	return f
}

func (f *fields) token() json.Token {
	if f.why != "" {
		return nil
	}
	t, err := f.dec.Token()
	if err != nil {
		f.fail(err.Error())
	}
	return t
}

func (f *fields) fail(why string) {
	if f.why == "" {
		f.why = why
	}
}

// value reads the field with that name and returns its value.
func (f *fields) value(name string) json.Token {
	if f.token() != name {
		f.fail(fmt.Sprintf("field %s is missing or not in its place", name))
	}
	return f.token()
}

func (f *fields) text(name string) string {
	s, ok := f.value(name).(string)
	if !ok {
		f.fail(fmt.Sprintf("field %s is not a string", name))
	}
	return s
}

func (f *fields) integer(name string, low, high int64) int64 {
	n, ok := f.value(name).(json.Number)
	i, err := strconv.ParseInt(n.String(), 10, 64)
	if !ok || err != nil || i < low || i > high {
		f.fail(fmt.Sprintf("field %s is not an integer from %d to %d", name, low, high))
	}
	return i
}

// version reads the field v. It returns 0 when there is none.
func (f *fields) version() int {
	v := f.integer("v", 1, math.MaxInt32)
	if f.why != "" {
		return 0
	}
	return int(v)
}

// end expects the end of the object.
func (f *fields) end() {
	if f.token() != json.Delim('}') {
		f.fail("fields beyond those of the format")
	}
}

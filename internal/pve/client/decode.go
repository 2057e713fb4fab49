package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Flag is a boolean as PVE sends it: 0, 1, "0", "1", "", true, false, or null.
type Flag bool

// UnmarshalJSON accepts all of them.
func (f *Flag) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	switch s {
	case "1", "true", "yes", "on":
		*f = true
	case "", "0", "false", "no", "off", "null":
		*f = false
	default:
		return fmt.Errorf("%s is no boolean", b)
	}
	return nil
}

// Object is one object of an answer, its values undecoded.
type Object map[string]json.RawMessage

// Objects decodes an answer that is a list of objects.
func (a Answer) Objects() ([]Object, error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(a.Data, &parts); err != nil || parts == nil {
		return nil, shape(a.Resource, "a list", a.Data)
	}
	out := make([]Object, 0, len(parts))
	for _, p := range parts {
		var o Object
		if err := json.Unmarshal(p, &o); err != nil || o == nil {
			return nil, shape(a.Resource, "a list of objects", p)
		}
		out = append(out, o)
	}
	return out, nil
}

// Object decodes an answer that is an object.
func (a Answer) Object() (Object, error) {
	var o Object
	if err := json.Unmarshal(a.Data, &o); err != nil || o == nil {
		return nil, shape(a.Resource, "an object", a.Data)
	}
	return o, nil
}

// Keys are the names, sorted.
func (o Object) Keys() []string { return slices.Sorted(maps.Keys(o)) }

// Has reports whether a key is there with a value other than null.
func (o Object) Has(key string) bool { return len(o[key]) > 0 && string(o[key]) != "null" }

// Text is a value in the words of PVE's files: a boolean as 0 or 1, a list joined with ";", an object as a property string
// "key=value,key=value" with sorted keys, nothing for null.
func (o Object) Text(key string) string { return Text(o[key]) }

// Texts are the elements of a list; a single value is a list of one.
func (o Object) Texts(key string) []string {
	var parts []json.RawMessage
	if json.Unmarshal(o[key], &parts) != nil {
		if s := o.Text(key); s != "" {
			return []string{s}
		}
		return nil
	}
	out := make([]string, 0, len(parts))
	for _, p := range parts {
		out = append(out, Text(p))
	}
	return out
}

// Int is a whole number, sent as a number or a text; 0 and false when it is none.
func (o Object) Int(key string) (int64, bool) {
	s := o.Text(key)
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != float64(int64(f)) {
		return 0, false
	}
	return int64(f), true
}

// On reports whether a boolean is true in any of the ways PVE sends it.
func (o Object) On(key string) bool {
	var f Flag
	return len(o[key]) > 0 && f.UnmarshalJSON(o[key]) == nil && bool(f)
}

// Text writes one JSON value in the words of PVE's files; see [Object.Text].
func Text(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case '"':
		var s string
		_ = json.Unmarshal(raw, &s) // raw is part of valid JSON
		return s
	case '[':
		var parts []json.RawMessage
		_ = json.Unmarshal(raw, &parts)
		words := make([]string, 0, len(parts))
		for _, p := range parts {
			words = append(words, Text(p))
		}
		return strings.Join(words, ";")
	case '{':
		var o Object
		_ = json.Unmarshal(raw, &o)
		words := make([]string, 0, len(o))
		for _, k := range o.Keys() {
			if o.Has(k) {
				words = append(words, k+"="+o.Text(k))
			}
		}
		return strings.Join(words, ",")
	case 't':
		return "1"
	case 'f':
		return "0"
	case 'n':
		return ""
	}
	return string(raw)
}

package pve

import (
	"strings"
)

// List splits a list as PVE does (PVE::Tools::split_list): at NUL bytes when there are any, else at commas, semicolons
// and white space. Empty elements are left out.
func List(s string) []string {
	if strings.IndexByte(s, 0) >= 0 {
		return strings.FieldsFunc(s, func(r rune) bool { return r == 0 })
	}
	return strings.FieldsFunc(s, func(r rune) bool {
		return r == ',' || r == ';' || r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '\f' || r == '\v'
	})
}

// Truth is Perl's truth of a text: false for the empty text and "0", true for everything else.
func Truth(s string) bool { return s != "" && s != "0" }

// Bool reads a boolean of PVE's JSON schema: 1, on, yes, true and 0, off, no, false, in any case.
func Bool(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "1", "on", "yes", "true":
		return true, true
	case "0", "off", "no", "false":
		return false, true
	}
	return false, false
}

// DecodeText undoes the percent encoding that PVE uses for comments and names (PVE::Tools::decode_text). A percent sign
// that no two hexadecimal digits follow stays as it is.
func DecodeText(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, ok1 := unhex(s[i+1])
			lo, ok2 := unhex(s[i+2])
			if ok1 && ok2 {
				b.WriteByte(hi<<4 | lo)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// EncodeText percent-encodes control characters, '%', ':' and every byte above '~', as PVE writes comments
// (PVE::Tools::encode_text).
func EncodeText(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c <= 0x7e && c != '%' && c != ':' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// Property is one part of a property string.
type Property struct{ Key, Value string }

// Properties is a property string: "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1". The order is kept.
type Properties []Property

// ParseProperties splits a property string at its commas. A part without "=" belongs to the default key (which may be
// ""). Values in double quotes keep their commas.
func ParseProperties(s, defaultKey string) Properties {
	var ps Properties
	for _, part := range splitQuoted(s) {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		k, v, ok := strings.Cut(part, "=")
		if !ok {
			k, v = defaultKey, part
		}
		if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
			v = v[1 : len(v)-1]
		}
		ps = append(ps, Property{strings.TrimSpace(k), v})
	}
	return ps
}

func splitQuoted(s string) []string {
	if strings.IndexByte(s, '"') < 0 {
		return strings.Split(s, ",")
	}
	var parts []string
	start, quoted := 0, false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// Get returns the value of a key, and whether it is there. Of several the first counts: PVE refuses a second.
func (ps Properties) Get(key string) (string, bool) {
	for _, p := range ps {
		if p.Key == key {
			return p.Value, true
		}
	}
	return "", false
}

// Value returns the value of a key, "" when it is not there.
func (ps Properties) Value(key string) string {
	v, _ := ps.Get(key)
	return v
}

// On reports whether a boolean key is set and true.
func (ps Properties) On(key string) bool {
	v, _ := Bool(ps.Value(key))
	return v
}

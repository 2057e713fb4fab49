package pam

import (
	"bytes"
	"strings"
)

// Value is a setting of a module's file and the line that made it.
type Value struct {
	Text string // empty for a bare word such as even_deny_root
	Line int
}

// ParseConf reads faillock.conf, pwquality.conf or pwhistory.conf: "key = value" or a bare key a line, # comments. The
// last line of a key wins.
func ParseConf(b []byte) map[string]Value {
	out := map[string]Value{}
	n := 0
	for raw := range bytes.Lines(b) {
		n++
		line := string(raw)
		if i := strings.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		key, value, _ := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); key != "" {
			out[key] = Value{Text: strings.TrimSpace(value), Line: n}
		}
	}
	return out
}

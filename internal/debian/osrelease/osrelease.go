// Package osrelease reads os-release files (os-release(5) of systemd): shell-like assignments that say which
// distribution and version a root file system holds. Nothing is executed: an assignment with an unquoted blank,
// a substitution or another shell construct is an error, as the format forbids it.
package osrelease

import (
	"errors"
	"fmt"
	"strings"
)

// Parse returns the assignments of an os-release file. Lines that are no assignment are reported in the error, which
// does not make the other values unusable: the map is complete for all lines that were understood.
func Parse(b []byte) (map[string]string, error) {
	out := map[string]string{}
	var errs []error
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, raw, ok := strings.Cut(line, "=")
		if !ok || !validKey(key) {
			errs = append(errs, fmt.Errorf("line %d: not an assignment KEY=value", i+1))
			continue
		}
		v, err := unquote(raw)
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %s: %w", i+1, key, err))
			continue
		}
		out[key] = v
	}
	return out, errors.Join(errs...)
}

// validKey accepts the names that os-release(5) allows: upper-case letters, digits and underscores. Lower case is
// tolerated because vendors use it.
func validKey(k string) bool {
	if k == "" || k[0] >= '0' && k[0] <= '9' {
		return false
	}
	for i := 0; i < len(k); i++ {
		c := k[i]
		if c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// unquote resolves the quoting of a value: none, single quotes, or double quotes with backslash escapes of the four
// characters that os-release(5) names.
func unquote(s string) (string, error) {
	if len(s) >= 2 && s[0] == '\'' && s[len(s)-1] == '\'' {
		return s[1 : len(s)-1], nil
	}
	if len(s) == 0 || s[0] != '"' {
		if strings.ContainsAny(s, " \t$`\"';&|<>()\\") {
			return "", fmt.Errorf("unquoted value holds shell syntax")
		}
		return s, nil
	}
	if len(s) < 2 || s[len(s)-1] != '"' {
		return "", fmt.Errorf("closing quote is missing")
	}
	body := s[1 : len(s)-1]
	var b strings.Builder
	for i := 0; i < len(body); i++ {
		c := body[i]
		switch {
		case c == '\\' && i+1 < len(body):
			i++
			if !strings.ContainsRune("\"$`\\", rune(body[i])) {
				b.WriteByte('\\')
			}
			b.WriteByte(body[i])
		case c == '"' || c == '$' || c == '`':
			return "", fmt.Errorf("value holds an unescaped %q", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

package proxycfg

import (
	"fmt"
	"strings"
)

// assignments reads the file as bash would, as far as it consists of assignments of constants and of comments.
func (c *Config) assignments(b []byte) {
	text := strings.ReplaceAll(string(b), "\\\n", "  ")
	for i, l := range strings.Split(text, "\n") {
		c.line(i+1, strings.TrimRight(l, "\r"))
	}
}

// line reads "KEY=value", "export KEY=value" and several of them divided by semicolons.
func (c *Config) line(n int, l string) {
	for l = strings.TrimLeft(l, " \t"); l != "" && l[0] != '#'; l = strings.TrimLeft(l, " \t") {
		l = strings.TrimLeft(strings.TrimPrefix(l, "export "), " \t")
		key, rest, ok := strings.Cut(l, "=")
		if !ok || !isName(key) {
			c.shell(n, l)
			return
		}
		value, tail, err := word(rest)
		if err != nil {
			c.Shell = true
			c.problem(n, false, "write a constant in double quotes", "%s: %v; bash decides what it is, as root", clip(key), err)
			delete(c.Settings, key)
			return
		}
		tail = strings.TrimLeft(tail, " \t")
		if tail != "" && tail[0] != ';' && tail[0] != '#' {
			next, _, _ := strings.Cut(tail, "=")
			if !isName(next) {
				// VAR=value command: the variable is set for the command only.
				c.problem(n, false, fmt.Sprintf("put the value in quotes: %s=%q", key, corrected(value+" "+tail)),
					"%s=%s: bash takes what follows the blank as a command, and %s stays unset", clip(key), clip(value), clip(key))
				return
			}
		}
		c.Settings[key] = Setting{Value: value, Line: n}
		l = strings.TrimLeft(tail, "; \t")
	}
}

func (c *Config) shell(n int, l string) {
	c.Shell = true
	c.problem(n, false, "keep only KEY=\"value\" lines", "%q is shell code, which bash runs as root whenever pveproxy starts", clip(l))
}

// word reads one word of shell syntax: plain text, quoted parts, joined without blanks between them.
func word(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch ch := s[i]; ch {
		case ' ', '\t', ';', '#':
			if ch == '#' && i > 0 {
				b.WriteByte(ch)
				continue
			}
			return b.String(), s[i:], nil
		case '\'':
			end := strings.IndexByte(s[i+1:], '\'')
			if end < 0 {
				return "", "", fmt.Errorf("closing quote is missing")
			}
			b.WriteString(s[i+1 : i+1+end])
			i += end + 1
		case '"':
			n, err := double(s[i+1:], &b)
			if err != nil {
				return "", "", err
			}
			i += n
		case '\\':
			if i+1 < len(s) {
				i++
				b.WriteByte(s[i])
			}
		case '$', '`', '|', '&', '<', '>', '(', ')':
			return "", "", fmt.Errorf("holds shell syntax %q", ch)
		default:
			b.WriteByte(ch)
		}
	}
	return b.String(), "", nil
}

// double reads up to the closing double quote and returns the length of what it read, the quote included.
func double(s string, b *strings.Builder) (int, error) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return i + 1, nil
		case '$', '`':
			return 0, fmt.Errorf("holds a substitution")
		case '\\':
			if i+1 < len(s) && strings.ContainsRune("\"\\$`", rune(s[i+1])) {
				i++
			}
		}
		b.WriteByte(s[i])
	}
	return 0, fmt.Errorf("closing quote is missing")
}

// isName accepts the names of shell variables.
func isName(s string) bool {
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

package rsyslog

import (
	"fmt"
	"strings"
)

// statement is a legacy line, or an object of RainerScript with the text in front of it (a selector).
type statement struct {
	text   string
	object string // module, input, action, include, global; empty for a legacy line
	params map[string]string
	line   int
	// conditional is true when a script decides whether the statement runs.
	conditional bool
}

// blocks follows the braces of scripts: whether a statement stands in a block that a condition guards.
type blocks struct {
	open    []bool // for each open brace, whether a condition stands in front of it
	guarded int    // how many of them have one
}

// feed takes in the next text and reports whether what follows it on its line is conditional.
func (b *blocks) feed(text string) bool {
	head := strings.TrimLeft(text, "{} \t\r\n")
	condition := word(head, "if ") || word(head, "if(") || word(head, "else")
	quoted := false
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' && len(b.open) < maxBlocks:
			b.open = append(b.open, condition)
			if condition {
				b.guarded++
			}
		case c == '}' && len(b.open) > 0:
			if b.open[len(b.open)-1] {
				b.guarded--
			}
			b.open = b.open[:len(b.open)-1]
		}
	}
	return condition || b.guarded > 0
}

// maxBlocks bounds the nesting of blocks.
const maxBlocks = 1000

// statements splits a file. Objects may span lines; everything else ends with its line. Braces, "if ... then" and
// "else" of scripts are taken away, so that the actions inside are seen: whether a condition can be true is not
// judged.
func statements(f File, problems *[]string) []statement {
	var list []statement
	s, line := string(f.Content), 1
	var depth blocks
	for s != "" {
		text, object, rest := nextChunk(s)
		conditional := depth.feed(text)
		st := statement{text: cleanScript(text), object: object, line: line + strings.Count(leading(text), "\n"), conditional: conditional}
		line += strings.Count(s[:len(s)-len(rest)], "\n")
		s = rest
		if object != "" {
			params, after, ok := parameters(s)
			if !ok {
				*problems = append(*problems, fmt.Sprintf("%s:%d: %s( is not closed with )", f.Path, line, object))
				return list
			}
			st.params, st.line = params, line
			line += strings.Count(s[:len(s)-len(after)], "\n")
			s = after
		}
		if st.text != "" || st.object != "" {
			list = append(list, st)
		}
	}
	return list
}

func leading(s string) string { return s[:len(s)-len(strings.TrimLeft(s, " \t\r\n"))] }

// objects are the names that open a parenthesis with parameters.
func isObject(name string) bool {
	switch name {
	case "module", "input", "action", "include", "global", "template", "ruleset", "main_queue", "parser", "timezone",
		"lookup_table", "dyn_stats", "property", "constant", "ratelimit", "perctile_stats":
		return true
	}
	return false
}

// nextChunk returns the text up to the end of the line or up to the opening parenthesis of an object, whose name it
// gives, and what follows. Comments are left out of the text.
func nextChunk(s string) (text, object, rest string) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\n':
			return b.String(), "", s[i+1:]
		case quote != 0:
			if c == '\\' && i+1 < len(s) && s[i+1] != '\n' {
				b.WriteByte(c)
				i++
				c = s[i]
			} else if c == quote {
				quote = 0
			}
		case c == '"':
			quote = c
		case c == '#' && (i == 0 || s[i-1] == ' ' || s[i-1] == '\t'):
			end := strings.IndexByte(s[i:], '\n')
			if end < 0 {
				return b.String(), "", ""
			}
			return b.String(), "", s[i+end+1:]
		case c == '/' && strings.HasPrefix(s[i:], "/*") && (i == 0 || s[i-1] == ' ' || s[i-1] == '\t'):
			// Only a word of its own: "/etc/rsyslog.d/*.conf" starts no comment.
			end := strings.Index(s[i+2:], "*/")
			if end < 0 {
				return b.String(), "", ""
			}
			// Keep the line count right: the skipped newlines belong to this chunk.
			i += 2 + end + 1
			continue
		case c == '(':
			before := strings.TrimRight(b.String(), " \t")
			start := len(before)
			for start > 0 && (isLetter(before[start-1]) || before[start-1] == '_') {
				start--
			}
			if name := strings.ToLower(before[start:]); isObject(name) {
				return before[:start], name, s[i+1:]
			}
		}
		b.WriteByte(c)
	}
	return b.String(), "", ""
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// cleanScript takes braces and conditions away from the text of a line.
func cleanScript(s string) string {
	s = strings.TrimSpace(s)
	for range maxConditions {
		t := strings.TrimLeft(s, "{} \t")
		if word(t, "else") && (len(t) == 4 || strings.ContainsAny(t[4:5], " \t{")) {
			t = t[4:]
		} else if word(t, "if ") {
			i := strings.Index(t, " then")
			if i < 0 {
				return ""
			}
			t = t[i+5:]
		}
		if t = strings.TrimSpace(t); t == s {
			return s
		}
		s = t
	}
	return ""
}

// maxConditions bounds how many conditions may stand on one line.
const maxConditions = 100

// word reports whether a text begins with a word, in any case.
func word(s, w string) bool { return len(s) >= len(w) && strings.EqualFold(s[:len(w)], w) }

// parameters reads name="value" pairs up to the closing parenthesis. Names are case-insensitive; of an array the
// elements are joined with commas.
func parameters(s string) (params map[string]string, rest string, ok bool) {
	params = map[string]string{}
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == ')':
			return params, s[i+1:], true
		case c == '#':
			end := strings.IndexByte(s[i:], '\n')
			if end < 0 {
				return nil, "", false
			}
			i += end
		case strings.HasPrefix(s[i:], "/*"):
			end := strings.Index(s[i:], "*/")
			if end < 0 {
				return nil, "", false
			}
			i += end + 2
		case isLetter(c):
			j := i
			for j < len(s) && (isLetter(s[j]) || s[j] >= '0' && s[j] <= '9' || s[j] == '.' || s[j] == '_' || s[j] == '-') {
				j++
			}
			name := strings.ToLower(s[i:j])
			j = skipBlank(s, j)
			if j >= len(s) || s[j] != '=' {
				i = j
				continue
			}
			value, next, closed := paramValue(s, skipBlank(s, j+1))
			if !closed {
				return nil, "", false
			}
			if _, dup := params[name]; !dup {
				params[name] = value
			}
			i = next
		default:
			i++
		}
	}
	return nil, "", false
}

func skipBlank(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

// paramValue reads a string in quotes, an array of them, or a bare word, from position i.
func paramValue(s string, i int) (value string, next int, ok bool) {
	if i >= len(s) {
		return "", i, false
	}
	switch s[i] {
	case '"', '\'':
		return quoted(s, i)
	case '[':
		var list []string
		for i++; i < len(s); i++ {
			switch s[i] {
			case ']':
				return strings.Join(list, ","), i + 1, true
			case '"', '\'':
				v, n, ok := quoted(s, i)
				if !ok {
					return "", n, false
				}
				list, i = append(list, v), n-1
			}
		}
		return "", i, false
	}
	j := i
	for j < len(s) && s[j] != ')' && s[j] != ' ' && s[j] != '\t' && s[j] != '\n' && s[j] != '\r' {
		j++
	}
	return s[i:j], j, true
}

func quoted(s string, i int) (value string, next int, ok bool) {
	var b strings.Builder
	q := s[i]
	for j := i + 1; j < len(s); j++ {
		switch {
		case s[j] == '\\' && j+1 < len(s):
			j++
			b.WriteByte(s[j])
		case s[j] == q:
			return b.String(), j + 1, true
		default:
			b.WriteByte(s[j])
		}
	}
	return "", len(s), false
}

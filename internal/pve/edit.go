package pve

import "strings"

// SetProperty gives one property of a property string a value and leaves the rest of the text as it is: order, blanks and
// quotes. An empty value takes the property away. A part without "=" is that of the default key, as in [ParseProperties];
// of several parts of one key the first is kept, since PVE refuses a second. What holds already is left as it is written, and booleans hold in any spelling.
// A text with a quote that never ends has no parts, and is left alone.
func SetProperty(s, key, value, defaultKey string) string {
	if strings.Count(s, `"`)%2 != 0 {
		return s
	}
	if old, ok := ParseProperties(s, defaultKey).Get(key); ok && value != "" && Same(old, value) || !ok && value == "" {
		return s
	}
	text := key + "=" + value
	if key == defaultKey {
		text = value
	}
	var parts []string
	done := value == ""
	for _, part := range splitQuoted(s) {
		k, _, ok := strings.Cut(strings.TrimSpace(part), "=")
		bare := !ok
		if bare {
			k = defaultKey
		}
		switch {
		case strings.TrimSpace(part) == "" || strings.TrimSpace(k) != key:
			parts = append(parts, part)
		case !done:
			done = true
			if !bare {
				text = key + "=" + value
			}
			parts = append(parts, text)
		}
	}
	switch {
	case done:
	case s == "":
		return text
	case key == defaultKey:
		parts = append([]string{text}, parts...)
	default:
		parts = append(parts, text)
	}
	return strings.Join(parts, ",")
}

// Same reports whether two values of a setting mean the same to PVE: equal texts, or booleans of one meaning.
func Same(a, b string) bool {
	x, ok := Bool(a)
	y, too := Bool(b)
	return a == b || ok && too && x == y
}

// SplitLines splits a file into lines that keep their ends.
func SplitLines(b []byte) []string {
	var lines []string
	for l := range strings.Lines(string(b)) {
		lines = append(lines, l)
	}
	return lines
}

// LineEnd is the end that a line has: "\n", "\r\n", or "\n" for a last line that has none.
func LineEnd(line string) string {
	if strings.HasSuffix(line, "\r\n") {
		return "\r\n"
	}
	return "\n"
}

// Terminate gives the last of some lines an end when it has none.
func Terminate(lines []string) []string {
	if n := len(lines); n > 0 && !strings.HasSuffix(lines[n-1], "\n") {
		lines[n-1] += "\n"
	}
	return lines
}

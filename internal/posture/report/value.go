package report

import (
	"encoding/json"
	"fmt"
	"strings"
)

// maxItems is the number of elements of a list that a report for people shows; the JSON report has all.
const maxItems = 40

// valueLines writes the value of a fact for people. Structured values arrive as JSON; an object becomes
// "name: rsyslog.service, enabled: true", a list one line per element. The lines are harmless, see oneLine.
func valueLines(value string) []string {
	trimmed := strings.TrimSpace(value)
	if !strings.HasPrefix(trimmed, "{") && !strings.HasPrefix(trimmed, "[") || len(trimmed) > 1<<20 {
		return []string{oneLine(value)}
	}
	dec := json.NewDecoder(strings.NewReader(trimmed))
	dec.UseNumber()
	lines, ok := jsonLines(dec)
	if !ok || dec.More() || len(lines) == 0 {
		return []string{oneLine(value)}
	}
	for i, l := range lines {
		lines[i] = oneLine(l)
	}
	return lines
}

// jsonLines reads one JSON value, a list as one line per element.
func jsonLines(dec *json.Decoder) ([]string, bool) {
	tok, err := dec.Token()
	if err != nil {
		return nil, false
	}
	if tok != json.Delim('[') {
		s, ok := jsonWords(dec, tok, 0)
		return []string{s}, ok
	}
	var lines []string
	n := 0
	for ; dec.More(); n++ {
		tok, err := dec.Token()
		if err != nil {
			return nil, false
		}
		s, ok := jsonWords(dec, tok, 0)
		if !ok {
			return nil, false
		}
		if n < maxItems {
			lines = append(lines, s)
		}
	}
	if n > maxItems {
		lines = append(lines, fmt.Sprintf("and %d more", n-maxItems))
	}
	_, err = dec.Token()
	return lines, err == nil
}

// jsonWords writes the value that begins with a token on one line. What is nested gets parentheses.
func jsonWords(dec *json.Decoder, tok json.Token, depth int) (string, bool) {
	open, nested := tok.(json.Delim)
	if !nested {
		return scalarWord(tok), true
	}
	if depth > 20 {
		return "", false
	}
	var parts []string
	for dec.More() {
		key := ""
		if open == '{' {
			k, err := dec.Token()
			if err != nil {
				return "", false
			}
			key = fmt.Sprint(k) + ": "
		}
		next, err := dec.Token()
		if err != nil {
			return "", false
		}
		word, ok := jsonWords(dec, next, depth+1)
		if !ok {
			return "", false
		}
		parts = append(parts, key+word)
	}
	if _, err := dec.Token(); err != nil {
		return "", false
	}
	switch {
	case len(parts) == 0:
		return "none", true
	case depth > 0:
		return "(" + strings.Join(parts, ", ") + ")", true
	}
	return strings.Join(parts, ", "), true
}

// scalarWord writes a value that is no list and no object, as facts do.
func scalarWord(tok json.Token) string {
	switch v := tok.(type) {
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case string:
		if v == "" {
			return `""`
		}
		return v
	case nil:
		return "none"
	}
	return fmt.Sprint(tok)
}

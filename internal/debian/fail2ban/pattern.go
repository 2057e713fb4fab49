package fail2ban

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/dlclark/regexp2/v2"
)

// Limits of regular expressions: their length in bytes, the time that one match may take on the backtracking engine,
// and the length of a line that is matched at all (journald itself splits lines at 48 kB).
const (
	maxPattern   = 32 << 10
	matchTimeout = 100 * time.Millisecond
	maxLine      = 64 << 10
)

// pattern is a compiled regular expression of Python's dialect.
type pattern struct {
	linear *regexp.Regexp
	back   *regexp2.Regexp // when the linear engine cannot
	names  map[string]bool
}

// compilePattern translates a regular expression of Python's re module and compiles it.
func compilePattern(src string) (*pattern, error) {
	if len(src) > maxPattern {
		return nil, fmt.Errorf("regular expression is longer than %d bytes", maxPattern)
	}
	p := &pattern{names: map[string]bool{}}
	for _, n := range groupNames(src) {
		if p.names[n] {
			return nil, fmt.Errorf("group %s occurs twice in one regular expression, which Python refuses", n)
		}
		p.names[n] = true
	}
	if re, err := regexp.Compile(translate(src, false)); err == nil {
		p.linear = re
		return p, nil
	}
	re, err := regexp2.Compile(translate(src, true))
	if err != nil {
		return nil, fmt.Errorf("cannot compile regular expression: %w", err)
	}
	re.MatchTimeout = matchTimeout
	p.back = re
	return p, nil
}

// find searches the text and returns the named groups that took part in the match.
func (p *pattern) find(text string) (map[string]string, bool) {
	if len(text) > maxLine {
		return nil, false
	}
	groups := map[string]string{}
	if p.linear != nil {
		m := p.linear.FindStringSubmatchIndex(text)
		if m == nil {
			return nil, false
		}
		for i, n := range p.linear.SubexpNames() {
			if n != "" && m[2*i] >= 0 {
				groups[n] = text[m[2*i]:m[2*i+1]]
			}
		}
		return groups, true
	}
	m, err := p.back.FindStringMatch(text)
	if err != nil || m == nil {
		return nil, false
	}
	for n := range p.names {
		if g := m.GroupByName(n); g != nil && len(g.Captures) > 0 {
			groups[n] = g.String()
		}
	}
	return groups, true
}

// groupNames lists the names of (?P<name>...) in order.
func groupNames(src string) []string {
	var out []string
	scan(src, func(i int, inClass bool) int {
		if !inClass && strings.HasPrefix(src[i:], "(?P<") {
			if end := strings.IndexByte(src[i:], '>'); end > 0 {
				out = append(out, src[i+4:i+end])
			}
		}
		return 1
	})
	return out
}

// scan walks over a regular expression and calls at for every byte that is not escaped, telling whether it stands in a
// character class; at says how many bytes it used.
func scan(src string, at func(i int, inClass bool) int) {
	class := false
	for i := 0; i < len(src); {
		switch c := src[i]; {
		case c == '\\':
			at(i, class)
			i += 2
			continue
		case !class && c == '[':
			at(i, class)
			class = true
			i++
			if strings.HasPrefix(src[i:], "^") {
				at(i, class)
				i++
			}
			if strings.HasPrefix(src[i:], "]") { // a bracket in first place is an ordinary character
				at(i, class)
				i++
			}
			continue
		case class && c == ']':
			class = false
		}
		i += max(1, at(i, class))
	}
}

// translate turns Python's spellings into those of the engines: {,n} is {0,n}, \Z is \z, and for the backtracking
// engine (?P<n>) is (?<n>) and (?P=n) is \k<n>.
func translate(src string, backtracking bool) string {
	var b strings.Builder
	scan(src, func(i int, inClass bool) int {
		rest := src[i:]
		if rest[0] == '\\' {
			if len(rest) == 1 {
				b.WriteByte('\\')
			} else if rest[1] == 'Z' && !inClass {
				b.WriteString(`\z`)
			} else {
				b.WriteString(rest[:2])
			}
			return 2
		}
		if !inClass {
			if strings.HasPrefix(rest, "{,") {
				b.WriteString("{0,")
				return 2
			}
			if backtracking && strings.HasPrefix(rest, "(?P<") {
				b.WriteString("(?<")
				return 4
			}
			if end := strings.IndexByte(rest, ')'); backtracking && strings.HasPrefix(rest, "(?P=") && end > 0 {
				b.WriteString(`\k<` + rest[4:end] + ">")
				return end + 1
			}
		}
		b.WriteByte(rest[0])
		return 1
	})
	return b.String()
}

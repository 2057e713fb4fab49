package host

import (
	"errors"
	"path"
	"strings"
)

// pattern is a parsed List pattern: the elements of an absolute path, of which some may hold wildcards.
type pattern struct {
	text  string
	elems []string
	deep  bool // the last element was "**": everything below
	plain bool // it is a path: nothing in it is a wildcard
}

// wire gives the elements as the far side of a Remote wants them: 'l' and a name, 'r' and a regular expression, '*'.
func (p pattern) wire() (kinds []byte, words []string) {
	for _, e := range p.elems {
		if p.plain || !isWild(e) {
			kinds, words = append(kinds, 'l'), append(words, e)
		} else {
			kinds, words = append(kinds, 'r'), append(words, perlRegex(e))
		}
	}
	if p.deep {
		kinds, words = append(kinds, '*'), append(words, "")
	}
	return kinds, words
}

// parsePattern checks a List pattern and splits it. Wildcard elements follow path.Match, with one restriction that
// every implementation can keep: a character class lists ASCII characters only.
func parsePattern(text string) (pattern, error) {
	p := pattern{text: text}
	if !strings.HasPrefix(text, "/") {
		return p, errors.New("the pattern is not an absolute path")
	}
	if strings.ContainsRune(text, 0) {
		return p, errors.New("the pattern holds a NUL byte")
	}
	for _, e := range strings.Split(text, "/") {
		switch {
		case p.deep:
			return p, errors.New(`"**" may only be the last element`)
		case e == "" || e == ".":
		case e == "..":
			return p, errors.New(`".." has no place in a pattern`)
		case e == "**":
			p.deep = true
		default:
			if _, err := path.Match(e, ""); err != nil {
				return p, err
			}
			if !asciiClasses(e) {
				return p, errors.New("a character class may hold ASCII characters only")
			}
			p.elems = append(p.elems, e)
		}
	}
	if len(p.elems) == 0 && !p.deep {
		return p, errors.New("the pattern names no entry")
	}
	return p, nil
}

// isWild reports whether a pattern or one of its elements holds a wildcard or an escape.
func isWild(s string) bool { return strings.ContainsAny(s, `*?[\`) }

// asciiClasses reports whether no [class] of the element holds a byte above 127.
func asciiClasses(e string) bool {
	in := false
	for i := 0; i < len(e); i++ {
		switch c := e[i]; {
		case c == '\\':
			if i++; in && i < len(e) && e[i] > 127 {
				return false
			}
		case c == '[' && !in:
			in = true
		case c == ']' && in:
			in = false
		case in && c > 127:
			return false
		}
	}
	return true
}

// match reports whether one name matches one element.
func match(elem, name string) bool {
	if !isWild(elem) {
		return elem == name
	}
	ok, err := path.Match(elem, name)
	return err == nil && ok
}

// pseudo reports whether a recursive listing stays out of a directory: file systems of the kernel, which are endless
// or full of side effects, and mount points of network storage, which may hang. A pattern that starts inside one of
// them is listed as asked.
func pseudo(dir string) bool {
	switch dir {
	case "/proc", "/sys", "/dev", "/run", "/mnt/pve", "/var/lib/lxcfs":
		return true
	}
	return false
}

// anyRune is one character as path.Match counts them, over bytes: a well-formed UTF-8 sequence, or else one byte.
// The group is atomic (?>...), so that matching never splits a character that is well-formed.
const anyRune = `(?>[\xc2-\xdf][\x80-\xbf]` +
	`|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]` +
	`|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[^/])`

// perlRegex translates an element that path.Match accepts into a Perl regular expression over bytes that matches the
// same names.
func perlRegex(elem string) string {
	var b strings.Builder
	b.WriteString(`\A`)
	for i := 0; i < len(elem); i++ {
		switch c := elem[i]; c {
		case '*':
			b.WriteString(`[^/]*`)
		case '?':
			b.WriteString(anyRune)
		case '\\':
			i++
			b.WriteString(hexByte(elem[i]))
		case '[':
			i = perlClass(&b, elem, i)
		default:
			b.WriteString(hexByte(c))
		}
	}
	b.WriteString(`\z`)
	return b.String()
}

// perlClass writes the class that starts at elem[i] and returns the index of its closing bracket.
func perlClass(b *strings.Builder, elem string, i int) int {
	i++
	negated := elem[i] == '^'
	if negated {
		i++
	}
	var set strings.Builder
	one := func() byte {
		if elem[i] == '\\' {
			i++
		}
		c := elem[i]
		i++
		return c
	}
	for first := true; first || elem[i] != ']'; first = false {
		lo := one()
		hi := lo
		if elem[i] == '-' {
			i++
			hi = one()
		}
		// A range that runs backwards matches nothing in path.Match and is an error in Perl.
		if lo <= hi {
			set.WriteString(hexByte(lo) + "-" + hexByte(hi))
		}
	}
	switch {
	case set.Len() == 0 && negated:
		b.WriteString(anyRune)
	case set.Len() == 0:
		b.WriteString(`(?!)`)
	case negated:
		b.WriteString(`(?![` + set.String() + `])` + anyRune)
	default:
		b.WriteString(`[` + set.String() + `]`)
	}
	return i
}

// hexByte writes a byte so that it stands for itself in any place of a Perl regular expression.
func hexByte(c byte) string {
	const digits = "0123456789abcdef"
	return `\x` + string(digits[c>>4]) + string(digits[c&15])
}

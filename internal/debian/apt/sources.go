package apt

import (
	"fmt"
	"strings"
)

// Source is one repository: one URI and one suite of an entry of sources.list(5).
type Source struct {
	// Types are deb and deb-src.
	Types      []string
	URI        string
	Suite      string
	Components []string
	// Enabled is false for a stanza with "Enabled: no" and for an entry that stands in a comment.
	Enabled bool
	// Commented is true for an entry that stands in a comment.
	Commented bool
	// SignedBy holds key files, fingerprints, or EmbeddedKey; empty when any trusted key will do.
	SignedBy []string
	// Trusted and AllowInsecure are what the entry itself says; APT accepts unsigned data when either is true.
	Trusted, AllowInsecure, AllowWeak bool
	// Syntax is "list" or "sources".
	Syntax string
	// Line is where the entry starts.
	Line int
}

// EmbeddedKey stands in Source.SignedBy for a key written into the entry itself.
const EmbeddedKey = "embedded key"

// ParseList reads the one-line syntax (*.list). It returns the entries that are well-formed together with an error for
// the first line that is not: APT refuses to work at all then.
func ParseList(b []byte) ([]Source, error) {
	var list []Source
	var first error
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		text := strings.TrimSpace(line)
		commented := false
		if strings.HasPrefix(text, "#") {
			commented = true
			text = strings.TrimSpace(strings.TrimLeft(text, "# \t"))
			if !strings.HasPrefix(text, "deb ") && !strings.HasPrefix(text, "deb-src ") {
				continue
			}
		}
		if i := strings.IndexByte(text, '#'); i >= 0 {
			text = strings.TrimSpace(text[:i])
		}
		if text == "" {
			continue
		}
		s, err := parseEntry(text)
		if err != nil {
			if !commented && first == nil {
				first = fmt.Errorf("line %d: %w", n, err)
			}
			continue
		}
		s.Line, s.Commented, s.Enabled = n, commented, !commented
		list = append(list, s)
	}
	return list, first
}

func parseEntry(text string) (Source, error) {
	s := Source{Syntax: "list"}
	kind, rest, _ := strings.Cut(text, " ")
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		kind, rest = text[:i], strings.TrimSpace(text[i:])
	}
	if kind != "deb" && kind != "deb-src" {
		return s, fmt.Errorf("%.40q is not a repository type: deb or deb-src", kind)
	}
	s.Types = []string{kind}
	if strings.HasPrefix(rest, "[") {
		options, after, ok := strings.Cut(rest[1:], "]")
		if !ok {
			return s, fmt.Errorf("the options are not closed with ]")
		}
		rest = strings.TrimSpace(after)
		for _, o := range strings.Fields(options) {
			s.option(o)
		}
	}
	uri, rest, err := cutURI(rest)
	if err != nil {
		return s, err
	}
	f := strings.Fields(rest)
	if len(f) == 0 {
		return s, fmt.Errorf("the suite is missing after the URI")
	}
	s.URI, s.Suite, s.Components = uri, f[0], f[1:]
	return s, nil
}

// cutURI takes the URI off; a cdrom: URI holds a label in brackets with blanks.
func cutURI(s string) (uri, rest string, err error) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '[':
			depth++
		case ']':
			depth--
		case ' ', '\t':
			if depth <= 0 {
				uri, rest = s[:i], s[i:]
				i = len(s)
			}
		}
	}
	if uri == "" || !strings.Contains(uri, ":") {
		// The text is not repeated: a URI may hold a password.
		return "", "", fmt.Errorf("after the type a URI and a suite must stand")
	}
	return uri, rest, nil
}

// option takes over one option of an entry; those that are of no interest are left out.
func (s *Source) option(o string) {
	key, value, _ := strings.Cut(o, "=")
	key = strings.TrimRight(key, "+-")
	switch strings.ToLower(key) {
	case "signed-by":
		s.SignedBy = signedBy(value)
	case "trusted":
		s.Trusted = Bool(value, false)
	case "allow-insecure":
		s.AllowInsecure = Bool(value, false)
	case "allow-weak":
		s.AllowWeak = Bool(value, false)
	}
}

func signedBy(value string) []string {
	if strings.Contains(value, "-----BEGIN PGP") {
		return []string{EmbeddedKey}
	}
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}

// ParseSources reads the deb822 syntax (*.sources). A stanza gives one Source for each pair of URI and suite. Stanzas
// that stand in comments are returned too. The error is that of the first malformed stanza.
func ParseSources(b []byte) ([]Source, error) {
	var list []Source
	var first error
	var live, dead []field
	flush := func() {
		if len(live) > 0 {
			s, err := stanza(live, false)
			if err != nil && first == nil {
				first = err
			}
			list = append(list, s...)
		}
		if s, err := stanza(dead, true); err == nil {
			list = append(list, s...)
		}
		live, dead = nil, nil
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		text := strings.TrimRight(line, "\r\n \t")
		switch {
		case text == "":
			flush()
		case text[0] == '#':
			dead = appendField(dead, strings.TrimPrefix(strings.TrimLeft(text, "#"), " "), n)
		default:
			live = appendField(live, text, n)
		}
	}
	flush()
	return list, first
}

type field struct {
	key   string
	lines []string // of the value
	line  int
}

func (f field) value() string { return strings.Join(f.lines, "\n") }

// appendField adds a line to the fields of a stanza: a new field, or a continuation of the last one.
func appendField(fields []field, text string, line int) []field {
	if text == "" {
		return fields
	}
	if text[0] == ' ' || text[0] == '\t' {
		if len(fields) > 0 {
			last := &fields[len(fields)-1]
			last.lines = append(last.lines, strings.TrimSpace(text))
		}
		return fields
	}
	key, value, ok := strings.Cut(text, ":")
	if !ok {
		return append(fields, field{lines: []string{text}, line: line})
	}
	return append(fields, field{strings.TrimSpace(key), []string{strings.TrimSpace(value)}, line})
}

func stanza(fields []field, commented bool) ([]Source, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	s := Source{Syntax: "sources", Enabled: !commented, Commented: commented, Line: fields[0].line}
	var uris, suites []string
	for _, f := range fields {
		switch strings.ToLower(f.key) {
		case "":
			return nil, fmt.Errorf("line %d: %.60q is not a field", f.line, f.value())
		case "types":
			s.Types = strings.Fields(f.value())
		case "uris":
			uris = strings.Fields(f.value())
		case "suites":
			suites = strings.Fields(f.value())
		case "components":
			s.Components = strings.Fields(f.value())
		case "enabled":
			s.Enabled = s.Enabled && Bool(f.value(), true)
		case "signed-by", "trusted", "allow-insecure", "allow-weak":
			s.option(f.key + "=" + f.value())
		}
	}
	if len(s.Types) == 0 || len(uris) == 0 || len(suites) == 0 {
		return nil, fmt.Errorf("line %d: a stanza needs Types, URIs and Suites", s.Line)
	}
	if len(uris)*len(suites) > 1000 {
		return nil, fmt.Errorf("line %d: %d URIs times %d suites are too many", s.Line, len(uris), len(suites))
	}
	var list []Source
	for _, u := range uris {
		for _, suite := range suites {
			one := s
			one.URI, one.Suite = u, suite
			list = append(list, one)
		}
	}
	return list, nil
}

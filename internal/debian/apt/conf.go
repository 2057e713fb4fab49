// Package apt reads the configuration of Debian's APT and what it keeps on disk: apt.conf, sources in both syntaxes,
// package indices, and the origin patterns of unattended-upgrades. It is pure: bytes in, values out, errors with line
// numbers; which files exist and in which order they count is for the caller to find out.
package apt

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxDepth bounds the nesting of blocks in apt.conf; real files have four levels.
const maxDepth = 64

// Option is a node of APT's configuration tree that holds a value.
type Option struct {
	// Name is the full name, "APT::Periodic::Enable", in the spelling that stood first; a list element's ends in "::".
	Name  string
	Value string
	// Source is where the value stands: "/etc/apt/apt.conf.d/20auto-upgrades:1".
	Source string
}

// Config is APT's configuration tree, the sum of the files given to Merge in their order (apt.conf(5)). The zero
// Config is empty and ready to use.
type Config struct {
	root node
	// Includes are the files that #include directives name; this package does not read them.
	Includes []string
}

type node struct {
	tag      string // empty for a list element
	option   Option
	set      bool
	children []*node
	byTag    map[string]*node // the named children by their tag in lower case
}

func (n *node) child(tag string) *node { return n.byTag[strings.ToLower(tag)] }

// Find returns the value of an option by its full name; names are case-insensitive. It reports false when nothing
// sets the option.
func (c *Config) Find(name string) (Option, bool) {
	n := c.lookup(name)
	if n == nil || !n.set {
		return Option{}, false
	}
	return n.option, true
}

// List returns the values directly below an option, list elements and named ones alike, in their order.
func (c *Config) List(name string) []Option {
	n := c.lookup(name)
	if n == nil {
		return nil
	}
	var list []Option
	for _, child := range n.children {
		if child.set {
			list = append(list, child.option)
		}
	}
	return list
}

// All returns every value of the tree whose name starts with a prefix (case-insensitive), in the order of the tree.
func (c *Config) All(prefix string) []Option {
	var list []Option
	var walk func(n *node)
	walk = func(n *node) {
		if n.set && len(n.option.Name) >= len(prefix) && strings.EqualFold(n.option.Name[:len(prefix)], prefix) {
			list = append(list, n.option)
		}
		for _, child := range n.children {
			walk(child)
		}
	}
	walk(&c.root)
	return list
}

func (c *Config) lookup(name string) *node {
	n := &c.root
	for tag := range strings.SplitSeq(name, "::") {
		if n = n.child(tag); n == nil {
			return nil
		}
	}
	return n
}

// Merge reads a further file into the tree: its values replace those of earlier files, its lists are appended to
// theirs. On an error the tree holds what stood before the error.
func (c *Config) Merge(file string, b []byte) error {
	p := confParser{conf: c, file: file}
	return p.run(string(b))
}

type confParser struct {
	conf   *Config
	file   string
	scopes []string // full names of the open blocks
	buf    strings.Builder
	line   int // of the first character in buf
	quoted bool
}

func (p *confParser) run(s string) error {
	line := 1
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\n':
			if p.quoted {
				return p.errorf(line, "the quote is not closed on its line")
			}
			line++
			p.add(' ', line)
		case p.quoted || c == '"':
			if c == '"' {
				p.quoted = !p.quoted
			}
			p.add(c, line)
		case strings.HasPrefix(s[i:], "/*"):
			end := strings.Index(s[i+2:], "*/")
			if end < 0 {
				return p.errorf(line, "the comment is not closed")
			}
			line += strings.Count(s[i:i+2+end], "\n")
			i += 2 + end + 1
			p.add(' ', line)
		case strings.HasPrefix(s[i:], "//"), c == '#' && !directive(s[i:]):
			if end := strings.IndexByte(s[i:], '\n'); end >= 0 {
				i += end - 1
			} else {
				i = len(s)
			}
		case c == ';' || c == '{' || c == '}':
			if err := p.statement(c, line); err != nil {
				return err
			}
		default:
			p.add(c, line)
		}
	}
	if p.quoted {
		return p.errorf(line, "the quote is not closed")
	}
	if strings.TrimSpace(p.buf.String()) != "" {
		return p.errorf(p.line, "the last statement lacks its semicolon")
	}
	if len(p.scopes) > 0 {
		return p.errorf(line, "a block is not closed with }")
	}
	return nil
}

func directive(s string) bool {
	return strings.HasPrefix(s, "#clear") || strings.HasPrefix(s, "#include")
}

func (p *confParser) add(c byte, line int) {
	if p.buf.Len() == 0 {
		if c == ' ' || c == '\t' || c == '\r' {
			return
		}
		p.line = line
	}
	p.buf.WriteByte(c)
}

// statement ends what was gathered at one of ; { }.
func (p *confParser) statement(term byte, line int) error {
	text := strings.TrimSpace(p.buf.String())
	p.buf.Reset()
	words, err := splitWords(text)
	if err != nil {
		return p.errorf(p.line, "%v", err)
	}
	switch {
	case term == '{':
		if len(words) == 0 || len(words) > 2 {
			return p.errorf(line, "a name must stand before {")
		}
		if len(p.scopes) >= maxDepth {
			return p.errorf(line, "blocks are nested more than %d deep", maxDepth)
		}
		name := p.name(words[0].text)
		if len(words) == 2 { // the block's own value
			p.conf.root.put(name, words[1].text, p.source())
		}
		p.scopes = append(p.scopes, name)
		return nil
	case len(words) > 0 && strings.HasPrefix(words[0].text, "#"):
		if err := p.directive(words); err != nil {
			return err
		}
	case len(words) == 1:
		p.conf.root.put(p.name(""), words[0].text, p.source()) // an element of the list that the block is
	case len(words) > 1:
		value := words[1].text
		for _, w := range words[2:] { // strings in quotes that follow each other are one value
			if !w.quoted || !words[1].quoted {
				return p.errorf(p.line, "more words stand after the value: the semicolon is missing, or quotes are")
			}
			value += " " + w.text
		}
		p.conf.root.put(p.name(words[0].text), value, p.source())
	}
	if term == '}' {
		if len(p.scopes) == 0 {
			return p.errorf(line, "} without {")
		}
		p.scopes = p.scopes[:len(p.scopes)-1]
	}
	return nil
}

func (p *confParser) directive(words []word) error {
	if len(words) != 2 {
		return p.errorf(p.line, "%.40s needs one argument", words[0].text)
	}
	switch words[0].text {
	case "#clear":
		p.conf.root.clear(p.name(words[1].text))
	case "#include":
		p.conf.Includes = append(p.conf.Includes, words[1].text)
	default:
		return p.errorf(p.line, "unknown directive %.40q", words[0].text)
	}
	return nil
}

// name puts a tag below the open block. An empty tag names a list element there.
func (p *confParser) name(tag string) string {
	if len(p.scopes) == 0 {
		return tag
	}
	return p.scopes[len(p.scopes)-1] + "::" + tag
}

func (p *confParser) source() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

func (p *confParser) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", p.file, line, fmt.Sprintf(format, args...))
}

// put sets a value; a name that ends in "::" appends a list element.
func (n *node) put(name, value, source string) {
	path := ""
	for tag := range strings.SplitSeq(name, "::") {
		var next *node
		if tag != "" {
			next = n.child(tag)
		}
		if next == nil {
			next = &node{tag: tag}
			next.option.Name = path + tag
			n.children = append(n.children, next)
			if tag != "" {
				if n.byTag == nil {
					n.byTag = map[string]*node{}
				}
				n.byTag[strings.ToLower(tag)] = next
			}
		}
		path += tag + "::"
		n = next
		if tag == "" {
			n.option.Name = path[:len(path)-2]
			break
		}
	}
	n.set, n.option.Value, n.option.Source = true, value, source
}

// clear removes a name and everything below it.
func (n *node) clear(name string) {
	tags := strings.Split(strings.TrimSuffix(name, "::"), "::")
	for _, tag := range tags[:len(tags)-1] {
		if n = n.child(tag); n == nil {
			return
		}
	}
	last := tags[len(tags)-1]
	delete(n.byTag, strings.ToLower(last))
	n.children = slices.DeleteFunc(n.children, func(c *node) bool { return strings.EqualFold(c.tag, last) })
}

type word struct {
	text   string
	quoted bool
}

// splitWords splits a statement at white space outside quotes and takes the quotes away.
func splitWords(s string) ([]word, error) {
	var words []word
	var b strings.Builder
	var w word
	open, quoted := false, false
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || !quoted && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r'):
			if open {
				w.text = b.String()
				words, w, open = append(words, w), word{}, false
				b.Reset()
			}
		case s[i] == '"':
			quoted, open, w.quoted = !quoted, true, true
		default:
			b.WriteByte(s[i])
			open = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("the quote is not closed")
	}
	return words, nil
}

var partName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// IsPart reports whether APT reads a file of this name in apt.conf.d: only letters, digits and _ . - are allowed, and
// no extension or "conf" (apt.conf(5)).
func IsPart(name string) bool { return isPart(name, "conf") && name[0] != '.' }

// IsSourcePart reports whether APT reads a file of this name in sources.list.d, and in which syntax: "list" or
// "sources" (sources.list(5)).
func IsSourcePart(name string) (syntax string, ok bool) {
	for _, syntax := range []string{"list", "sources"} {
		if strings.HasSuffix(name, "."+syntax) && partName.MatchString(name) && name[0] != '.' {
			return syntax, true
		}
	}
	return "", false
}

func isPart(name, extension string) bool {
	if !partName.MatchString(name) {
		return false
	}
	_, ext, found := strings.Cut(name, ".")
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		ext = name[i+1:]
	}
	return !found || ext == extension
}

// Bool reads a value as APT does: yes, true, with, on, enable and numbers other than zero are true; no, false,
// without, off, disable and 0 are false. Anything else gives the default.
func Bool(value string, byDefault bool) bool {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "yes", "true", "with", "on", "enable":
		return true
	case "no", "false", "without", "off", "disable":
		return false
	case "":
		return byDefault
	}
	v := strings.TrimSpace(value)
	if strings.Trim(v, "0123456789") == "" {
		return strings.Trim(v, "0") != ""
	}
	return byDefault
}

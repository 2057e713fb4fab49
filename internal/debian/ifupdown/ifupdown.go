// Package ifupdown reads the network configuration of Debian and Proxmox VE: /etc/network/interfaces with the files
// it sources (interfaces(5) of ifupdown and ifupdown2). Stanzas keep their order, options keep file and line, and
// both spellings of an option (bridge_ports, bridge-ports) give the same key. Nothing is executed or resolved.
package ifupdown

import (
	"fmt"
	"path"
	"strings"
)

// Limits against loops and floods of included files.
const (
	maxDepth = 8
	maxFiles = 500
)

// Source gives the files of the target: Read returns a file's content, Glob the paths that match a shell pattern.
type Source struct {
	Read func(path string) ([]byte, error)
	Glob func(pattern string) ([]string, error)
}

// Config is the configuration of all interfaces.
type Config struct {
	// Interfaces are in order of first mention.
	Interfaces []*Interface
	// Problems are lines that were not understood and files that could not be read, as "file:line: why".
	Problems []string
	// Errors are what Source answered for files that exist in the configuration but could not be read.
	Errors []error
}

// Interface is everything said about one interface.
type Interface struct {
	Name string
	// Auto is true when the interface is brought up at boot (auto, allow-auto) or when plugged in (allow-hotplug),
	// or by Open vSwitch (allow-ovs).
	Auto    bool
	Stanzas []Stanza
}

// Stanza is one iface block. Family and Method are empty for the short form of ifupdown2.
type Stanza struct {
	Family  string // inet, inet6
	Method  string // static, dhcp, manual, auto, loopback ...
	File    string
	Line    int
	Options []Option
}

// Option is one line of a stanza. The key is in lower case with hyphens.
type Option struct {
	Key, Value string
	File       string
	Line       int
}

// Get returns the value of the last option of that key in the stanza, and whether there is one.
func (s Stanza) Get(key string) (string, bool) {
	v, ok := "", false
	for _, o := range s.Options {
		if o.Key == key {
			v, ok = o.Value, true
		}
	}
	return v, ok
}

// Option returns the last value of a key over all stanzas of the interface.
func (i *Interface) Option(key string) (string, bool) {
	v, ok := "", false
	for _, s := range i.Stanzas {
		if x, found := s.Get(key); found {
			v, ok = x, true
		}
	}
	return v, ok
}

// Load reads a file and everything that it sources.
func Load(file string, src Source) (*Config, error) {
	p := &parser{src: src, byName: map[string]*Interface{}, cfg: &Config{}}
	b, err := src.Read(file)
	if err != nil {
		return nil, err
	}
	p.parse(file, b, 0)
	return p.cfg, nil
}

type parser struct {
	src    Source
	cfg    *Config
	byName map[string]*Interface
	files  int
	cur    *Interface // whose last stanza takes option lines; nil outside of an iface block
}

// line is a logical line: physical lines joined at trailing backslashes.
type line struct {
	n    int
	text string
}

func logical(b []byte) []line {
	var out []line
	var acc strings.Builder
	start := 0
	for i, l := range strings.Split(string(b), "\n") {
		l = strings.TrimSuffix(l, "\r")
		if acc.Len() == 0 {
			start = i + 1
		}
		if acc.Len() == 0 && strings.HasPrefix(strings.TrimSpace(l), "#") {
			continue
		}
		if strings.HasSuffix(l, "\\") {
			acc.WriteString(strings.TrimSuffix(l, "\\"))
			acc.WriteByte(' ')
			continue
		}
		acc.WriteString(l)
		out = append(out, line{start, strings.TrimSpace(acc.String())})
		acc.Reset()
	}
	if acc.Len() > 0 {
		out = append(out, line{start, strings.TrimSpace(acc.String())})
	}
	return out
}

func (p *parser) parse(file string, b []byte, depth int) {
	p.files++
	p.cur = nil
	for _, l := range logical(b) {
		if l.text == "" {
			continue
		}
		f := strings.Fields(l.text)
		key, rest := f[0], f[1:]
		switch {
		case key == "auto" || strings.HasPrefix(key, "allow-"):
			p.cur = nil
			for _, n := range rest {
				p.iface(n).Auto = true
			}
		case key == "iface":
			p.stanza(file, l.n, rest)
		case key == "source" || key == "source-directory":
			p.cur = nil
			p.include(file, l.n, key, strings.TrimSpace(strings.TrimPrefix(l.text, key)), depth)
			p.cur = nil
		case key == "mapping" || key == "no-auto-down" || key == "no-scripts" || key == "template" || key == "rename":
			p.cur = nil
		case p.cur == nil:
			if key != "script" && key != "map" { // lines of a mapping stanza
				p.problem(file, l.n, fmt.Sprintf("option %q belongs to no interface", clip(key)))
			}
		default:
			s := &p.cur.Stanzas[len(p.cur.Stanzas)-1]
			value := strings.TrimSpace(strings.TrimPrefix(l.text, key))
			s.Options = append(s.Options, Option{Key: normal(key), Value: value, File: file, Line: l.n})
		}
	}
	p.cur = nil
}

func (p *parser) stanza(file string, n int, words []string) {
	p.cur = nil
	if len(words) == 0 {
		p.problem(file, n, "iface without a name")
		return
	}
	s := Stanza{File: file, Line: n}
	if len(words) >= 2 && words[1] != "inherits" {
		s.Family = words[1]
	}
	if len(words) >= 3 && s.Family != "" {
		s.Method = words[2]
	}
	p.cur = p.iface(words[0])
	p.cur.Stanzas = append(p.cur.Stanzas, s)
}

// include handles source (files by pattern) and source-directory (files whose names consist of letters, digits,
// underscores and hyphens, as interfaces(5) says; ifupdown2 takes every file, so the wider rule of source is applied to
// the pattern directory/*).
func (p *parser) include(file string, n int, key, pattern string, depth int) {
	if pattern == "" {
		p.problem(file, n, key+" without a path")
		return
	}
	if depth >= maxDepth || p.files >= maxFiles {
		p.problem(file, n, "too many included files; "+clip(pattern)+" was not read")
		return
	}
	if !strings.HasPrefix(pattern, "/") {
		pattern = path.Join(path.Dir(file), pattern)
	}
	if key == "source-directory" {
		pattern = strings.TrimSuffix(pattern, "/") + "/*"
	}
	paths, err := p.src.Glob(pattern)
	if err != nil {
		p.unread(file, n, pattern, err)
		return
	}
	for _, f := range paths {
		b, err := p.src.Read(f)
		if err != nil {
			p.unread(file, n, f, err)
			continue
		}
		if p.files >= maxFiles {
			p.problem(file, n, "too many included files")
			return
		}
		p.parse(f, b, depth+1)
	}
}

func (p *parser) iface(name string) *Interface {
	if i := p.byName[name]; i != nil {
		return i
	}
	i := &Interface{Name: name}
	p.byName[name] = i
	p.cfg.Interfaces = append(p.cfg.Interfaces, i)
	return i
}

func (p *parser) unread(file string, n int, what string, err error) {
	p.problem(file, n, fmt.Sprintf("cannot read %s: %v", clip(what), err))
	p.cfg.Errors = append(p.cfg.Errors, err)
}

func (p *parser) problem(file string, n int, why string) {
	p.cfg.Problems = append(p.cfg.Problems, fmt.Sprintf("%s:%d: %s", file, n, why))
}

// normal brings the two spellings of option names together.
func normal(key string) string { return strings.ReplaceAll(strings.ToLower(key), "_", "-") }

// clip bounds what of a hostile line goes into a message, in bytes.
func clip(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "..."
	}
	return s
}

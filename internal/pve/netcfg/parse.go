package netcfg

import (
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Limits against loops and floods of included files.
const (
	maxDepth = 8
	maxFiles = 500
	mainFile = "/etc/network/interfaces"
)

// Parse reads /etc/network/interfaces (or interfaces.new). included holds the files that its source lines may name, by
// path; a file that no line names is not in force, which is a problem of its own for the file that SDN writes.
func Parse(b []byte, included map[string][]byte) (*Config, []pve.Problem) {
	p := &parser{c: &Config{raw: b}, index: map[string]int{}, auto: map[string]bool{}, seen: map[string]bool{}, included: included}
	for name := range included {
		p.names = append(p.names, name)
	}
	slices.Sort(p.names)
	p.file(mainFile, b, 0)
	p.finish()
	const sdn = "/etc/network/interfaces.d/sdn"
	if _, ok := included[sdn]; ok && len(b) > 0 && !p.seen[sdn] {
		p.problems = append(p.problems, pve.Warnf(0, "%s exists, but no source line includes it: the networks of SDN do not come up; add \"source /etc/network/interfaces.d/*\"", sdn))
	}
	return p.c, p.problems
}

type parser struct {
	c        *Config
	index    map[string]int // of Interfaces, by name
	auto     map[string]bool
	order    []autoLine
	seen     map[string]bool
	included map[string][]byte
	names    []string // of included, sorted
	problems []pve.Problem

	// the stanza that is open
	current int // index of the interface, -1 for none
	opts    []Option
	method  string
	blank   bool // an empty line came since the last option
	foreign bool // within a mapping or another block that is nobody's business here
}

type autoLine struct {
	name, file string
	line       int
}

// warn and skip report; lines of included files say which file they are in.
func (p *parser) warn(file string, line int, text string) {
	if file != mainFile {
		text = file + ": " + text
	}
	p.problems = append(p.problems, pve.Warnf(line, "%s", text))
}

func (p *parser) skip(file string, line int, text string) {
	if file != mainFile {
		text = file + ": " + text
	}
	p.problems = append(p.problems, pve.Skipf(line, "%s", text))
}

func (p *parser) file(name string, b []byte, depth int) {
	p.seen[name] = true
	p.close()
	n := 0
	rest := string(b)
	for len(rest) > 0 {
		start := n + 1
		line, after, used, joined := logical(rest)
		rest = after
		n += used
		if joined > 0 {
			p.warn(name, start, "the line goes on after a backslash: ifupdown joins the lines, PVE does not and loses the rest of the stanza in the web interface")
		}
		p.line(name, start, strings.TrimSpace(line), depth)
	}
	p.close()
}

// logical cuts the next line off, joined with those that follow a backslash at its end (interfaces(5)). A comment is not
// continued by PVE nor ifupdown2.
func logical(s string) (line, rest string, used, joined int) {
	var b strings.Builder
	for {
		l, r, ok := strings.Cut(s, "\n")
		s = r
		used++
		l = strings.TrimSuffix(l, "\r")
		comment := joined == 0 && strings.HasPrefix(strings.TrimSpace(l), "#")
		if !comment && strings.HasSuffix(l, `\`) && ok {
			b.WriteString(strings.TrimSuffix(l, `\`))
			b.WriteByte(' ')
			joined++
			continue
		}
		if joined == 0 {
			return l, s, used, 0
		}
		b.WriteString(l)
		return b.String(), s, used, joined
	}
}

func (p *parser) line(file string, n int, l string, depth int) {
	if l == "" {
		p.blank = true
		return
	}
	if l[0] == '#' {
		p.comment(l)
		return
	}
	word, value := cutSpace(l)
	switch {
	case word == "iface":
		p.open(file, n, value)
	case word == "auto", word == "allow-auto", word == "allow-ovs", word == "allow-hotplug":
		p.close()
		for _, name := range strings.Fields(value) {
			if !p.auto[name] {
				p.auto[name] = true
				p.order = append(p.order, autoLine{name, file, n})
			}
		}
	case word == "source", word == "source-directory":
		p.close()
		p.source(file, n, word, value, depth)
	case word == "mapping", word == "template", word == "no-auto-down", word == "no-scripts", word == "rename", strings.HasPrefix(word, "allow-"):
		p.close()
		p.foreign = true
	case p.current >= 0:
		p.option(file, n, word, value)
	case p.foreign:
	default:
		p.skip(file, n, "not within a stanza: "+clip(l))
	}
}

func (p *parser) comment(l string) {
	if p.current >= 0 && !p.blank {
		i := &p.c.Interfaces[p.current]
		i.Comments = append(i.Comments, strings.TrimSpace(l[1:]))
	}
}

func (p *parser) open(file string, n int, value string) {
	p.close()
	f := strings.Fields(value)
	switch {
	case len(f) == 0:
		p.skip(file, n, "iface without a name")
		p.foreign = true
		return
	case len(f) == 3 && (f[1] == "inet" || f[1] == "inet6"):
		p.method = f[1] + " " + f[2]
	case len(f) == 1:
	default:
		p.warn(file, n, "PVE does not know this form of iface and does not show "+clip(f[0]))
		p.method = strings.Join(f[1:], " ")
	}
	i, ok := p.index[f[0]]
	if !ok {
		i = len(p.c.Interfaces)
		p.index[f[0]] = i
		p.c.Interfaces = append(p.c.Interfaces, Interface{Name: f[0], File: file, Line: n})
	}
	p.current = i
	p.c.Interfaces[i].Methods = append(p.c.Interfaces[i].Methods, p.method)
}

func (p *parser) option(file string, n int, key, value string) {
	if value == "" {
		p.warn(file, n, "an option without a value: for PVE the stanza ends here: "+clip(key))
		return
	}
	if p.blank {
		p.warn(file, n, "an option after an empty line: it counts for ifupdown, but for PVE the stanza ended at the empty line")
		p.blank = false
	}
	p.opts = append(p.opts, Option{Key: strings.ReplaceAll(key, "_", "-"), Value: value, File: file, Line: n})
}

// close hands the options of the open stanza to its interface.
func (p *parser) close() {
	if p.current >= 0 && p.current < len(p.c.Interfaces) && (len(p.opts) > 0 || p.method != "") {
		for _, pr := range apply(&p.c.Interfaces[p.current], p.opts) {
			p.warn(pr.File, pr.Line, pr.Value)
		}
	}
	p.current, p.opts, p.method, p.blank, p.foreign = -1, nil, "", false, false
}

// source follows an include. Relative patterns are relative to /etc/network; source-directory takes names of letters,
// digits, hyphens and underscores only (interfaces(5)).
func (p *parser) source(file string, n int, word, value string, depth int) {
	if value == "" {
		p.skip(file, n, word+" without a path")
		return
	}
	p.c.Sources = append(p.c.Sources, value)
	if depth >= maxDepth {
		p.skip(file, n, "includes are nested too deeply")
		return
	}
	pattern := value
	if !path.IsAbs(pattern) {
		pattern = path.Join("/etc/network", pattern)
	}
	if word == "source-directory" {
		pattern = strings.TrimSuffix(pattern, "/") + "/*"
	}
	found := false
	for _, name := range p.names {
		if ok, err := path.Match(pattern, name); err != nil || !ok {
			continue
		}
		if word == "source-directory" && !plainName(path.Base(name)) {
			continue
		}
		found = true
		if p.seen[name] {
			continue
		}
		if len(p.seen) >= maxFiles {
			p.skip(file, n, "too many files are included")
			return
		}
		p.file(name, p.included[name], depth+1)
	}
	if !found && !strings.ContainsAny(pattern, "*?[") {
		p.warn(file, n, "the included file is not there or was not read: "+clip(value))
	}
}

func plainName(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}

// finish sets what depends on the whole: autostart and kinds. PVE knows lo even where the file does not name it.
func (p *parser) finish() {
	for _, a := range p.order {
		i, ok := p.index[a.name]
		switch {
		case ok:
			p.c.Interfaces[i].Autostart = true
		case a.name != "lo" && !strings.HasPrefix(a.name, "/"):
			p.warn(a.file, a.line, "auto names "+clip(a.name)+", which no stanza defines")
		}
	}
	for i := range p.c.Interfaces {
		iface := &p.c.Interfaces[i]
		derive(iface)
		if iface.Kind == Bond && !bondName(iface.Name) {
			p.warn(iface.File, iface.Line, clip(iface.Name)+" is a bond, but PVE takes only names like bond0 for one")
		}
	}
}

func cutSpace(s string) (word, rest string) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimSpace(s[i:])
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

// prefix joins an address with its netmask, a length or dotted. Without one the address has the full length.
func prefix(address, mask string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(address); err == nil {
		return p, true
	}
	a, err := netip.ParseAddr(address)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	bits := a.BitLen()
	if m, err := netip.ParseAddr(mask); err == nil && m.Is4() && a.Is4() {
		n, ok := maskLength(m.As4())
		if !ok {
			return netip.Prefix{}, false
		}
		bits = n
	} else if n, ok := number(mask); ok && n <= bits {
		bits = n
	} else if mask != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, bits), true
}

// maskLength is the length of a dotted netmask; false for one with holes.
func maskLength(m [4]byte) (int, bool) {
	v := uint32(m[0])<<24 | uint32(m[1])<<16 | uint32(m[2])<<8 | uint32(m[3])
	n := 0
	for v&(1<<31) != 0 {
		n++
		v <<= 1
	}
	return n, v == 0
}

package firewall

import (
	"fmt"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Lengths and forms of names (PVE::Firewall).
const (
	maxAliasName = 64
	maxIPSetName = 64
	maxGroupName = 18
)

type section uint8

const (
	noSection section = iota
	optionsSection
	aliasesSection
	rulesSection
	groupSection
	ipsetSection
)

// accepts says which sections a kind of file has. Perl does not recognise the header of any other.
func (k Kind) accepts(s section) bool {
	switch s {
	case optionsSection, rulesSection:
		return true
	case aliasesSection, ipsetSection:
		return k == ClusterFile || k == GuestFile
	case groupSection:
		return k == ClusterFile
	}
	return false
}

type parser struct {
	f        *File
	problems []pve.Problem
	section  section
	seen     map[string]bool // entries of the ipset at hand
	line     int
}

// Parse reads a file of the given kind as pve-firewall does. The problems are its own; what proxmox-firewall makes of
// the file is in Strict.
func Parse(kind Kind, b []byte) (*File, []pve.Problem) {
	f := newFile(kind, string(b))
	p := &parser{f: f}
	for i := range f.starts {
		p.line = i + 1
		p.read(trimBlanks(f.rawLine(i)))
	}
	f.Strict = parseStrict(kind, f.raw, false).Strict
	return f, p.problems
}

func newFile(kind Kind, raw string) *File {
	f := &File{Kind: kind, raw: raw}
	if raw == "" {
		return f
	}
	f.starts = make([]int32, 0, strings.Count(raw, "\n")+1)
	for at := 0; at < len(raw); {
		f.starts = append(f.starts, int32(at))
		n := strings.IndexByte(raw[at:], '\n')
		if n < 0 {
			break
		}
		at += n + 1
	}
	return f
}

// rawLine is a line, counted from 0, without its newline.
func (f *File) rawLine(i int) string {
	end := len(f.raw)
	if i+1 < len(f.starts) {
		end = int(f.starts[i+1])
	}
	return strings.TrimSuffix(f.raw[f.starts[i]:end], "\n")
}

// trimBlanks removes Perl's \h from both ends: blank, tab and the byte of a no-break space. A carriage return stays,
// and that is why "[RULES]" is not found in a file with Windows line ends.
func trimBlanks(s string) string {
	blank := func(c byte) bool { return c == ' ' || c == '\t' || c == 0xa0 }
	for s != "" && blank(s[0]) {
		s = s[1:]
	}
	for s != "" && blank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// space is Perl's \s.
func space(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func trimSpace(s string) string {
	for s != "" && space(s[0]) {
		s = s[1:]
	}
	for s != "" && space(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// word cuts the leading run of Perl's \S.
func word(s string) (w, rest string) {
	i := 0
	for i < len(s) && !space(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

func (p *parser) skip(format string, args ...any) {
	p.problems = append(p.problems, pve.Skipf(p.line, format, args...))
}

func (p *parser) read(line string) {
	if line == "" || line[0] == '#' || trimSpace(line) == "" {
		return
	}
	if line[0] == '[' && p.header(line) {
		return
	}
	switch p.section {
	case noSection:
		p.skip("a line outside of any section: %q", clip(line))
	case optionsSection:
		name, value, why := perlOption(p.f.Kind, line)
		if why != "" {
			p.skip("%s: %q", why, clip(line))
			return
		}
		p.f.name(optionName, name, len(p.f.Options), p.line)
		p.f.Options = append(p.f.Options, Option{name, value, p.line})
	case aliasesSection:
		p.alias(line)
	case ipsetSection:
		p.entry(line)
	case rulesSection, groupSection:
		p.rule(line)
	}
}

// header recognises the header of a section. What looks like one and is none falls to the section at hand, as in Perl.
func (p *parser) header(line string) bool {
	k := p.f.Kind
	switch {
	case strings.EqualFold(line, "[options]"):
		p.section = optionsSection
	case strings.EqualFold(line, "[rules]"):
		p.section = rulesSection
	case strings.EqualFold(line, "[aliases]") && k.accepts(aliasesSection):
		p.section = aliasesSection
	default:
		if name, comment, ok := namedHeader(line, "group"); ok && k.accepts(groupSection) {
			p.group(name, comment)
			return true
		}
		if name, comment, ok := namedHeader(line, "ipset"); ok && k.accepts(ipsetSection) {
			p.ipset(name, comment)
			return true
		}
		return false
	}
	return true
}

// namedHeader takes "[word NAME] # comment" apart, the word in any case.
func namedHeader(line, what string) (name, comment string, ok bool) {
	if len(line) < len(what)+3 || !strings.EqualFold(line[1:1+len(what)], what) || !space(line[1+len(what)]) {
		return "", "", false
	}
	rest := line[1+len(what):]
	for rest != "" && space(rest[0]) {
		rest = rest[1:]
	}
	w, _ := word(rest)
	// The name is the longest run without white space that still leaves "]" and nothing, or a comment, after it.
	for end := strings.LastIndexByte(w, ']'); end > 0; end = strings.LastIndexByte(w[:end], ']') {
		after := trimSpace(rest[end+1:])
		if after == "" {
			return w[:end], "", true
		}
		if after[0] == '#' {
			return w[:end], trimSpace(after[1:]), true
		}
	}
	return "", "", false
}

func (p *parser) group(name, comment string) {
	lowered, ok := p.heading("the group", "a group", "rules", name, maxGroupName)
	if !ok {
		return
	}
	if old, ok := p.f.Group(lowered); ok {
		p.again("group", lowered, old.Line)
	}
	p.section = groupSection
	p.f.name(groupName, lowered, len(p.f.Groups), p.line)
	p.f.Groups = append(p.f.Groups, Group{Name: lowered, Written: name, Comment: comment, Line: p.line})
}

func (p *parser) ipset(name, comment string) {
	lowered, ok := p.heading("the ipset", "an ipset", "entries", name, maxIPSetName)
	if !ok {
		return
	}
	if old, ok := p.f.IPSet(lowered); ok {
		p.again("ipset", lowered, old.Line)
	}
	p.section = ipsetSection
	p.seen = map[string]bool{}
	p.f.name(ipsetName, lowered, len(p.f.IPSets), p.line)
	p.f.IPSets = append(p.f.IPSets, IPSet{Name: lowered, Written: name, Comment: comment, Line: p.line})
}

// heading checks the name in the header of a section, in lower case as PVE keeps it. With a name that PVE refuses the
// section is none, and what stands below it is not read.
func (p *parser) heading(the, a, content, name string, limit int) (lowered string, ok bool) {
	lowered = strings.ToLower(name)
	p.section = noSection
	switch {
	case len(lowered) > limit:
		p.skip("the name of %s %s is longer than %d characters; its %s are not read", the, clip(name), limit, content)
		return "", false
	case !validName(lowered):
		p.skip("%q is no name of %s; its %s are not read", clip(name), a, content)
		return "", false
	}
	return lowered, true
}

// again warns that a section replaces the one of the same name before it.
func (p *parser) again(what, name string, before int) {
	p.problems = append(p.problems, pve.Warnf(before, "the %s %s is defined again in line %d, which replaces it", what, name, p.line))
}

// alias reads "name CIDR # comment", with exactly one white space between (parse_alias).
func (p *parser) alias(line string) {
	body, comment, _ := strings.Cut(line, "#")
	if comment != "" || strings.IndexByte(line, '#') >= 0 {
		body = trimRightSpace(body)
	}
	name, rest := word(body)
	if name == "" || rest == "" || !space(rest[0]) {
		p.skip("no alias %q; an alias is \"name CIDR\"", clip(line))
		return
	}
	cidr, after := word(rest[1:])
	if cidr == "" || after != "" {
		p.skip("no alias %q; exactly one blank stands between name and CIDR", clip(line))
		return
	}
	cidr, ok := plainCIDR(cidr)
	if !ok {
		p.skip("the alias %s: %q is no IP address and no network", clip(name), clip(cidr))
		return
	}
	lowered := strings.ToLower(name)
	if old, found := p.f.Alias(lowered); found {
		p.problems = append(p.problems, pve.Warnf(old.Line, "the alias %s is defined again in line %d, which replaces it", clip(name), p.line))
	}
	if !ValidCIDR(cidr) {
		p.problems = append(p.problems, pve.Warnf(p.line, "the alias %s: %s has a prefix that is too long; iptables refuses what uses it", clip(name), cidr))
	}
	p.f.name(aliasName, lowered, len(p.f.Aliases), p.line)
	p.f.Aliases = append(p.f.Aliases, Alias{Name: name, CIDR: cidr, Comment: trimSpace(comment), Line: p.line})
}

func trimRightSpace(s string) string {
	for s != "" && space(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// entry reads one line of an ipset. An entry with an error stays and counts for nothing, except that it makes a second
// one like it a duplicate.
func (p *parser) entry(line string) {
	set := &p.f.IPSets[len(p.f.IPSets)-1]
	body, comment, _ := strings.Cut(line, "#")
	e := Entry{Line: p.line, Comment: trimSpace(comment)}
	rest := body
	if strings.HasPrefix(rest, "!") && trimSpace(rest[1:]) != "" {
		e.NoMatch = true
		rest = rest[1:]
	}
	e.CIDR = trimSpace(rest)
	if _, after := word(e.CIDR); after != "" || e.CIDR == "" {
		e.Error = fmt.Sprintf("%q is not one address", clip(trimSpace(body)))
	} else {
		e.check()
		if e.Error == "" && p.seen[e.CIDR] {
			e.Error = "duplicate entry " + clip(e.CIDR)
		}
		p.seen[e.CIDR] = true
	}
	if e.Error != "" {
		p.skip("ipset %s: %s", set.Name, e.Error)
	}
	set.Entries = append(set.Entries, e)
}

func (e *Entry) check() {
	_, name := cutScope(e.CIDR, "dc/", "guest/")
	if e.Alias = validName(name); e.Alias {
		return
	}
	cidr, ok := plainCIDR(e.CIDR)
	switch {
	case !ok:
		e.Error = fmt.Sprintf("%q is no IP address, no network and no alias", clip(e.CIDR))
	case zeroPrefix(cidr):
		e.Error = "a zero prefix is not allowed"
	case !ValidCIDR(cidr):
		e.Error = "the prefix of " + cidr + " is too long"
	}
	e.CIDR = cidr
}

func zeroPrefix(cidr string) bool {
	_, n, ok := strings.Cut(cidr, "/")
	return ok && strings.Trim(n, "0") == ""
}

// cutScope takes one of the prefixes off.
func cutScope(s string, scopes ...string) (scope, name string) {
	for _, sc := range scopes {
		if strings.HasPrefix(s, sc) {
			return sc, s[len(sc):]
		}
	}
	return "", s
}

// validName is the pattern of names of groups, ipsets and aliases: a letter, then at least one of letters, digits, "-", "_".
func validName(s string) bool {
	if len(s) < 2 || !letter(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !letter(c) && !digit(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

func digits(s string) bool {
	for i := range len(s) {
		if !digit(s[i]) {
			return false
		}
	}
	return s != ""
}

func (p *parser) rule(line string) {
	r, why := perlRule(line)
	if why != "" {
		p.skip("the rule %q is lost: %s", clip(line), why)
		return
	}
	r.Line = p.line
	r.check(p.f.Kind, p.section == groupSection)
	for _, e := range r.Errors {
		p.problems = append(p.problems, pve.Problem{
			Line: p.line, Column: column(p.f.rawLine(p.line-1), e.Property), Effect: pve.Skipped,
			Text: "nothing is made of the rule: " + e.String(),
		})
	}
	list := &p.f.Rules
	if p.section == groupSection {
		list = &p.f.Groups[len(p.f.Groups)-1].Rules
	}
	if *list == nil {
		*list = make([]Rule, 0, p.f.sectionLines(p.line))
	}
	*list = append(*list, r)
}

// sectionLines counts the lines from one, counted from 1, to the next header: how many rules a section can have.
func (f *File) sectionLines(from int) int {
	n := 1
	for i := from; i < len(f.starts); i++ {
		at := int(f.starts[i])
		for at < len(f.raw) && (f.raw[at] == ' ' || f.raw[at] == '\t') {
			at++
		}
		if at < len(f.raw) && f.raw[at] == '[' {
			break
		}
		n++
	}
	return n
}

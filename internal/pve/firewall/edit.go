package firewall

import (
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Edit changes a firewall file line by line; everything that is not meant stays byte for byte. It writes in the form that both
// programs read: headers "[IPSET name]" and "[group name]", options in lower case. Whether the result means what was meant is for the caller to
// check with [Parse] and [ParseStrict]: a file with Windows line ends, for one, has no sections for pve-firewall.
type Edit struct {
	kind  Kind
	lines []string // with their ends
}

// NewEdit begins to edit a file of a kind.
func NewEdit(kind Kind, b []byte) *Edit { return &Edit{kind, pve.SplitLines(b)} }

// Bytes is the file as it is now.
func (e *Edit) Bytes() []byte { return []byte(strings.Join(e.lines, "")) }

// span is one appearance of a section: its header is the line before from; to is behind its last line.
type span struct {
	section  section
	name     string // of groups and ipsets, as it is written
	from, to int
}

// spans lists the sections as pve-firewall sees them.
func (e *Edit) spans() []span {
	var out []span
	p := &parser{f: newFile(e.kind, string(e.Bytes()))}
	for i := range p.f.starts {
		p.line = i + 1
		line := trimBlanks(p.f.rawLine(i))
		if line == "" || line[0] != '[' || !p.header(line) {
			continue
		}
		s := span{section: p.section, from: i + 1, to: len(e.lines)}
		if n := len(p.f.Groups); p.section == groupSection {
			s.name = p.f.Groups[n-1].Written
		}
		if n := len(p.f.IPSets); p.section == ipsetSection {
			s.name = p.f.IPSets[n-1].Written
		}
		if len(out) > 0 {
			out[len(out)-1].to = i
		}
		out = append(out, s)
	}
	return out
}

// find returns the appearance of a section that counts: the last one.
func (e *Edit) find(s section, name string) (span, bool) {
	spans := e.spans()
	for i := len(spans) - 1; i >= 0; i-- {
		if spans[i].section == s && strings.EqualFold(spans[i].name, name) {
			return spans[i], true
		}
	}
	return span{}, false
}

// insert puts lines before the line at i, from 0.
func (e *Edit) insert(i int, lines ...string) {
	if i == len(e.lines) {
		e.lines = pve.Terminate(e.lines)
	}
	e.lines = slices.Insert(e.lines, i, lines...)
}

// remove takes lines away; those of a section that is empty then stay.
func (e *Edit) remove(at []int) {
	for i := len(at) - 1; i >= 0; i-- {
		e.lines = slices.Delete(e.lines, at[i], at[i]+1)
	}
}

// end is behind the last line of a section that holds something, or behind its header and the empty line after it.
func (e *Edit) end(s span) int {
	for i := s.to; i > s.from; i-- {
		if strings.TrimSpace(e.lines[i-1]) != "" {
			return i
		}
	}
	if s.from < s.to {
		return s.from + 1
	}
	return s.from
}

// SetOption gives an option a value, or takes it away when the value is empty. An option in other letters and a second line of
// it, which proxmox-firewall does not read, are put right with it. The section is made, as the first one, when it is missing.
func (e *Edit) SetOption(name, value string) {
	var at []int
	for _, s := range e.spans() {
		if s.section != optionsSection {
			continue
		}
		for i := s.from; i < s.to; i++ {
			key, _, ok := strings.Cut(e.lines[i], ":")
			if ok && strings.EqualFold(strings.TrimSpace(key), name) {
				at = append(at, i)
			}
		}
	}
	if value == "" {
		e.remove(at)
		return
	}
	text := name + ": " + value
	if n := len(at); n > 0 {
		last := e.lines[at[n-1]]
		e.lines[at[n-1]] = last[:len(last)-len(strings.TrimLeft(last, " \t"))] + text + pve.LineEnd(last)
		e.remove(at[:n-1])
		return
	}
	if s, ok := e.find(optionsSection, ""); ok {
		e.insert(e.end(s), text+"\n")
		return
	}
	at0 := len(e.lines)
	if spans := e.spans(); len(spans) > 0 {
		at0 = spans[0].from - 1
	}
	e.insert(at0, "[OPTIONS]\n", "\n", text+"\n", "\n")
}

// rank is the order in which PVE writes the sections.
func (s section) rank() int {
	return slices.Index([]section{optionsSection, aliasesSection, ipsetSection, rulesSection, groupSection}, s)
}

// open returns a section, which is made when it is missing: behind those that PVE writes before it, because rules may only use
// what is defined above them.
func (e *Edit) open(sec section, name, header string) span {
	if s, ok := e.find(sec, name); ok {
		return s
	}
	at := len(e.lines)
	for _, s := range e.spans() {
		if s.section.rank() > sec.rank() {
			at = s.from - 1
			break
		}
	}
	lines := []string{header + "\n", "\n"}
	if at < len(e.lines) {
		lines = append(lines, "\n")
	} else if at > 0 && strings.TrimSpace(e.lines[at-1]) != "" {
		e.lines = pve.Terminate(e.lines)
		e.lines = append(e.lines, "\n")
		at++
	}
	e.insert(at, lines...)
	s, _ := e.find(sec, name)
	return s
}

// line is an entry without its comment, blanks made one: what two lines are compared by.
func plain(line string) string {
	line, _, _ = strings.Cut(line, "#")
	return strings.Join(strings.Fields(line), " ")
}

// has finds a line among those of a section.
func (e *Edit) has(s span, text string) (int, bool) {
	for i := s.from; i < s.to; i++ {
		if p := plain(e.lines[i]); p != "" && p == plain(text) {
			return i, true
		}
	}
	return 0, false
}

// SetAlias gives an alias an address; an empty one takes it away. Aliases are compared without regard to case.
func (e *Edit) SetAlias(name, cidr string) {
	s, ok := e.find(aliasesSection, "")
	if !ok && cidr == "" {
		return
	}
	if !ok {
		s = e.open(aliasesSection, "", "[ALIASES]")
	}
	for i := s.from; i < s.to; i++ {
		f := strings.Fields(plain(e.lines[i]))
		if len(f) == 0 || !strings.EqualFold(f[0], name) {
			continue
		}
		if cidr == "" {
			e.remove([]int{i})
			return
		}
		if len(f) != 2 || f[1] != cidr {
			comment := ""
			if j := strings.IndexByte(e.lines[i], '#'); j >= 0 {
				comment = " " + strings.TrimSpace(e.lines[i][j:])
			}
			e.lines[i] = f[0] + " " + cidr + comment + "\n"
		}
		return
	}
	e.insert(e.end(s), name+" "+cidr+"\n")
}

// AddEntries adds entries to an ipset that it does not have yet; the ipset is made when it is missing.
func (e *Edit) AddEntries(set string, entries []string) {
	for _, entry := range entries {
		s := e.open(ipsetSection, set, "[IPSET "+set+"]")
		if _, ok := e.has(s, entry); !ok {
			e.insert(e.end(s), entry+"\n")
		}
	}
}

// AddRules adds rules to the section RULES, or to a security group, that it does not have yet, in their order: behind all others, or
// first. The section is made when it is missing.
func (e *Edit) AddRules(group string, rules []string, first bool) {
	sec, header := rulesSection, "[RULES]"
	if group != "" {
		sec, header = groupSection, "[group "+group+"]"
	}
	at := -1
	for _, r := range rules {
		s := e.open(sec, group, header)
		if _, ok := e.has(s, r); ok {
			continue
		}
		switch {
		case !first:
			at = e.end(s)
		case at < 0:
			at = s.from
			for at < s.to && strings.TrimSpace(e.lines[at]) == "" {
				at++
			}
		}
		e.insert(at, r+"\n")
		at++
	}
}

// RemoveEntries takes entries out of an ipset, or the whole set when none are named.
func (e *Edit) RemoveEntries(set string, entries []string) { e.cut(ipsetSection, set, entries) }

// RemoveRules takes rules out of the section RULES or of a group; a group of which no rules are named goes as a whole.
func (e *Edit) RemoveRules(group string, rules []string) {
	if group == "" {
		if len(rules) > 0 {
			e.cut(rulesSection, "", rules)
		}
		return
	}
	e.cut(groupSection, group, rules)
}

func (e *Edit) cut(sec section, name string, lines []string) {
	s, ok := e.find(sec, name)
	if !ok {
		return
	}
	if len(lines) == 0 {
		e.lines = slices.Delete(e.lines, s.from-1, s.to)
		return
	}
	for _, l := range lines {
		if i, ok := e.has(s, l); ok {
			e.remove([]int{i})
			s.to--
		}
	}
}

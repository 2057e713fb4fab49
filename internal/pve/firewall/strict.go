package firewall

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/castellan-project/castellan/internal/pve"
)

// strict reads as proxmox-firewall does. It stops at the first error, since the program does; the errors of later lines
// are told all the same, because an administrator wants to mend them in one go.
type strict struct {
	f       *File
	section section
	line    int
	seen    map[key]bool
	keep    bool // false when only the problems are asked for
}

// ParseStrict reads a file as proxmox-firewall does. When Strict holds an Aborted problem the program refuses the file,
// and the rest of the File is what it would be without the lines at fault.
func ParseStrict(kind Kind, b []byte) *File { return parseStrict(kind, string(b), true) }

func parseStrict(kind Kind, text string, keep bool) *File {
	f := newFile(kind, text)
	p := &strict{f: f, seen: map[key]bool{}, keep: keep}
	for i := range f.starts {
		p.line = i + 1
		line := strings.TrimSuffix(f.rawLine(i), "\r")
		if !utf8.ValidString(line) {
			p.abort("the line is not UTF-8")
			continue
		}
		p.read(strings.TrimSpace(line))
	}
	return f
}

func (p *strict) abort(format string, args ...any) {
	p.f.Strict = append(p.f.Strict, pve.Abortf(p.line, format, args...))
}

func (p *strict) read(line string) {
	if line == "" || line[0] == '#' {
		return
	}
	if line[0] == '[' {
		p.header(line)
		return
	}
	switch p.section {
	case noSection:
		p.abort("a line outside of any section: %q", clip(line))
	case optionsSection:
		p.option(line)
	case aliasesSection:
		p.alias(line)
	case ipsetSection:
		p.entry(line)
	case rulesSection, groupSection:
		p.rule(line)
	}
}

func (p *strict) header(line string) {
	switch {
	case strings.EqualFold(line, "[OPTIONS]"):
		p.section = optionsSection
	case strings.EqualFold(line, "[ALIASES]"):
		p.section = aliasesSection
	case strings.EqualFold(line, "[RULES]"):
		p.section = rulesSection
	case strings.HasPrefix(line, "[IPSET"):
		p.named(line, "[IPSET", ipsetSection)
	case strings.HasPrefix(line, "[group"):
		p.named(line, "[group", groupSection)
	default:
		p.section = noSection
		hint := ""
		switch lowered := strings.ToLower(line); {
		case strings.HasPrefix(lowered, "[ipset"):
			p.section, hint = ipsetSection, "; it is spelled [IPSET name]"
		case strings.HasPrefix(lowered, "[group"):
			p.section, hint = groupSection, "; it is spelled [group name]"
		}
		p.abort("no section %q%s", clip(line), hint)
		if p.section != noSection {
			p.open("", "", p.section) // go on, to find what else is wrong
		}
	}
}

// named reads the rest of "[IPSET name] # comment".
func (p *strict) named(line, prefix string, to section) {
	p.section = to
	rest := line[len(prefix):]
	if rest == "" || !asciiSpace(rest[0]) {
		p.abort("incomplete header %q", clip(line))
		p.open("", "", to)
		return
	}
	name, after, ok := strictName(strings.TrimSpace(rest))
	if !ok || !strings.HasPrefix(after, "]") {
		p.abort("no name in the header %q", clip(line))
		p.open("", "", to)
		return
	}
	after = strings.TrimSpace(after[1:])
	if after != "" && after[0] != '#' {
		p.abort("something stands after the header: %q", clip(after))
	}
	switch k := p.f.Kind; {
	case to == groupSection && (k == HostFile || k == GuestFile):
		p.abort("a %s firewall cannot have security groups", k)
	case to == ipsetSection && k != ClusterFile && k != GuestFile:
		p.abort("a %s firewall cannot have ipsets", k)
	}
	p.open(name, strings.TrimSpace(strings.TrimPrefix(after, "#")), to)
}

func (p *strict) open(name, comment string, to section) {
	sort, what := ipsetName, "ipset"
	if to == groupSection {
		sort, what = groupName, "group"
	}
	if name != "" && p.seen[key{sort, name}] {
		p.abort("the %s %s is defined twice", what, name)
	}
	p.seen[key{sort, name}] = true
	if to == groupSection {
		p.f.name(sort, name, len(p.f.Groups), p.line)
		p.f.Groups = append(p.f.Groups, Group{Name: name, Written: name, Comment: comment, Line: p.line})
		return
	}
	p.f.name(sort, name, len(p.f.IPSets), p.line)
	p.f.IPSets = append(p.f.IPSets, IPSet{Name: name, Written: name, Comment: comment, Line: p.line})
}

func asciiSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }

// strictName takes a name off: a letter, then letters, digits, "-" and "_".
func strictName(s string) (name, rest string, ok bool) {
	if s == "" || !letter(s[0]) {
		return "", s, false
	}
	i := 1
	for i < len(s) && (letter(s[i]) || digit(s[i]) || s[i] == '-' || s[i] == '_') {
		i++
	}
	return s[:i], s[i:], true
}

func (p *strict) option(line string) {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		p.abort("no option %q; an option is \"name: value\"", clip(line))
		return
	}
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	k := key{optionName, name}
	if p.seen[k] {
		p.abort("the option %s is given twice", clip(name))
	}
	p.seen[k] = true
	f, known := strictForm(p.f.Kind, name)
	if !known {
		p.f.Strict = append(p.f.Strict, pve.Skipf(p.line, "no option %s; it has no effect", clip(name)))
		return
	}
	given := value
	value, ok = f.value(given)
	if !ok {
		p.abort("the value %q of %s is not accepted", clip(given), name)
		return
	}
	p.f.name(optionName, name, len(p.f.Options), p.line)
	p.f.Options = append(p.f.Options, Option{name, value, p.line})
}

// strictForm is the form of an option; names are in lower case only.
func strictForm(kind Kind, name string) (form, bool) {
	switch {
	case kind == ClusterFile && name == "enable", kind == VNetFile && name == "enable":
		return flagForm, true
	case kind == GuestFile && name == "policy_forward":
		return policyForm, true
	case kind == GuestFile && (name == "ips" || name == "ips_queues" || name == "layer2_protocols"),
		kind == HostFile && name == "protection_limit", name != strings.ToLower(name):
		return 0, false
	}
	return optionForm(kind, name)
}

// value reads a value and brings it into the form of pve-firewall.
func (f form) value(s string) (string, bool) {
	switch f {
	case flagForm:
		b, ok := pve.Bool(s)
		if !b {
			return "0", ok
		}
		return "1", ok
	case numberForm:
		_, err := strconv.ParseInt(s, 10, 64)
		return s, err == nil
	case policyForm, vnetPolicy:
		s = strings.ToUpper(s)
		return s, s == "ACCEPT" || s == "DROP" || s == "REJECT"
	case levelForm, mustLevel:
		return s, strictLevel(s)
	case wordForm:
		return s, rateLimit(s)
	}
	return s, true
}

// rateLimit checks log_ratelimit: "[enable=]BOOL,rate=N[/UNIT],burst=N".
func rateLimit(s string) bool {
	for part := range strings.SplitSeq(s, ",") {
		key, value, ok := strings.Cut(part, "=")
		if !ok {
			key, value = "enable", part
		}
		number, unit, hasUnit := strings.Cut(value, "/")
		switch key {
		case "enable":
			_, ok = pve.Bool(value)
		case "rate":
			_, err := strconv.ParseInt(number, 10, 64)
			ok = err == nil && (!hasUnit || contains([]string{"second", "minute", "hour", "day"}, unit))
		case "burst":
			_, err := strconv.ParseInt(value, 10, 64)
			ok = err == nil
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return true
}

func strictLevel(s string) bool { return s == "warn" || contains(logLevels, s) }

func (p *strict) alias(line string) {
	name, rest, ok := strictName(line)
	value, after := word(skipSpace(rest))
	prefix, valid := CIDR(value)
	switch after = strings.TrimSpace(after); {
	case !ok || value == "":
		p.abort("no alias %q; an alias is \"name CIDR\"", clip(line))
		return
	case !valid:
		p.abort("the alias %s: %q is no IP address and no network", clip(name), clip(value))
		return
	case after != "" && after[0] != '#':
		p.abort("something stands after the alias: %q", clip(after))
		return
	}
	if p.f.Kind == HostFile {
		p.abort("a host firewall cannot have aliases")
	}
	k := key{aliasName, strings.ToLower(name)}
	if p.seen[k] {
		p.abort("the alias %s is defined twice", clip(name))
	}
	p.seen[k] = true
	p.f.name(aliasName, k.name, len(p.f.Aliases), p.line)
	p.f.Aliases = append(p.f.Aliases, Alias{Name: name, CIDR: prefix.String(), Line: p.line})
}

func (p *strict) entry(line string) {
	set := &p.f.IPSets[len(p.f.IPSets)-1]
	e := Entry{Line: p.line}
	rest := line
	if e.NoMatch = strings.HasPrefix(rest, "!"); e.NoMatch {
		rest = rest[1:]
	}
	value, after := word(strings.TrimSpace(rest))
	after = strings.TrimSpace(after)
	if after != "" && after[0] != '#' {
		p.abort("something stands after the entry: %q", clip(after))
		return
	}
	_, name := cutScope(value, "dc/", "guest/")
	if _, ok := CIDR(value); ok {
		e.CIDR = value
	} else if _, rest, ok := strictName(name); ok && rest == "" {
		e.CIDR, e.Alias = value, true
	} else {
		p.abort("%q is no IP address, no network and no alias", clip(value))
		return
	}
	set.Entries = append(set.Entries, e)
}

func (p *strict) rule(line string) {
	r, why := strictRule(line)
	r.Line = p.line
	if why == "" {
		why = r.strictPlace(p.f.Kind, p.section == groupSection)
	}
	if why != "" {
		p.abort("rule: %s", why)
		return
	}
	if r.Macro != "" {
		if _, ok := StrictMacro(r.Macro); !ok {
			p.f.Strict = append(p.f.Strict, pve.Skipf(p.line, "unknown macro %q; macros have one spelling", clip(r.Macro)))
			r.Errors = []RuleError{{"macro", "unknown"}}
		}
	}
	if !p.keep {
		return
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

// strictPlace checks what depends on the file that the rule is in.
func (r *Rule) strictPlace(kind Kind, inGroup bool) string {
	if !inGroup && kind == GuestFile && r.Iface != "" {
		n, ok := strings.CutPrefix(r.Iface, "net")
		if _, err := strconv.ParseUint(n, 10, 16); !ok || err != nil {
			return fmt.Sprintf("%q is no NIC of a guest, which is netN", clip(r.Iface))
		}
	}
	switch {
	case inGroup:
		return ""
	case kind == GuestFile && r.Type == "forward":
		return "a guest firewall has no FORWARD rules"
	case kind == VNetFile && (r.Type == "in" || r.Type == "out"):
		return "a vnet firewall has FORWARD rules only"
	}
	return ""
}

package guestcfg

import (
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/pve"
)

// maxProblems is how many problems of one file are told one by one.
const maxProblems = 1000

type parser struct {
	c        *Config
	to       *Section // nil while a section is skipped
	pending  bool
	special  bool
	snapshot bool
	state    string
	descr    []string
	line     int
	seen     map[string]int  // key of this section -> its line
	names    map[string]bool // sections so far
	problems []pve.Problem
	more     int
}

func (p *parser) say(problem pve.Problem) {
	if len(p.problems) >= maxProblems {
		p.more++
		return
	}
	p.problems = append(p.problems, problem)
}

// space is Perl's \s for bytes.
const space = " \t\n\r\f\v"

// read takes one line. The order of the questions is that of PVE's parsers.
func (p *parser) read(line string) {
	trimmed := strings.TrimRight(line, space)
	if strings.TrimLeft(trimmed, space) == "" {
		return
	}
	if trimmed[0] == '[' && p.header(trimmed) {
		return
	}
	if p.to == nil {
		return
	}
	if line[0] == '#' {
		p.descr = append(p.descr, pve.DecodeText(line[1:]), "\n")
		return
	}
	if p.c.Kind == LXC && p.rawLine(trimmed) {
		return
	}
	key, value, ok := split(line, p.c.Kind)
	switch {
	case ok && key == "description" && value != " ":
		p.descr = append(p.descr, pve.DecodeText(value))
	case snapState(trimmed) != "":
		p.state = snapState(trimmed)
	case ok && key == "delete":
		p.delete(value)
	case ok:
		p.set(key, value)
	default:
		p.say(pve.Skipf(p.line, "not a line \"key: value\": %q", clip(beforeValue(trimmed))))
	}
}

// header begins a section. It is false for a container's line that PVE does not take for one.
func (p *parser) header(line string) bool {
	name, ok := strings.CutSuffix(line[1:], "]")
	if !ok || strings.Contains(name, "]") {
		return false
	}
	lower := strings.ToLower(name)
	switch {
	case p.c.Kind == LXC && lower == "pve:pending", p.c.Kind != LXC && lower == "pending":
		p.close()
		p.open("pending")
		p.pending, p.to = true, &Section{Name: "pending", Line: p.line, kind: p.c.Kind}
	case p.c.Kind != LXC && (lower == "special:cloudinit" || lower == "special:fleecing"):
		p.close()
		name = name[len("special:"):]
		p.open("special:" + name)
		p.special, p.to = true, &Section{Name: name, Line: p.line, kind: p.c.Kind}
	case snapshotName(name):
		p.close()
		p.open("snapshot " + name)
		p.snapshot, p.to = true, &Section{Name: name, Line: p.line, kind: p.c.Kind}
	case p.c.Kind != LXC:
		p.close()
		p.to = nil
		p.say(pve.Skipf(p.line, "the section %q is not known; its settings are ignored", clip(line)))
	default:
		p.say(pve.Skipf(p.line, "%q begins no section; the lines after it count for the section before", clip(line)))
	}
	return true
}

// open notes the name of a section. The last of a name counts.
func (p *parser) open(id string) {
	if p.names[id] {
		p.say(pve.Warnf(p.line, "the section %s is there twice; the last counts", clip(id)))
	}
	p.names[id] = true
}

// close ends the section before a header or the end of the file.
func (p *parser) close() {
	to := p.to
	if to != nil {
		text := strings.Join(p.descr, "")
		if p.c.Kind != LXC {
			text = strings.TrimRight(text, space)
		}
		to.Description = text
	}
	switch {
	case to == nil:
	case p.pending:
		p.c.Pending = *to
	case p.special:
		p.c.Special = append(p.c.Special, *to)
	case p.snapshot:
		s := Snapshot{Section: *to, State: p.state, Parent: to.Value("parent"), VMState: to.Value("vmstate")}
		if n, err := strconv.ParseInt(to.Value("snaptime"), 10, 64); err == nil && n > 0 {
			s.Time = time.Unix(n, 0).UTC()
		}
		p.c.Snapshots = append(p.c.Snapshots, s)
	}
	p.to, p.descr, p.state = nil, nil, ""
	p.pending, p.special, p.snapshot = false, false, false
	clear(p.seen)
}

// lastOfName leaves the last of several sections with one name, in the place of the last.
func lastOfName[T any](all []T, name func(*T) string) []T {
	last := make(map[string]int, len(all))
	for i := range all {
		last[name(&all[i])] = i
	}
	if len(last) == len(all) {
		return all
	}
	kept := all[:0]
	for i := range all {
		if last[name(&all[i])] == i {
			kept = append(kept, all[i])
		}
	}
	return kept
}

// snapshotName is [a-z][a-z0-9_-]+, in any case.
func snapshotName(s string) bool {
	if len(s) < 2 || !letter(s[0]|0x20) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !letter(c|0x20) && !digit(c) && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// split takes a line "key: value" apart. The value ends before trailing white space; a value of white space alone is
// its last character, which is what PVE's expression leaves of it.
func split(line, kind string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(line, ":")
	if !ok || !keyName(key, kind) || value == "" {
		return "", "", false
	}
	v := strings.Trim(value, space)
	if v == "" {
		v = value[len(value)-1:]
		if v != "\t" {
			v = " "
		}
	}
	return key, v, true
}

// keyName is [a-z][a-z_-]*[0-9]* of virtual machines; keys of containers have no "-".
func keyName(s, kind string) bool {
	if s == "" || !letter(s[0]) {
		return false
	}
	i := 1
	for i < len(s) && (letter(s[i]) || s[i] == '_' || (s[i] == '-' && kind != LXC)) {
		i++
	}
	for i < len(s) && digit(s[i]) {
		i++
	}
	return i == len(s)
}

// snapState is the word after "snapstate:" at the end of a line; PVE finds it anywhere in the line.
func snapState(line string) string {
	i := strings.LastIndex(line, "snapstate:")
	if i < 0 {
		return ""
	}
	if v := strings.TrimLeft(line[i+len("snapstate:"):], space); v == "prepare" || v == "delete" {
		return v
	}
	return ""
}

// delete reads which settings a pending section takes away: names, with "!" when it is forced.
func (p *parser) delete(value string) {
	if !p.pending {
		p.say(pve.Skipf(p.line, "delete is for the pending section only"))
		return
	}
	p.to.Deletes = nil
	for _, k := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ';' || strings.ContainsRune(space, r) }) {
		p.to.Deletes = append(p.to.Deletes, strings.TrimPrefix(k, "!"))
	}
}

// set adds a setting.
func (p *parser) set(key, value string) {
	if key == "cdrom" && p.c.Kind != LXC {
		key = "ide2" // with what media= says, as PVE: the name alone makes it no CD-ROM
	}
	e := Entry{Key: key, Value: value, Line: p.line}
	if !p.special {
		why := refuse(p.c.Kind, key, value)
		switch {
		case why == "":
		case p.c.Kind == LXC:
			p.say(pve.Warnf(p.line, "%s: %s; PVE keeps it", key, why))
		default:
			e.Refused = true
			p.say(pve.Skipf(p.line, "%s: %s", key, why))
		}
	}
	if !e.Refused {
		if before, ok := p.seen[key]; ok {
			p.say(pve.Skipf(before, "%s is set again in line %d, which counts", key, p.line))
		}
		p.seen[key] = p.line
	}
	p.to.Entries = append(p.to.Entries, e)
}

// rawLine takes a line "lxc.key: value" or "lxc.key = value" of a container.
func (p *parser) rawLine(line string) bool {
	if !strings.HasPrefix(line, "lxc.") {
		return false
	}
	i := len("lxc.")
	for i < len(line) && (letter(line[i]) || digit(line[i]) || line[i] == '_' || line[i] == '-' || line[i] == '.') {
		i++
	}
	if i == len("lxc.") {
		return false
	}
	key, rest := line[:i], line[i:]
	value, ok := strings.CutPrefix(rest, ":")
	if !ok {
		if value, ok = strings.CutPrefix(strings.TrimLeft(rest, space), "="); !ok {
			return false
		}
	}
	e := Entry{Key: key, Value: strings.Trim(value, space), Line: p.line, Raw: true}
	if why := refuseRaw(key); why != "" {
		e.Refused = true
		p.say(pve.Skipf(p.line, "%s: %s", key, why))
	}
	p.to.Entries = append(p.to.Entries, e)
	return true
}

// beforeValue leaves out what follows the first ":" or "=": it may be a secret.
func beforeValue(line string) string {
	if i := strings.IndexAny(line, ":="); i >= 0 {
		return line[:i+1]
	}
	return line
}

// clip shortens hostile text for a message.
func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

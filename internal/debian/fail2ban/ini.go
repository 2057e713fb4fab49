package fail2ban

import (
	"fmt"
	"sort"
	"strings"
	"unicode"
)

// maxFile bounds what is parsed of one configuration file, in bytes; the largest that Debian ships has 26 kB.
const maxFile = 1 << 20

// Value is the text of an option and where it stands.
type Value struct {
	Text string
	File string
	Line int
}

// Problem is something in the configuration that does not do what its author wanted.
type Problem struct {
	File string
	Line int
	// Fatal is true when fail2ban refuses to start, or drops the jail, because of it.
	Fatal bool
	// Text says what is wrong, Fix the form that works.
	Text, Fix string
}

func (p Problem) String() string {
	s := p.Text
	if p.File != "" {
		s = p.File + ": " + s
		if p.Line > 0 {
			s = fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
		}
	}
	if p.Fix != "" {
		s += "; " + p.Fix
	}
	return s
}

// section holds options by lower-case name.
type section map[string]Value

// iniFile is one parsed file.
type iniFile struct {
	defaults section
	sections map[string]section
	order    []string
	problems []Problem
}

// parseINI reads one file as Python's configparser does with fail2ban's settings: "=" and ":" separate, names are
// lower-cased, "#" and ";" start comment lines, only ";" after a blank starts a comment within a line, deeper
// indentation continues a value, and a section or option that occurs twice is an error (strict mode).
func parseINI(file string, b []byte) *iniFile {
	p := &iniParser{file: file, out: &iniFile{defaults: section{}, sections: map[string]section{}}, seen: map[string]bool{}}
	if len(b) > maxFile {
		p.fatal(0, "the file is larger than any configuration of fail2ban", "")
		return p.out
	}
	for i, l := range strings.Split(string(b), "\n") {
		p.line(i+1, strings.TrimSuffix(l, "\r"))
	}
	p.flush()
	return p.out
}

type iniParser struct {
	file    string
	out     *iniFile
	cur     section
	curName string
	opt     string
	optLine int
	parts   []string
	indent  int
	seen    map[string]bool
}

func (p *iniParser) fatal(line int, text, fix string) {
	p.out.problems = append(p.out.problems, Problem{File: p.file, Line: line, Fatal: true, Text: text, Fix: fix})
}

func (p *iniParser) flush() {
	if p.opt != "" && p.cur != nil {
		text := strings.TrimRightFunc(strings.Join(p.parts, "\n"), unicode.IsSpace)
		p.cur[p.opt] = Value{Text: text, File: p.file, Line: p.optLine}
	}
	p.opt, p.parts = "", nil
}

func (p *iniParser) line(n int, raw string) {
	text, comment := cutComment(raw)
	value := strings.TrimSpace(text)
	if value == "" {
		if !comment && p.opt != "" {
			p.parts = append(p.parts, "")
		}
		return
	}
	indent := len(raw) - len(strings.TrimLeftFunc(raw, unicode.IsSpace))
	if p.cur != nil && p.opt != "" && indent > p.indent {
		p.parts = append(p.parts, value)
		return
	}
	p.indent = indent
	p.flush()
	if value[0] == '[' && strings.LastIndexByte(value, ']') > 1 {
		p.header(n, value[1:strings.LastIndexByte(value, ']')])
		return
	}
	if p.cur == nil {
		p.fatal(n, "a setting stands before the first [section]", "put it below a section header")
		return
	}
	p.option(n, value)
}

// cutComment removes comments: whole lines that begin with "#" or ";", and what follows a ";" after a blank.
func cutComment(raw string) (text string, comment bool) {
	if t := strings.TrimSpace(raw); t != "" && (t[0] == '#' || t[0] == ';') {
		return "", true
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] == ';' && (i == 0 || raw[i-1] == ' ' || raw[i-1] == '\t') {
			return raw[:i], true
		}
	}
	return raw, false
}

func (p *iniParser) header(n int, name string) {
	p.curName = name
	if name == "DEFAULT" {
		p.cur = p.out.defaults
		return
	}
	if p.out.sections[name] == nil {
		p.out.sections[name] = section{}
		p.out.order = append(p.out.order, name)
	} else {
		p.fatal(n, fmt.Sprintf("section [%s] occurs twice in this file, and fail2ban refuses to start", clip(name)), "join the two sections")
	}
	p.cur = p.out.sections[name]
}

func (p *iniParser) option(n int, line string) {
	i := strings.IndexAny(line, "=:")
	if i < 0 {
		p.fatal(n, fmt.Sprintf("%q is neither a section nor a setting, and fail2ban cannot read the file", clip(line)),
			"continued lines of a value must be indented")
		return
	}
	name := strings.ToLower(strings.TrimSpace(line[:i]))
	if name == "" {
		p.fatal(n, "a setting without a name", "")
		return
	}
	key := p.curName + "\x00" + name
	if p.seen[key] {
		p.fatal(n, fmt.Sprintf("%s occurs twice in [%s], and fail2ban refuses to start", clip(name), clip(p.curName)), "keep one of them")
	}
	p.seen[key] = true
	p.opt, p.optLine = name, n
	p.parts = []string{strings.TrimSpace(line[i+1:])}
}

// names returns the option names of a section, sorted.
func (s section) names() []string {
	out := make([]string, 0, len(s))
	for k := range s {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// clip bounds what of a hostile file goes into a message, in bytes.
func clip(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "..."
	}
	return s
}

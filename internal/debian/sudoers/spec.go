package sudoers

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// spec reads a user specification: users hosts = (runas) TAG: command, command : hosts = ...
func (p *parser) spec(text, path string, n int) {
	left, right, ok := strings.Cut(text, "=")
	if !ok {
		p.problem(path, n, "a user specification wants USERS HOSTS = COMMANDS")
		return
	}
	users, hosts := usersAndHosts(left)
	if len(users) == 0 || len(hosts) == 0 {
		p.problem(path, n, "a user specification wants USERS HOSTS = COMMANDS")
		return
	}
	for {
		commands, next, more := cutHosts(right)
		p.commands(commands, Rule{Users: users, Hosts: hosts, RunAs: []string{"root"}, File: path, Line: n})
		if !more {
			return
		}
		h, rest, _ := strings.Cut(next, "=")
		hosts, right = commas(h), rest
	}
}

// usersAndHosts cuts "ann, bob host1, host2" where the list of users ends: at a blank that no comma surrounds.
func usersAndHosts(s string) (users, hosts []string) {
	s = strings.TrimSpace(s)
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\':
			i++
		case !quoted && (s[i] == ' ' || s[i] == '\t'):
			before, after := strings.TrimSpace(s[:i]), strings.TrimSpace(s[i:])
			if !strings.HasSuffix(before, ",") && !strings.HasSuffix(before, "!") && !strings.HasPrefix(after, ",") {
				return commas(before), commas(after)
			}
		}
	}
	return nil, nil
}

// cutHosts finds " : HOSTS =" that starts another part of a specification. A colon after a tag has no blank before it
// and is followed by a command, not by "=" alone.
func cutHosts(s string) (commands, next string, more bool) {
	lastEqual := strings.LastIndexByte(s, '=')
	for i := 0; i < lastEqual; i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			end := strings.IndexByte(s[i:], ')')
			if end < 0 {
				return s, "", false
			}
			i += end
		case ':':
			word := s[max(0, i-longestTag):i]
			if k := strings.LastIndexAny(word, " \t,)"); k >= 0 {
				word = word[k+1:]
			}
			if !isTag(word) {
				return s[:i], s[i+1:], true
			}
		}
	}
	return s, "", false
}

// longestTag bounds how far a tag reaches back: NOLOG_OUTPUT and a blank.
const longestTag = 16

func isTag(w string) bool {
	switch strings.TrimSpace(w) {
	case "PASSWD", "NOPASSWD", "EXEC", "NOEXEC", "SETENV", "NOSETENV", "LOG_INPUT", "NOLOG_INPUT", "LOG_OUTPUT", "NOLOG_OUTPUT",
		"MAIL", "NOMAIL", "FOLLOW", "NOFOLLOW", "INTERCEPT", "NOINTERCEPT":
		return true
	}
	return false
}

// commands reads the right side; runas and tags hold for the commands that follow.
func (p *parser) commands(list string, rule Rule) {
	for _, c := range commas(list) {
		if strings.HasPrefix(c, "(") {
			runas, rest, ok := strings.Cut(c[1:], ")")
			if !ok {
				p.problem(rule.File, rule.Line, "the runas list is not closed")
				return
			}
			users, _, _ := strings.Cut(runas, ":")
			rule.RunAs = commas(users)
			if len(rule.RunAs) == 0 {
				rule.RunAs = []string{"root"}
				if strings.Contains(runas, ":") {
					rule.RunAs = []string{"(self)"} // only the group changes
				}
			}
			c = strings.TrimSpace(rest)
		}
		c = rule.tags(c)
		if c == "" {
			p.problem(rule.File, rule.Line, "a command is missing")
			continue
		}
		r := rule
		r.Command = c
		p.raw = append(p.raw, r)
	}
}

func (r *Rule) tags(c string) string {
	for {
		word, rest, ok := strings.Cut(c, ":")
		if !ok || !isTag(word) {
			// options such as CWD=/x or TIMEOUT=5 stand before the command
			key, _, isOption := strings.Cut(c, "=")
			if isOption && slices.Contains([]string{"CWD", "CHROOT", "TIMEOUT", "ROLE", "TYPE", "NOTBEFORE", "NOTAFTER", "APPARMOR_PROFILE"}, key) {
				_, c, _ = strings.Cut(c, " ")
				c = strings.TrimSpace(c)
				continue
			}
			return c
		}
		switch strings.TrimSpace(word) {
		case "NOPASSWD":
			r.NoPasswd = true
		case "PASSWD":
			r.NoPasswd = false
		case "NOEXEC":
			r.NoExec = true
		case "EXEC":
			r.NoExec = false
		}
		c = strings.TrimSpace(rest)
	}
}

// resolve replaces aliases by their members.
func (p *parser) resolve() {
	for _, r := range p.raw {
		r.Users = p.members("User", r.Users)
		r.Hosts = p.members("Host", r.Hosts)
		r.RunAs = p.members("Runas", r.RunAs)
		for _, c := range p.members("Cmnd", []string{r.Command}) {
			if len(p.out.Rules) >= maxRules {
				p.problem(r.File, r.Line, "too many rules")
				return
			}
			one := r
			one.Command = c
			p.out.Rules = append(p.out.Rules, one)
		}
	}
}

func (p *parser) members(kind string, list []string) []string {
	var out []string
	var follow func(names []string, not bool, path []string)
	follow = func(names []string, not bool, path []string) {
		for _, name := range names {
			off := not
			for strings.HasPrefix(name, "!") {
				off, name = !off, strings.TrimSpace(name[1:])
			}
			if p.followed++; p.followed > maxAlias || name == "" {
				continue
			}
			if members, ok := p.aliases[kind][name]; ok && len(path) < maxDepth && !slices.Contains(path, name) {
				follow(members, off, append(slices.Clone(path), name))
				continue
			}
			if off {
				name = "!" + name
			}
			out = append(out, name)
		}
	}
	follow(list, false, nil)
	return out
}

func (p *parser) problem(path string, n int, reason string) {
	if len(p.out.Problems) < 100 {
		p.out.Problems = append(p.out.Problems, fmt.Sprintf("%s:%d: %s", path, n, reason))
	}
}

type numbered struct {
	text string
	n    int
}

// logicalLines joins lines that end in a backslash.
func logicalLines(b []byte) []numbered {
	var out []numbered
	var text []byte // the logical line so far
	n, start := 0, 0
	add := func() {
		out = append(out, numbered{strings.ReplaceAll(string(text), "\t", " "), start})
		text = text[:0]
	}
	for raw := range bytes.Lines(b) {
		n++
		if len(text) == 0 {
			start = n
		}
		part := strings.TrimRight(string(raw), "\r\n")
		if head, more := strings.CutSuffix(part, `\`); more {
			text = append(append(text, head...), ' ')
			continue
		}
		text = append(text, part...)
		add()
	}
	if len(text) > 0 {
		add()
	}
	return out
}

// uncomment drops what follows a #, unless it is a user id (#1000) or quoted.
func uncomment(s string) string {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			quoted = !quoted
		case '\\':
			i++
		case '#':
			id := i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9' && (i == 0 || strings.ContainsAny(s[i-1:i], " ,(%!=>:"))
			if !quoted && !id {
				return s[:i]
			}
		}
	}
	return s
}

// commas splits a list at commas outside quotes and parentheses.
func commas(s string) []string {
	var out []string
	start, depth, quoted := 0, 0, false
	add := func(part string) {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case '(':
			depth++
		case ')':
			depth = max(0, depth-1)
		case ',':
			if !quoted && depth == 0 {
				add(s[start:i])
				start = i + 1
			}
		}
	}
	add(s[start:])
	return out
}

// longestAlias bounds the name of an alias; sudo has no bound, people stay far below.
const longestAlias = 256

// escapeColons hides colons that belong to a member (IPv6 addresses, escaped or in quotes) from the split of several
// alias definitions on one line: a definition's colon has a blank around it and is followed by NAME =.
func escapeColons(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == ':' {
			name, _, ok := strings.Cut(s[i+1:min(len(s), i+1+longestAlias)], "=")
			name = strings.TrimSpace(name)
			if !ok || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
				out.WriteByte(1)
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

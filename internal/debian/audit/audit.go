// Package audit reads rules of the kernel's audit system in the form of auditctl(8): /etc/audit/audit.rules,
// /etc/audit/rules.d/*.rules and the output of `auditctl -l`.
package audit

import (
	"bytes"
	"slices"
	"strings"
)

// Rule is one line of rules.
type Rule struct {
	Text     string
	Path     string   // of a watch: -w PATH, or -F path=, -F dir=
	Perms    string   // of a watch: r, w, x, a
	Syscalls []string // of a system call rule: -S
	Key      string
	Line     int
}

// Rules is a file of rules.
type Rules struct {
	List []Rule
	// Mode is the last -e: "0" off, "1" on, "2" locked until the next boot; empty when not set.
	Mode string
	// Suppressed is set when a rule says that nothing is to be recorded ("-a never,task", the first rule of Debian's
	// default file switches system call auditing off for all processes).
	Suppressed bool
}

// Parse reads rules; what is no rule (-D, -b, -f) is skipped. -D forgets the rules before it.
func Parse(b []byte) Rules {
	var r Rules
	n := 0
	for raw := range bytes.Lines(b) {
		n++
		line := strings.TrimSpace(string(raw))
		if line == "" || line[0] == '#' || line[0] != '-' {
			continue
		}
		f := strings.Fields(line)
		switch f[0] {
		case "-D":
			r.List, r.Suppressed = nil, false
		case "-e":
			if len(f) > 1 {
				r.Mode = f[1]
			}
		case "-w", "-a", "-A":
			rule := parseRule(f, line, n)
			if f[0] != "-w" && len(f) > 1 && (f[1] == "never,task" || f[1] == "task,never") {
				r.Suppressed = true
			}
			r.List = append(r.List, rule)
		}
	}
	return r
}

func parseRule(f []string, line string, n int) Rule {
	rule := Rule{Text: line, Line: n}
	for i := 0; i+1 < len(f); i++ {
		arg := f[i+1]
		switch f[i] {
		case "-w":
			rule.Path = trimSlash(arg)
			if rule.Perms == "" {
				rule.Perms = "rwxa"
			}
		case "-p":
			rule.Perms = arg
		case "-k":
			rule.Key = arg
		case "-S":
			rule.Syscalls = append(rule.Syscalls, strings.Split(arg, ",")...)
		case "-F":
			rule.field(arg)
		}
	}
	return rule
}

func (r *Rule) field(arg string) {
	key, value, ok := strings.Cut(arg, "=")
	if !ok {
		return
	}
	switch key {
	case "path", "dir":
		r.Path = trimSlash(value)
	case "perm":
		r.Perms = value
	case "key":
		r.Key = value
	}
}

// Watches returns the paths whose writes and changes of attributes are recorded, sorted and without repetition.
func (r Rules) Watches() []string {
	var out []string
	for _, x := range r.List {
		if x.Path != "" && strings.Contains(x.Perms, "w") && !strings.Contains(x.Text, "never") {
			out = append(out, x.Path)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Syscalls returns the system calls that rules record, sorted and without repetition.
func (r Rules) Syscalls() []string {
	var out []string
	for _, x := range r.List {
		if !strings.Contains(x.Text, "never") {
			out = append(out, x.Syscalls...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func trimSlash(p string) string {
	if len(p) > 1 {
		return strings.TrimRight(p, "/")
	}
	return p
}

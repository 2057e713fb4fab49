// Package modprobe reads modprobe.d(5) files, the list of loaded modules (/proc/modules) and the index of modules that
// a kernel ships (modules.dep, modules.builtin).
package modprobe

import (
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/castellan-project/castellan/internal/conffile"
)

// Dirs are the directories that kmod searches, the one that masks the others first (modprobe.d(5)).
func Dirs() []string {
	return []string{"/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"}
}

// Order chooses the files that count, sorted by name without directory; a file masks those of the same name in later
// directories.
func Order(found []string) []string { return conffile.Order(Dirs(), found) }

// Name gives the one spelling under which the kernel knows a module: dashes are underscores.
func Name(s string) string { return strings.ReplaceAll(s, "-", "_") }

// Rule is one line of a file.
type Rule struct {
	Verb   string // blacklist, install, options, alias, softdep, remove ...
	Module string // as Name spells it; of an alias its pattern
	Rest   string // command, options or target, with single spaces
	File   string
	Line   int
}

// Parse reads a file. A backslash at the end of a line continues it.
func Parse(file string, b []byte) []Rule {
	var out []Rule
	n, start := 0, 0
	var whole strings.Builder
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if start == 0 {
			start = n
		}
		if rest, ok := strings.CutSuffix(line, `\`); ok {
			whole.WriteString(rest + " ")
			continue
		}
		whole.WriteString(line)
		out = appendRule(out, whole.String(), file, start)
		whole.Reset()
		start = 0
	}
	if whole.Len() > 0 {
		out = appendRule(out, whole.String(), file, start)
	}
	return out
}

func appendRule(out []Rule, line, file string, n int) []Rule {
	words := strings.Fields(line)
	if len(words) < 2 || strings.HasPrefix(words[0], "#") {
		return out
	}
	return append(out, Rule{Verb: words[0], Module: Name(words[1]), Rest: strings.Join(words[2:], " "), File: file, Line: n})
}

// Config is what all files say together.
type Config struct{ rules []Rule }

// NewConfig merges rules in the order of the files.
func NewConfig(rules []Rule) Config { return Config{rules} }

// Blocked returns the rule that keeps a module from being loaded in any way: an install line whose command does
// nothing. kmod takes the first install line of a module.
func (c Config) Blocked(module string) (Rule, bool) {
	for _, r := range c.rules {
		if r.Verb == "install" && r.Module == Name(module) {
			return r, doesNothing(r.Rest)
		}
	}
	return Rule{}, false
}

func doesNothing(command string) bool {
	first, _, _ := strings.Cut(command, " ")
	switch path.Base(first) {
	case "true", "false":
		return path.Base(first) == first || strings.HasSuffix(path.Dir(first), "/bin")
	}
	return false
}

// Blacklisted returns the blacklist line of a module. It only keeps aliases from loading the module: loading it by
// name, or as a dependency, still works.
func (c Config) Blacklisted(module string) (Rule, bool) {
	for _, r := range c.rules {
		if r.Verb == "blacklist" && r.Module == Name(module) {
			return r, true
		}
	}
	return Rule{}, false
}

// BlockedModules lists all modules that an install line blocks.
func (c Config) BlockedModules() []Rule {
	var out []Rule
	for _, r := range c.rules {
		if first, ok := c.Blocked(r.Module); ok && r.Verb == "install" && first == r {
			out = append(out, r)
		}
	}
	return out
}

// Options lists each option of each module as a rule whose Rest is one "name=value".
func (c Config) Options() []Rule {
	var out []Rule
	for _, r := range c.rules {
		if r.Verb != "options" {
			continue
		}
		for _, o := range strings.Fields(r.Rest) {
			one := r
			one.Rest = o
			out = append(out, one)
		}
	}
	return out
}

// ParseLoaded reads /proc/modules: the names of loaded modules, sorted.
func ParseLoaded(b []byte) []string {
	out := []string{}
	for line := range strings.Lines(string(b)) {
		if name, _, ok := strings.Cut(line, " "); ok && name != "" {
			out = append(out, Name(name))
		}
	}
	sort.Strings(out)
	return slices.Compact(out)
}

// ParseIndex reads modules.dep ("kernel/fs/udf/udf.ko.xz: ...") or modules.builtin (one path a line) and returns the
// names of the modules in it.
func ParseIndex(b []byte) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		file, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		name, _, ok := strings.Cut(path.Base(file), ".ko")
		if ok && name != "" {
			out[Name(name)] = true
		}
	}
	return out
}

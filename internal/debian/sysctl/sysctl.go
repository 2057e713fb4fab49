// Package sysctl reads sysctl.d files as systemd-sysctl of Debian 12 and 13 does (sysctl.d(5), systemd
// src/sysctl/sysctl.c): which files count, which assignment to a key wins, what a glob sets. It also knows the
// defaults of Debian's and Proxmox VE's kernels for keys that nothing sets.
//
// Keys are given and returned in the dotted form ("net.ipv4.ip_forward"); the name of an interface may hold dots,
// which the dotted form writes as slashes ("net.ipv4.conf.eno1/10.rp_filter").
package sysctl

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/castellan-project/castellan/internal/conffile"
)

// MaxLine is the longest line, in bytes, that systemd reads (LONG_LINE_MAX of src/basic/def.h); at a longer one it
// gives up on the rest of the file.
const MaxLine = 1 << 20

// Dirs are the directories that are searched, the one that masks the others first (CONF_PATHS of systemd; the last
// is the same as the one before it where /lib is a link to /usr/lib).
func Dirs() []string {
	return []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"}
}

// Order chooses from the paths found in [Dirs] those that are applied, in the order in which they are: sorted by
// their name without directory, and of several of one name only the one of the foremost directory. Whether it is
// masked (empty, or a link to /dev/null) must be decided by the caller after Order: it still masks the others.
func Order(found []string) []string { return conffile.Order(Dirs(), found) }

// Assignment is one effective line of a file.
type Assignment struct {
	Key   string // dotted; a glob when it holds *, ? or [
	Value string
	// Exclude is true for "-key" without a value: it keeps globs from setting the key.
	Exclude bool
	// IgnoreFailure is true for "-key = value".
	IgnoreFailure bool
	File          string
	Line          int
}

// IsGlob reports whether the key is a pattern.
func (a Assignment) IsGlob() bool { return strings.ContainsAny(a.Key, "*?[") }

// Parse reads one file. Problems are lines that systemd skips, as "file:line: why"; they do not keep the others from
// being read.
func Parse(file string, b []byte) (list []Assignment, problems []string) {
	n := 0
	for len(b) > 0 {
		n++
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 && i <= MaxLine {
			line, b = b[:i], b[i+1:]
		} else if len(b) <= MaxLine {
			b = nil
		} else {
			return list, append(problems, fmt.Sprintf("%s:%d: line is longer than 1 MiB; nothing after it is read", file, n))
		}
		a, problem := parseLine(string(line))
		switch {
		case problem != "":
			problems = append(problems, fmt.Sprintf("%s:%d: %s", file, n, problem))
		case a.Key != "":
			a.File, a.Line = file, n
			list = append(list, a)
		}
	}
	return list, problems
}

// space is what systemd strips from lines (WHITESPACE).
const space = " \t\n\r"

func parseLine(s string) (a Assignment, problem string) {
	s = strings.Trim(s, space)
	if s == "" || s[0] == '#' || s[0] == ';' {
		return a, ""
	}
	if strings.IndexByte(s, 0) >= 0 {
		return a, "line holds a NUL byte"
	}
	key, value, assigned := strings.Cut(s, "=")
	minus := strings.HasPrefix(key, "-")
	if !assigned && !minus {
		return a, "this is no assignment"
	}
	if minus {
		key = key[1:]
		a.IgnoreFailure, a.Exclude = assigned, !assigned
	}
	a.Key = Dotted(strings.Trim(key, space))
	if a.Key == "" {
		return Assignment{}, "the assignment has no key"
	}
	a.Value = strings.Trim(value, space)
	return a, ""
}

// Dotted brings a key to the dotted form. As in sysctl.d(5), the first separator decides: after a slash the key is a
// path, whose dots belong to names.
func Dotted(key string) string {
	i := strings.IndexAny(key, "/.")
	if i >= 0 && key[i] == '.' {
		return key
	}
	key = strings.TrimPrefix(path.Clean("/"+key), "/")
	if key == "." {
		return ""
	}
	return strings.Map(swap, key)
}

// Path returns the file below /proc/sys of a dotted key.
func Path(key string) string { return "/proc/sys/" + strings.Map(swap, key) }

// FromPath is the inverse of Path.
func FromPath(p string) string { return strings.Map(swap, strings.TrimPrefix(p, "/proc/sys/")) }

func swap(r rune) rune {
	switch r {
	case '.':
		return '/'
	case '/':
		return '.'
	}
	return r
}

// Set is the outcome of all files together.
type Set struct {
	exact map[string]Assignment
	globs []Assignment
}

// NewSet merges assignments in the order in which files are read: a later one replaces an earlier one of the same key
// and then counts from its own place, except that repeating the same value keeps the earlier place.
func NewSet(list []Assignment) *Set {
	s := &Set{exact: map[string]Assignment{}}
	for _, a := range list {
		if !a.IsGlob() {
			s.exact[a.Key] = a
			continue
		}
		i := slices.IndexFunc(s.globs, func(g Assignment) bool { return g.Key == a.Key })
		if i >= 0 && s.globs[i].Value == a.Value && s.globs[i].Exclude == a.Exclude {
			continue
		}
		if i >= 0 {
			s.globs = slices.Delete(s.globs, i, i+1)
		}
		s.globs = append(s.globs, a)
	}
	return s
}

// Lookup returns the assignment that decides about a key. An exact line, also an exclusion, beats every glob; among
// globs the last one that matches wins.
func (s *Set) Lookup(key string) (Assignment, bool) {
	if a, ok := s.exact[key]; ok {
		return a, !a.Exclude
	}
	p := strings.Map(swap, key)
	for _, g := range slices.Backward(s.globs) {
		if g.Exclude {
			continue
		}
		if ok, err := path.Match(strings.Map(swap, g.Key), p); err == nil && ok {
			return g, true
		}
	}
	return Assignment{}, false
}

// Keys lists the keys that are set by name, sorted.
func (s *Set) Keys() []string {
	out := make([]string, 0, len(s.exact))
	for k, a := range s.exact {
		if !a.Exclude {
			out = append(out, k)
		}
	}
	sort.Strings(out)
	return out
}

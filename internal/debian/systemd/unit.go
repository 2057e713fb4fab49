// Package systemd reads unit files and answers, from the files alone, what `systemctl is-enabled` would answer: which
// units exist, which are enabled, masked or static, and which start at boot. It follows systemd.unit(5) and the
// search path of systemd 252 (Debian 12) and 257 (Debian 13). It works on copies of a root file system.
package systemd

import (
	"bytes"
	"strings"
)

// A Setting is one assignment of a unit file.
type Setting struct {
	Section string // without brackets
	Key     string
	Value   string
	Line    int // of the first line, from 1
}

// Unit is the content of a unit file or drop-in, in the order of the file.
type Unit struct {
	Settings []Setting
}

// ParseUnit reads a unit file. It is as tolerant as systemd: lines that are no assignment are skipped, as systemd
// skips them with a warning. A line that ends in a backslash continues on the next; comments in between are dropped.
func ParseUnit(b []byte) Unit {
	var u Unit
	section, start, n := "", 0, 0
	var pending []byte // the logical line so far; bytes, because hostile files continue a line a million times
	for raw := range bytes.Lines(b) {
		n++
		line := strings.TrimRight(string(raw), "\r\n")
		trimmed := strings.TrimSpace(line)
		if len(pending) == 0 && trimmed == "" || strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, ";") {
			continue
		}
		if len(pending) == 0 {
			start = n
		}
		if head, more := strings.CutSuffix(line, `\`); more {
			pending = append(append(pending, head...), ' ')
			continue
		}
		full := strings.TrimSpace(string(append(pending, line...)))
		pending = pending[:0]
		section = u.add(full, section, start)
	}
	if len(pending) > 0 {
		u.add(strings.TrimSpace(string(pending)), section, start)
	}
	return u
}

func (u *Unit) add(line, section string, n int) string {
	if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
		return line[1 : len(line)-1]
	}
	key, value, ok := strings.Cut(line, "=")
	key = strings.TrimSpace(key)
	if !ok || key == "" || section == "" {
		return section
	}
	u.Settings = append(u.Settings, Setting{Section: section, Key: key, Value: strings.TrimSpace(value), Line: n})
	return section
}

// Values returns all values of a key in order. An empty assignment resets the list, as systemd does.
func (u Unit) Values(section, key string) []string {
	var out []string
	for _, s := range u.Settings {
		if s.Section != section || s.Key != key {
			continue
		}
		if s.Value == "" {
			out = nil
			continue
		}
		out = append(out, s.Value)
	}
	return out
}

// Last returns the last value of a key, which wins for keys that hold one value.
func (u Unit) Last(section, key string) (string, bool) {
	for i := len(u.Settings) - 1; i >= 0; i-- {
		if s := u.Settings[i]; s.Section == section && s.Key == key {
			return s.Value, true
		}
	}
	return "", false
}

// Merge returns the unit with the settings of drop-ins appended, in the order given.
func (u Unit) Merge(dropIns ...Unit) Unit {
	all := append([]Setting(nil), u.Settings...)
	for _, d := range dropIns {
		all = append(all, d.Settings...)
	}
	return Unit{Settings: all}
}

// Installable reports whether the unit has an [Install] section that can enable it by itself, and whether it has one
// that only points to other units (Also=, DefaultInstance=), which systemctl calls indirect.
func (u Unit) Installable() (direct, indirect bool) {
	for _, s := range u.Settings {
		if s.Section != "Install" || s.Value == "" {
			continue
		}
		switch s.Key {
		case "WantedBy", "RequiredBy", "UpheldBy", "Alias":
			direct = true
		case "Also", "DefaultInstance":
			indirect = true
		}
	}
	return direct, indirect && !direct
}

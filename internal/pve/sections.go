package pve

import (
	"strings"
)

// Section is one section of a section configuration file, such as a storage of storage.cfg:
//
//	pbs: backup
//		server 192.0.2.10
//		datastore store1
type Section struct {
	Type, ID string
	// Line is where the header stands, from 1.
	Line int
	Keys []Key
}

// Key is one line of a section. A key without a value has the value "1", as PVE reads it.
type Key struct {
	Name, Value string
	Line        int
}

// Get returns the first value of a key, which is the one that counts for PVE, and whether it is there.
func (s *Section) Get(name string) (string, bool) {
	for _, k := range s.Keys {
		if k.Name == name {
			return k.Value, true
		}
	}
	return "", false
}

// Value returns the first value of a key, "" when it is not there.
func (s *Section) Value(name string) string {
	v, _ := s.Get(name)
	return v
}

// All returns every value of a key that may be repeated.
func (s *Section) All(name string) []string {
	var all []string
	for _, k := range s.Keys {
		if k.Name == name {
			all = append(all, k.Value)
		}
	}
	return all
}

// On reports whether a boolean key is set and true.
func (s *Section) On(name string) bool {
	v, _ := Bool(s.Value(name))
	return v
}

// LineOf returns the line of a key, or that of the header when the key is not set.
func (s *Section) LineOf(name string) int {
	for _, k := range s.Keys {
		if k.Name == name {
			return k.Line
		}
	}
	return s.Line
}

// ParseSections reads a section configuration file as PVE::SectionConfig does: a header "type: id" at the start of a
// line, then lines "key value" that begin with white space; an empty line ends the section, "#" begins a comment line.
// A line that fits nowhere is skipped, and with a bad header its keys are.
func ParseSections(b []byte) ([]Section, []Problem) {
	var sections []Section
	var problems []Problem
	var current *Section
	lost := false // within a section whose header was refused
	n := 0
	for line := range strings.SplitSeq(string(b), "\n") {
		n++
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "":
			current, lost = nil, false
		case trimmed[0] == '#':
		case line[0] != ' ' && line[0] != '\t':
			current, lost = nil, false
			kind, id, ok := strings.Cut(trimmed, ":")
			id = strings.TrimSpace(id)
			if !ok || !word(kind) || strings.ContainsAny(id, " \t") {
				problems = append(problems, Skipf(n, "no section header %q; a section begins with \"type: name\"", clip(trimmed)))
				lost = true
				continue
			}
			sections = append(sections, Section{Type: kind, ID: id, Line: n})
			current = &sections[len(sections)-1]
		case current == nil:
			if !lost {
				problems = append(problems, Skipf(n, "a setting outside of any section: %q", clip(trimmed)))
			}
		default:
			key, value, ok := strings.Cut(trimmed, " ")
			if i := strings.IndexByte(key, '\t'); i >= 0 {
				key, value, ok = trimmed[:i], trimmed[i+1:], true
			}
			value = strings.TrimSpace(value)
			if !ok || value == "" {
				value = "1"
			}
			current.Keys = append(current.Keys, Key{Name: key, Value: value, Line: n})
		}
	}
	return sections, problems
}

// word reports whether s can be a section type.
func word(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}

// clip shortens hostile text for a message.
func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

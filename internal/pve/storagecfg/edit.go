package storagecfg

import (
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Has reports whether storages of a type have a setting.
func Has(kind, key string) bool {
	for _, k := range keysByType()[kind] {
		if k == key {
			return true
		}
	}
	return false
}

// Set gives a setting of a storage a value, or takes it away when the value is empty; all other lines stay byte for byte. The
// second result is false when the file has no such storage ("local" may be one that PVE adds). A setting that is a bare
// word has the value "1".
func Set(b []byte, id, key, value string) ([]byte, bool) {
	c, _ := Parse(b)
	s, ok := c.Storage(id)
	if !ok || s.Line == 0 {
		return b, false
	}
	if old, set := s.Section.Get(key); set == (value != "") && old == value {
		return b, true
	}
	lines := pve.SplitLines(b)
	last, indent := s.Line, "\t"
	var at []int // the lines of the key, from 1
	for i := s.Line; i < len(lines); i++ {
		trimmed := strings.TrimSpace(lines[i])
		if trimmed == "" || lines[i][0] != ' ' && lines[i][0] != '\t' && trimmed[0] != '#' {
			break
		}
		if trimmed[0] == '#' {
			continue
		}
		last, indent = i+1, lines[i][:len(lines[i])-len(strings.TrimLeft(lines[i], " \t"))]
		if name := strings.Fields(trimmed)[0]; name == key {
			at = append(at, i+1)
		}
	}
	text := key + " " + value
	if value == "1" {
		text = key
	}
	if len(at) == 0 {
		lines = append(pve.Terminate(lines[:last:last]), append([]string{indent + text + pve.LineEnd(lines[last-1])}, lines[last:]...)...)
		return []byte(strings.Join(lines, "")), true
	}
	l := lines[at[0]-1]
	lines[at[0]-1] = l[:len(l)-len(strings.TrimLeft(l, " \t"))] + text + pve.LineEnd(l)
	if value != "" {
		at = at[1:] // the first counts; the others are repetitions
	}
	for _, n := range at {
		lines[n-1] = ""
	}
	return []byte(strings.Join(lines, "")), true
}

package guestcfg

import (
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Set gives a setting of the current section a value, or takes it away when the value is empty. Snapshots, what waits for a
// restart, and all other lines stay byte for byte. A new setting goes where PVE would write it: between its neighbours by
// name, below the notes. The settings lxc.* can only be taken away.
func Set(kind string, b []byte, key, value string) []byte {
	c, _ := Parse(kind, b)
	return c.set(&c.Current, key, value)
}

// SetPending does the same for a setting that waits for a restart already; without one it changes nothing.
func SetPending(kind string, b []byte, key, value string) []byte {
	c, _ := Parse(kind, b)
	if _, ok := c.Pending.Get(key); !ok {
		return b
	}
	return c.set(&c.Pending, key, value)
}

func (c *Config) set(s *Section, key, value string) []byte {
	if old, ok := s.Get(key); ok && value != "" && old == value {
		return c.raw
	}
	lines := pve.SplitLines(c.raw)
	var at []int // lines of the key; the last that PVE reads comes last
	for _, e := range s.Entries {
		if e.Key == key && e.Refused {
			at = append(at, e.Line)
		}
	}
	for _, e := range s.Entries {
		if e.Key == key && !e.Refused {
			at = append(at, e.Line)
		}
	}
	switch {
	case value == "":
		for _, n := range at {
			lines[n-1] = ""
		}
	case len(at) > 0:
		n := at[len(at)-1]
		lines[n-1] = key + ": " + value + pve.LineEnd(lines[n-1])
	default:
		n := s.place(key, lines)
		end := "\n"
		if len(lines) > 0 {
			end = pve.LineEnd(lines[max(n-1, 0)])
		}
		lines = slices.Concat(pve.Terminate(slices.Clone(lines[:n])), []string{key + ": " + value + end}, lines[n:])
	}
	return []byte(strings.Join(lines, ""))
}

// place is how many lines stand before a new setting.
func (s *Section) place(key string, lines []string) int {
	last := s.Line
	for _, e := range s.Entries {
		if !e.Raw && e.Key > key {
			return e.Line - 1
		}
		last = e.Line
	}
	// Without settings before it the notes still come first.
	for last < len(lines) && len(lines[last]) > 0 && lines[last][0] == '#' {
		last++
	}
	return last
}

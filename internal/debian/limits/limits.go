// Package limits reads limits.conf(5), the configuration of pam_limits.
package limits

import (
	"strings"
)

// Limit is one line.
type Limit struct {
	Domain string // user, @group, %group, *, a range of ids
	Type   string // soft, hard, or - for both
	Item   string // core, nofile ...
	Value  string
	File   string
	Line   int
}

// Parse reads a file; lines that pam_limits ignores are left out.
func Parse(file string, b []byte) []Limit {
	var out []Limit
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		w := strings.Fields(line)
		if len(w) != 4 {
			continue
		}
		l := Limit{w[0], strings.ToLower(w[1]), strings.ToLower(w[2]), strings.ToLower(w[3]), file, n}
		if l.Type == "hard" || l.Type == "soft" || l.Type == "-" {
			out = append(out, l)
		}
	}
	return out
}

// Hard returns the line that decides about everybody's hard limit of an item (the last one for *, which does not
// count for root), and the lines that give somebody another one. Value is not interpreted; "-" lines set both kinds.
func Hard(list []Limit, item string) (everybody *Limit, others []Limit) {
	for i, l := range list {
		if l.Item != item || l.Type == "soft" {
			continue
		}
		if l.Domain == "*" {
			everybody = &list[i]
			continue
		}
		others = append(others, l)
	}
	return everybody, others
}

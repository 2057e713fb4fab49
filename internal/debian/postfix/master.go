package postfix

import (
	"bytes"
	"strings"
)

// Service is an entry of master.cf.
type Service struct {
	Name    string // "smtp", "127.0.0.1:10025", "submission"
	Type    string // inet, unix, fifo, pass
	Command string // with its arguments
	Line    int
}

// ParseMaster reads master.cf; indented lines continue the entry before. Entries of fewer than eight columns are
// skipped.
func ParseMaster(b []byte) []Service {
	var out []Service
	n := 0
	for raw := range bytes.Lines(b) {
		n++
		line := strings.TrimRight(string(raw), "\r\n")
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			if len(out) > 0 && len(out[len(out)-1].Command) < maxExpanded {
				out[len(out)-1].Command += " " + trimmed
			}
			continue
		}
		f := strings.Fields(line)
		if len(f) < 8 {
			continue
		}
		out = append(out, Service{Name: f[0], Type: f[1], Command: strings.Join(f[7:], " "), Line: n})
	}
	return out
}

// Exposed reports whether an inet service can be reached from outside, given whether inet_interfaces keeps Postfix on
// loopback: a host in the entry's own name wins over inet_interfaces.
func (s Service) Exposed(loopbackOnly bool) bool {
	if s.Type != "inet" {
		return false
	}
	host := ""
	if i := strings.LastIndexByte(s.Name, ':'); i >= 0 {
		host = s.Name[:i]
	}
	if host == "" {
		return !loopbackOnly
	}
	return !LoopbackOnly(host)
}

// ParseAliases reads aliases(5): name, colon, comma-separated targets; indented lines continue. Names are folded to
// lower case, as local(8) looks them up.
func ParseAliases(b []byte) map[string][]string {
	out := map[string][]string{}
	name := ""
	for raw := range bytes.Lines(b) {
		line := strings.TrimRight(string(raw), "\r\n")
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if line[0] != ' ' && line[0] != '\t' {
			key, targets, ok := strings.Cut(line, ":")
			if !ok {
				name = ""
				continue
			}
			name, trimmed = strings.ToLower(strings.Trim(strings.TrimSpace(key), `"`)), targets
			out[name] = nil
		}
		if name == "" {
			continue
		}
		for t := range strings.SplitSeq(trimmed, ",") {
			if t = strings.TrimSpace(t); t != "" {
				out[name] = append(out[name], t)
			}
		}
	}
	return out
}

// Resolve follows aliases from a name to the targets that are no aliases themselves: addresses, local accounts,
// commands and files. A loop ends.
func Resolve(aliases map[string][]string, name string) []string {
	var out []string
	seen := map[string]bool{}
	var follow func(string)
	follow = func(n string) {
		key := strings.ToLower(n)
		targets, ok := aliases[key]
		if !ok || len(targets) == 0 {
			out = append(out, n)
			return
		}
		if seen[key] {
			return
		}
		seen[key] = true
		for _, t := range targets {
			if strings.EqualFold(t, n) || strings.HasPrefix(t, `\`) { // the account itself
				out = append(out, strings.TrimPrefix(t, `\`))
				continue
			}
			follow(t)
		}
	}
	follow(name)
	return out
}

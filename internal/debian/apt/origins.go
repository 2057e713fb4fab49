package apt

import (
	"fmt"
	"path"
	"strings"
)

// Release is what a repository's Release file says of itself; unattended-upgrades matches its patterns against it.
type Release struct {
	Origin, Label, Suite, Codename, Component, Site string
}

// Pattern is an entry of Unattended-Upgrade::Origins-Pattern or ::Allowed-Origins: conditions that must all hold.
type Pattern struct {
	conditions []condition
}

type condition struct{ key, glob string }

// ParsePattern reads an entry of Origins-Pattern: "origin=Debian,codename=${distro_codename}". Variables are replaced
// first; an unknown variable or key is an error, as it is for unattended-upgrades.
func ParsePattern(s string, variables map[string]string) (Pattern, error) {
	var p Pattern
	s, err := substitute(strings.TrimSpace(s), variables)
	if err != nil {
		return p, err
	}
	if s == "" {
		return p, nil
	}
	for token := range strings.SplitSeq(strings.ReplaceAll(s, `\,`, "%2C"), ",") {
		key, value, ok := strings.Cut(token, "=")
		key = strings.TrimSpace(key)
		full, known := matchers[key]
		if !ok || !known {
			return Pattern{}, fmt.Errorf("%.60q is not a condition: origin, label, suite, codename, component or site = pattern", token)
		}
		p.conditions = append(p.conditions, condition{full, strings.ReplaceAll(strings.TrimSpace(value), "%2C", ",")})
	}
	return p, nil
}

// matchers maps the keys that unattended-upgrades knows to their full names.
var matchers = map[string]string{
	"o": "origin", "origin": "origin", "l": "label", "label": "label", "a": "suite", "suite": "suite",
	"archive": "suite", "n": "codename", "codename": "codename", "c": "component", "component": "component",
	"site": "site",
}

// ParseAllowedOrigin reads an entry of the older Allowed-Origins: "origin:suite", or both with a blank between them.
func ParseAllowedOrigin(s string, variables map[string]string) (Pattern, error) {
	s, err := substitute(s, variables)
	if err != nil {
		return Pattern{}, err
	}
	marked := strings.ReplaceAll(s, `\:`, "\x00")
	f := strings.Split(marked, ":")
	if len(f) == 1 {
		f = strings.Fields(marked)
	}
	if len(f) != 2 {
		return Pattern{}, fmt.Errorf("%.60q is not of the form origin:suite", s)
	}
	for i := range f {
		f[i] = strings.ReplaceAll(f[i], "\x00", ":")
	}
	return Pattern{[]condition{{"origin", f[0]}, {"suite", f[1]}}}, nil
}

// substitute replaces ${name} and $name.
func substitute(s string, variables map[string]string) (string, error) {
	for name, value := range variables {
		s = strings.NewReplacer("${"+name+"}", value, "$"+name, value).Replace(s)
	}
	if i := strings.Index(s, "${"); i >= 0 {
		return "", fmt.Errorf("%.60q uses a variable that unattended-upgrades does not know", s[i:])
	}
	return s, nil
}

// Match reports whether a repository fulfils all conditions. A pattern without conditions matches nothing.
func (p Pattern) Match(r Release) bool {
	for _, c := range p.conditions {
		value := map[string]string{
			"origin": r.Origin, "label": r.Label, "suite": r.Suite, "codename": r.Codename, "component": r.Component,
			"site": r.Site,
		}[c.key]
		if !glob(c.glob, value) {
			return false
		}
	}
	return len(p.conditions) > 0
}

// glob matches shell patterns in which a star crosses slashes, as Python's fnmatch does on names without any special
// meaning of "/".
func glob(pattern, s string) bool {
	const slash = "\x01"
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", slash), strings.ReplaceAll(s, "/", slash))
	return err == nil && ok
}

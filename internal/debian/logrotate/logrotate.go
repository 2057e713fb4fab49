// Package logrotate reads logrotate's configuration as far as it decides how long logs are kept (logrotate(8)). It is
// pure: bytes in, values out.
package logrotate

import (
	"path"
	"strconv"
	"strings"
)

// Rule says how the files of some patterns are rotated.
type Rule struct {
	// Patterns are the absolute paths or globs in front of the block.
	Patterns []string
	// Every is how many days lie between rotations: 1 daily, 7 weekly, 30 monthly, 365 yearly; 0 when only a size
	// triggers them.
	Every int
	// Keep is how many old files are kept: 0 keeps none, -1 keeps all.
	Keep int
	// MaxAge is the age in days at which old files are removed, 0 for never.
	MaxAge int
	// Line is where the block starts.
	Line int
}

// Days is how long a line written today will be kept, at least, in days; -1 means for ever. A rotation triggered by
// size alone promises nothing.
func (r Rule) Days() int {
	switch {
	case r.Keep < 0 && r.MaxAge == 0:
		return -1
	case r.Keep < 0:
		return r.MaxAge
	}
	days := r.Every * r.Keep
	if r.MaxAge > 0 {
		days = min(days, r.MaxAge)
	}
	return days
}

// Defaults are what applies without configuration: weekly, nothing kept (logrotate(8): "rotate" defaults to 0).
func Defaults() Rule { return Rule{Every: 7} }

// Parse reads a file. The directives outside blocks change the defaults given, which are returned for the next file;
// includes are left to the caller, who reads /etc/logrotate.d itself.
func Parse(b []byte, defaults Rule) (rules []Rule, global Rule) {
	var rule *Rule
	var patterns []string
	script, start, n := false, 0, 0
	for line := range strings.Lines(string(b)) {
		n++
		text := strings.TrimSpace(line)
		if script {
			script = text != "endscript"
			continue
		}
		if text == "" || text[0] == '#' {
			continue
		}
		if rule == nil && (text[0] == '/' || text[0] == '"' || text[0] == '{' || text[0] == '\'') {
			head, tail, open := cutBlock(text)
			if len(patterns) == 0 {
				start = n
			}
			patterns = append(patterns, words(head)...)
			if open {
				r := defaults
				r.Patterns, r.Line = patterns, start
				rule, patterns = &r, nil
				if f := strings.Fields(tail); len(f) > 0 {
					rule.directive(f)
				}
			}
			continue
		}
		if rule != nil && text[0] == '}' {
			rules = append(rules, *rule)
			rule = nil
			continue
		}
		f := strings.Fields(text)
		switch f[0] {
		case "prerotate", "postrotate", "firstaction", "lastaction", "preremove":
			script = true
		}
		if rule != nil {
			rule.directive(f)
		} else {
			defaults.directive(f)
		}
	}
	return rules, defaults
}

// cutBlock splits a line at the brace that opens a block: one at the start or after white space, since names may hold
// braces.
func cutBlock(s string) (head, tail string, open bool) {
	for i := range len(s) {
		if s[i] == '{' && (i == 0 || s[i-1] == ' ' || s[i-1] == '\t' || i == len(s)-1) {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func (r *Rule) directive(f []string) {
	argument := ""
	if len(f) > 1 {
		argument = f[1]
	}
	n, err := strconv.Atoi(argument)
	switch f[0] {
	case "hourly": // less than a day: a count of days would promise too much
		r.Every = 0
	case "daily":
		r.Every = 1
	case "weekly":
		r.Every = 7
	case "monthly":
		r.Every = 30
	case "yearly":
		r.Every = 365
	case "size":
		r.Every = 0
	case "rotate":
		if err == nil {
			r.Keep = max(n, -1)
		}
	case "maxage":
		if err == nil {
			r.MaxAge = max(n, 0)
		}
	}
}

// words splits at white space outside quotes.
func words(s string) []string {
	var list []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if s[0] == '"' || s[0] == '\'' {
			if i := strings.IndexByte(s[1:], s[0]); i >= 0 {
				list, s = append(list, s[1:1+i]), s[i+2:]
				continue
			}
		}
		i := strings.IndexAny(s, " \t")
		if i < 0 {
			i = len(s)
		}
		list, s = append(list, s[:i]), s[i:]
	}
	return list
}

// Find returns the rule that rotates a file: the first whose pattern matches, as logrotate refuses a second one.
func Find(rules []Rule, file string) (Rule, bool) {
	for _, r := range rules {
		for _, p := range r.Patterns {
			if ok, err := path.Match(p, file); err == nil && ok {
				return r, true
			}
		}
	}
	return Rule{}, false
}

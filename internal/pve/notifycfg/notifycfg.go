// Package notifycfg reads notifications.cfg: the targets that Proxmox VE tells about events, and the matchers that choose
// among them (proxmox-notify). Secrets of targets stand in priv/notifications.cfg, which is not read.
package notifycfg

import (
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Config is what the file says, with the target and matcher that PVE brings along unless the file defines them itself.
type Config struct {
	Targets  []Target
	Matchers []Matcher
}

// Target is where a notification goes.
type Target struct {
	// Kind is sendmail, smtp, gotify or webhook.
	Kind, Name string
	// Line is 0 for the target that comes with PVE.
	Line     int
	Disabled bool
	// Server is the mail server, or the host of the address that is called.
	Server string
	// Mode is tls (the default), starttls or insecure, of smtp only.
	Mode string
	// Plain is true when what is sent travels in clear: smtp with mode insecure, or an http address.
	Plain bool
	// Mails are addresses as written, Users accounts of PVE whose address counts.
	Mails, Users []string
}

// Local reports whether what is sent stays on the node unless its mail system forwards it: mail by sendmail to users without an
// address elsewhere. Address says which address a user has.
func (t Target) Local(address func(user string) string) bool {
	if t.Kind != "sendmail" {
		return false
	}
	away := func(mail string) bool {
		_, domain, ok := strings.Cut(mail, "@")
		return ok && domain != "" && domain != "localhost" && domain != "localhost.localdomain"
	}
	if slices.ContainsFunc(t.Mails, away) {
		return false
	}
	return !slices.ContainsFunc(t.Users, func(u string) bool { return away(address(u)) })
}

// Matcher chooses targets for notifications.
type Matcher struct {
	Name     string
	Line     int
	Disabled bool
	Targets  []string
	// Severities, Fields and Calendars are conditions; without any the matcher takes everything.
	Severities, Fields, Calendars []string
	// Any is true when one condition is enough (mode any); otherwise all must hold.
	Any    bool
	Invert bool
}

// Parse reads the file as PVE does.
func Parse(b []byte) (*Config, []pve.Problem) {
	raw, problems := pve.ParseSections(b)
	common := []string{"comment", "disable", "origin"}
	with := func(more ...string) []string { return slices.Concat(common, more) }
	sections, more := pve.Sections(raw, map[string][]string{
		"sendmail": with("mailto", "mailto-user", "from-address", "author", "filter"),
		"smtp":     with("mailto", "mailto-user", "from-address", "author", "server", "port", "mode", "username", "auth-method", "oauth2-client-id", "oauth2-tenant-id"),
		"gotify":   with("server", "filter"),
		"webhook":  with("url", "method", "header", "body", "secret"),
		"matcher":  with("match-field", "match-severity", "match-calendar", "mode", "invert-match", "target"),
		"group":    with("endpoint", "filter"),
		"filter":   with("min-severity", "mode", "invert-match"),
	}, "mailto", "mailto-user", "target", "match-field", "match-severity", "match-calendar", "header", "secret", "endpoint")
	problems = append(problems, more...)
	c := &Config{}
	for _, s := range sections {
		switch s.Type {
		case "matcher":
			m, found := matcher(s)
			c.Matchers, problems = append(c.Matchers, m), append(problems, found...)
		case "group", "filter": // of PVE 8.0; PVE drops them
			problems = append(problems, pve.Skipf(s.Line, "%s %s: groups and filters are no longer used; matchers do their work", s.Type, s.ID))
		default:
			c.Targets = append(c.Targets, target(s))
		}
	}
	c.builtin()
	return c, problems
}

// builtin adds what PVE has without a file: mail to root@pam about everything.
func (c *Config) builtin() {
	if _, ok := c.Target("mail-to-root"); !ok {
		c.Targets = append(c.Targets, Target{Kind: "sendmail", Name: "mail-to-root", Users: []string{"root@pam"}})
	}
	if !slices.ContainsFunc(c.Matchers, func(m Matcher) bool { return m.Name == "default-matcher" }) {
		c.Matchers = append(c.Matchers, Matcher{Name: "default-matcher", Targets: []string{"mail-to-root"}})
	}
}

// Target returns a target by name.
func (c *Config) Target(name string) (Target, bool) {
	i := slices.IndexFunc(c.Targets, func(t Target) bool { return t.Name == name })
	if i < 0 {
		return Target{}, false
	}
	return c.Targets[i], true
}

func target(s pve.Section) Target {
	t := Target{Kind: s.Type, Name: s.ID, Line: s.Line, Disabled: s.On("disable"), Mails: s.All("mailto"), Users: s.All("mailto-user"),
		Server: s.Value("server"), Mode: s.Value("mode")}
	switch s.Type {
	case "smtp":
		if t.Mode == "" {
			t.Mode = "tls"
		}
		t.Plain = t.Mode == "insecure"
	case "gotify":
		t.Plain, t.Server = plain(t.Server), hostOf(t.Server)
	case "webhook":
		t.Plain, t.Server = plain(s.Value("url")), hostOf(s.Value("url"))
	}
	return t
}

func plain(url string) bool { return strings.HasPrefix(strings.ToLower(url), "http://") }

// hostOf is the host of a URL: the path of a webhook is often the secret itself, so it is not kept.
func hostOf(url string) string {
	if _, rest, ok := strings.Cut(url, "://"); ok {
		url = rest
	}
	if i := strings.IndexAny(url, "/?#"); i >= 0 {
		url = url[:i]
	}
	return url[strings.LastIndexByte(url, '@')+1:]
}

func matcher(s pve.Section) (Matcher, []pve.Problem) {
	m := Matcher{Name: s.ID, Line: s.Line, Disabled: s.On("disable"), Any: s.Value("mode") == "any", Invert: s.On("invert-match"),
		Fields: s.All("match-field"), Calendars: s.All("match-calendar"), Targets: s.All("target")}
	var problems []pve.Problem
	for _, list := range s.All("match-severity") {
		for _, v := range pve.List(list) {
			if !slices.Contains(severities(), v) {
				problems = append(problems, pve.Abortf(s.LineOf("match-severity"), "%q is no severity: info, notice, warning, error, unknown", short(v)))
				continue
			}
			m.Severities = append(m.Severities, v)
		}
	}
	return m, problems
}

func severities() []string { return []string{"info", "notice", "warning", "error", "unknown"} }

// May reports whether a matcher may choose its targets for an event of a type ("vzdump", "replication", "fencing",
// "package-updates", "system-mail") and severity. A condition that depends on more than these, such as the time of day or
// the host name, counts as not met: a notification must not depend on it.
func (m Matcher) May(event, severity string) bool {
	if m.Disabled {
		return false
	}
	if len(m.Severities)+len(m.Fields)+len(m.Calendars) == 0 {
		return !m.Invert
	}
	var met []bool
	if len(m.Severities) > 0 {
		met = append(met, slices.Contains(m.Severities, severity))
	}
	for _, f := range m.Fields {
		met = append(met, field(f, event))
	}
	for range m.Calendars {
		met = append(met, false)
	}
	result := !slices.Contains(met, false)
	if m.Any {
		result = slices.Contains(met, true)
	}
	return result != m.Invert
}

// field reads "exact:type=vzdump,replication" and "regex:type=.*".
func field(f, event string) bool {
	kind, rest, _ := strings.Cut(f, ":")
	name, value, _ := strings.Cut(rest, "=")
	if name != "type" {
		return false
	}
	if kind == "exact" {
		return slices.Contains(pve.List(value), event)
	}
	return kind == "regex" && (value == ".*" || value == "^.*$" || value == event || value == "^"+event+"$")
}

// Reached returns the targets, those that are switched off left out, that learn of an event.
func (c *Config) Reached(event, severity string) []Target {
	var found []Target
	for _, m := range c.Matchers {
		if !m.May(event, severity) {
			continue
		}
		for _, name := range m.Targets {
			t, ok := c.Target(name)
			if ok && !t.Disabled && !slices.ContainsFunc(found, func(x Target) bool { return x.Name == name }) {
				found = append(found, t)
			}
		}
	}
	return found
}

func short(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

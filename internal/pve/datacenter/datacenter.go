// Package datacenter reads datacenter.cfg, the settings of the whole cluster (pve-cluster, PVE/DataCenterConfig.pm), and
// resolves their defaults. The password that http_proxy may hold is not kept.
package datacenter

import (
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Config is what the file says.
type Config struct {
	// Settings are the lines of the file that PVE accepts, in order. The value of http_proxy has lost its credentials.
	Settings []Setting
	// Description is the text of the comment lines, decoded.
	Description string
}

// Setting is one line "key: value".
type Setting struct {
	Key, Value string
	Line       int
}

// Get returns the value of a key and whether it is set.
func (c *Config) Get(key string) (string, bool) {
	for _, s := range c.Settings {
		if s.Key == key {
			return s.Value, true
		}
	}
	return "", false
}

// Value returns the value of a key, "" when it is not set.
func (c *Config) Value(key string) string {
	v, _ := c.Get(key)
	return v
}

// LineOf returns the line of a key, 0 when it is not set.
func (c *Config) LineOf(key string) int {
	for _, s := range c.Settings {
		if s.Key == key {
			return s.Line
		}
	}
	return 0
}

// Migration says how guests move between nodes.
type Migration struct {
	// Type is secure (through SSH, the default) or insecure (memory and disks in clear over TCP).
	Type string
	// Network is the network over which they move, as a CIDR; empty means that of the node's name.
	Network string
	// Line is where it stands, 0 for the default.
	Line int
}

// Migration returns how guests move. The older key migration_unsecure counts when migration is not set.
func (c *Config) Migration() Migration {
	m := Migration{Type: "secure", Line: c.LineOf("migration")}
	v, ok := c.Get("migration")
	if !ok {
		if unsecure, _ := pve.Bool(c.Value("migration_unsecure")); unsecure {
			m.Type, m.Line = "insecure", c.LineOf("migration_unsecure")
		}
		return m
	}
	ps := pve.ParseProperties(v, "type")
	if t := ps.Value("type"); t == "insecure" {
		m.Type = t
	}
	m.Network = ps.Value("network")
	return m
}

// Replication returns how replicated disks travel, in the same words as Migration. Without a setting they do as
// migration does.
func (c *Config) Replication() Migration {
	v, ok := c.Get("replication")
	if !ok {
		return c.Migration()
	}
	m := Migration{Type: "secure", Line: c.LineOf("replication")}
	ps := pve.ParseProperties(v, "type")
	if t := ps.Value("type"); t == "insecure" {
		m.Type = t
	}
	m.Network = ps.Value("network")
	return m
}

// ConsentText is what users have to accept before they log in, decoded; empty when there is none.
func (c *Config) ConsentText() string { return pve.DecodeText(c.Value("consent-text")) }

// Proxy is the HTTP proxy without its credentials, "" when there is none; Credentials reports whether it had some.
func (c *Config) Proxy() string { return c.Value("http_proxy") }

// ProxyCredentials reports whether http_proxy holds a user or password.
func (c *Config) ProxyCredentials() bool { return strings.Contains(c.Proxy(), hidden+"@") }

// Fencing is how HA makes sure that a node is off: watchdog (the default), hardware or both.
func (c *Config) Fencing() string {
	if v, ok := c.Get("fencing"); ok {
		return v
	}
	return "watchdog"
}

// MACPrefix is that of new network cards. PVE 8 and 9 use BC:24:11 unless it is set.
func (c *Config) MACPrefix() string {
	if v, ok := c.Get("mac_prefix"); ok {
		return strings.ToUpper(v)
	}
	return "BC:24:11"
}

// RegisteredTags are those that only administrators may set.
func (c *Config) RegisteredTags() []string { return pve.List(c.Value("registered-tags")) }

// TagAccess is who may set which tags: free (the default), list, existing or none.
func (c *Config) TagAccess() string {
	v := pve.ParseProperties(c.Value("user-tag-access"), "user-allow").Value("user-allow")
	if v == "" {
		return "free"
	}
	return v
}

const hidden = "[hidden]"

// Parse reads the file as PVE does: lines "key: value", of which PVE's parser refuses none but those that its schema does
// not know (JSONSchema.pm, parse_config). Comment lines at any place make up the description.
func Parse(b []byte) (*Config, []pve.Problem) {
	c := &Config{}
	var problems []pve.Problem
	var notes []string
	n := 0
	seen := map[string]bool{}
	for line := range strings.SplitSeq(string(b), "\n") {
		n++
		line = strings.TrimSuffix(line, "\r")
		if strings.TrimSpace(line) == "" {
			continue
		}
		if line[0] == '#' {
			notes = append(notes, pve.DecodeText(line[1:]))
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case !ok || key == "" || value == "" || strings.ContainsAny(key, " \t"):
			problems = append(problems, pve.Skipf(n, "not a line \"key: value\""))
		case !slices.Contains(keys(), key):
			problems = append(problems, pve.Skipf(n, "PVE knows no setting %q", short(key)))
		case seen[key]:
			problems = append(problems, pve.Skipf(n, "%s is set twice; the first counts", key))
		default:
			seen[key] = true
			if key == "http_proxy" {
				value = withoutCredentials(value)
			}
			if p := check(key, value, n); p != nil {
				problems = append(problems, *p)
				continue
			}
			c.Settings = append(c.Settings, Setting{key, value, n})
		}
		if len(problems) > 200 {
			problems = append(problems, pve.Skipf(0, "more lines that are not accepted"))
			break
		}
	}
	c.Description = strings.Join(notes, "\n")
	return c, problems
}

// check refuses what the schema refuses, for the settings that say something about security.
func check(key, value string, line int) *pve.Problem {
	bad := func() *pve.Problem {
		p := pve.Skipf(line, "%s: %q is no value for it; the default counts", key, short(value))
		return &p
	}
	switch key {
	case "migration", "replication":
		ps := pve.ParseProperties(value, "type")
		for _, p := range ps {
			if p.Key != "type" && p.Key != "network" || p.Key == "type" && p.Value != "secure" && p.Value != "insecure" {
				return bad()
			}
		}
	case "migration_unsecure":
		if _, ok := pve.Bool(value); !ok {
			return bad()
		}
	case "fencing":
		if value != "watchdog" && value != "hardware" && value != "both" {
			return bad()
		}
	}
	return nil
}

// withoutCredentials replaces user and password of a URL. The last "@" counts, because passwords may hold one.
func withoutCredentials(url string) string {
	i := strings.LastIndexByte(url, '@')
	if i < 0 {
		return url
	}
	scheme := ""
	if j := strings.Index(url, "://"); j >= 0 && j < i {
		scheme = url[:j+3]
	}
	return scheme + hidden + url[i:]
}

// keys are the settings of the schema of PVE 8 and 9.
func keys() []string {
	return []string{"bwlimit", "console", "consent-text", "crs", "description", "email_from", "fencing", "ha", "http_proxy", "keyboard", "language",
		"location", "mac_prefix", "max_workers", "migration", "migration_unsecure", "next-id", "notify", "registered-tags", "replication", "tag-style", "u2f",
		"user-tag-access", "webauthn"}
}

func short(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

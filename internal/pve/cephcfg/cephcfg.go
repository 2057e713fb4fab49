// Package cephcfg reads ceph.conf, as far as networks, authentication and the defaults of pools are concerned. How pools
// are made up in truth only Ceph itself knows: settings made with "ceph config set" stand in its monitors.
package cephcfg

import (
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Config is what the file says.
type Config struct {
	// Sections are the settings by section ("global", "mon.pve1"), keys with "_" for blanks and dashes, as Ceph compares them.
	Sections map[string]map[string]Setting
}

// Setting is one value with its line.
type Setting struct {
	Value string
	Line  int
}

// Parse reads the file: sections in brackets, lines "key = value", "#" and ";" begin comments. Of two lines for one key
// the last counts. A key that can hold a secret is left out.
func Parse(b []byte) (*Config, []pve.Problem) {
	c := &Config{Sections: map[string]map[string]Setting{}}
	var problems []pve.Problem
	section, n := "", 0
	for line := range strings.SplitSeq(string(b), "\n") {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			name, _, ok := strings.Cut(line[1:], "]")
			if !ok {
				problems = append(problems, pve.Skipf(n, "the name of a section ends with a bracket"))
				continue
			}
			section = strings.TrimSpace(name)
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section == "" {
			if len(problems) < 200 {
				problems = append(problems, pve.Skipf(n, "not a line \"key = value\" within a section"))
			}
			continue
		}
		key = normal(key)
		if key == "key" {
			continue
		}
		if c.Sections[section] == nil {
			c.Sections[section] = map[string]Setting{}
		}
		c.Sections[section][key] = Setting{comment(value), n}
	}
	return c, problems
}

func normal(key string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\t' {
			return '_'
		}
		return r
	}, strings.TrimSpace(key)))
}

func comment(value string) string {
	if i := strings.IndexAny(value, "#;"); i >= 0 {
		value = value[:i]
	}
	return strings.Trim(strings.TrimSpace(value), `"`)
}

// Global returns a setting of [global] and whether it is set.
func (c *Config) Global(key string) (Setting, bool) {
	s, ok := c.Sections["global"][key]
	return s, ok
}

// PublicNetworks and ClusterNetworks are CIDRs. Without a network of its own the cluster's traffic runs over the public
// one.
func (c *Config) PublicNetworks() []string {
	s, _ := c.Global("public_network")
	return pve.List(s.Value)
}

// ClusterNetworks are those over which copies travel between disks.
func (c *Config) ClusterNetworks() []string {
	s, ok := c.Global("cluster_network")
	if !ok {
		return c.PublicNetworks()
	}
	return pve.List(s.Value)
}

// Auth is what a side has to prove: cephx (the default) or none. Side is cluster, service or client.
func (c *Config) Auth(side string) string {
	for _, key := range []string{"auth_" + side + "_required", "auth_supported"} {
		if s, ok := c.Global(key); ok {
			return s.Value
		}
	}
	return "cephx"
}

// MessengerMode is how the second protocol protects traffic: ms_cluster_mode, ms_service_mode, ms_client_mode, "crc secure"
// (integrity first) unless set.
func (c *Config) MessengerMode(side string) string {
	if s, ok := c.Global("ms_" + side + "_mode"); ok {
		return s.Value
	}
	return "crc secure"
}

// PoolSize and PoolMinSize are what new pools get: Ceph's defaults are 3 and, of that, 2 (size - size/2).
func (c *Config) PoolSize() int { return c.number("osd_pool_default_size", 3) }

// PoolMinSize is how many copies a write needs.
func (c *Config) PoolMinSize() int {
	size := c.PoolSize()
	if n := c.number("osd_pool_default_min_size", 0); n > 0 {
		return n
	}
	return size - size/2
}

func (c *Config) number(key string, fallback int) int {
	s, ok := c.Global(key)
	n, err := strconv.Atoi(s.Value)
	if !ok || err != nil || n < 0 {
		return fallback
	}
	return n
}

// Monitors are the sections of monitors ("mon.pve1") by their names.
func (c *Config) Monitors() int {
	n := 0
	for name := range c.Sections {
		if strings.HasPrefix(name, "mon.") {
			n++
		}
	}
	return n
}

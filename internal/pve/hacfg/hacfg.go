// Package hacfg reads ha/resources.cfg, ha/groups.cfg and ha/rules.cfg: which guests high availability starts on another
// node when theirs fails, and where (pve-ha-manager, PVE/HA/Resources.pm, Groups.pm, Rules.pm). PVE 9 puts rules in
// the place of groups.
package hacfg

import (
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Config is what the files say.
type Config struct {
	Resources []Resource
	Groups    []Group
	Rules     []Rule
}

// Resource is a guest that is managed.
type Resource struct {
	// Kind is "vm" or "ct", Guest the VMID.
	Kind  string
	Guest int
	Line  int
	// State is what is wanted: started (the default), stopped, disabled, ignored.
	State string
	// Group is that of PVE 8, "" for none.
	Group string
	// MaxRestart and MaxRelocate are how often it is tried again, 1 unless set.
	MaxRestart, MaxRelocate int
	// Failback is false when the guest stays where it was moved to.
	Failback bool
}

// Managed reports whether the guest is started elsewhere when its node fails.
func (r Resource) Managed() bool { return r.State == "started" }

// Group is a set of nodes that are preferred (PVE 8).
type Group struct {
	ID string
	// Nodes are those of the group without their priorities, sorted.
	Nodes []string
	// Restricted keeps guests from running elsewhere.
	Restricted, NoFailback bool
	Line                   int
}

// Rule says where guests run, or which of them run together (PVE 9).
type Rule struct {
	// Kind is node-affinity or resource-affinity.
	Kind, ID string
	Line     int
	Disabled bool
	// Guests are the VMIDs, Nodes those of a node-affinity, Strict whether they must be there.
	Guests []int
	Nodes  []string
	Strict bool
	// Affinity is positive or negative, of a resource-affinity.
	Affinity string
}

// Resource returns what is managed for a guest.
func (c *Config) Resource(guest int) (Resource, bool) {
	i := slices.IndexFunc(c.Resources, func(r Resource) bool { return r.Guest == guest })
	if i < 0 {
		return Resource{}, false
	}
	return c.Resources[i], true
}

// Nodes returns the nodes on which a guest may be started when it is bound to some, nil when it may run on all.
func (c *Config) Nodes(guest int) []string {
	r, ok := c.Resource(guest)
	if !ok {
		return nil
	}
	for _, g := range c.Groups {
		if g.ID == r.Group && g.Restricted {
			return g.Nodes
		}
	}
	for _, rule := range c.Rules {
		if rule.Kind == "node-affinity" && rule.Strict && !rule.Disabled && slices.Contains(rule.Guests, guest) {
			return rule.Nodes
		}
	}
	return nil
}

// Parse reads the files, by their base names, as PVE does. Lines of problems are those of resources.cfg; those of the
// other files name it.
func Parse(files map[string][]byte) (*Config, []pve.Problem) {
	c := &Config{}
	problems := c.resources(files["resources.cfg"])
	for _, p := range c.groups(files["groups.cfg"]) {
		p.Text = "groups.cfg: " + p.Text
		problems = append(problems, p)
	}
	for _, p := range c.rules(files["rules.cfg"]) {
		p.Text = "rules.cfg: " + p.Text
		problems = append(problems, p)
	}
	return c, problems
}

func (c *Config) resources(b []byte) []pve.Problem {
	raw, problems := pve.ParseSections(b)
	keys := []string{"state", "group", "max_restart", "max_relocate", "comment", "failback", "auto-rebalance"}
	sections, more := pve.Sections(raw, map[string][]string{"vm": keys, "ct": keys})
	problems = append(problems, more...)
	for _, s := range sections {
		id, err := strconv.Atoi(s.ID)
		if err != nil || id < 1 {
			problems = append(problems, pve.Skipf(s.Line, "%s %q is no VMID; it is not managed", s.Type, short(s.ID)))
			continue
		}
		r := Resource{Kind: s.Type, Guest: id, Line: s.Line, State: s.Value("state"), Group: s.Value("group"), MaxRestart: 1, MaxRelocate: 1, Failback: true}
		switch r.State {
		case "started", "stopped", "disabled", "ignored":
		case "", "enabled":
			r.State = "started"
		default:
			problems = append(problems, pve.Skipf(s.LineOf("state"), "%q is no state; started counts", short(r.State)))
			r.State = "started"
		}
		if n, err := strconv.Atoi(s.Value("max_restart")); err == nil {
			r.MaxRestart = n
		}
		if n, err := strconv.Atoi(s.Value("max_relocate")); err == nil {
			r.MaxRelocate = n
		}
		if v, ok := pve.Bool(s.Value("failback")); ok {
			r.Failback = v
		}
		c.Resources = append(c.Resources, r)
	}
	return problems
}

func (c *Config) groups(b []byte) []pve.Problem {
	raw, problems := pve.ParseSections(b)
	sections, more := pve.Sections(raw, map[string][]string{"group": {"nodes", "restricted", "nofailback", "comment"}})
	for _, s := range sections {
		c.Groups = append(c.Groups, Group{ID: s.ID, Line: s.Line, Nodes: nodes(s.Value("nodes")), Restricted: s.On("restricted"), NoFailback: s.On("nofailback")})
	}
	return append(problems, more...)
}

func (c *Config) rules(b []byte) []pve.Problem {
	raw, problems := pve.ParseSections(b)
	sections, more := pve.Sections(raw, map[string][]string{
		"node-affinity":     {"resources", "nodes", "strict", "disable", "comment", "state"},
		"resource-affinity": {"resources", "affinity", "disable", "comment", "state"},
	})
	for _, s := range sections {
		r := Rule{Kind: s.Type, ID: s.ID, Line: s.Line, Disabled: s.On("disable"), Nodes: nodes(s.Value("nodes")), Strict: s.On("strict"), Affinity: s.Value("affinity")}
		for _, sid := range pve.List(s.Value("resources")) {
			_, id, _ := strings.Cut(sid, ":")
			if n, err := strconv.Atoi(id); err == nil {
				r.Guests = append(r.Guests, n)
			}
		}
		c.Rules = append(c.Rules, r)
	}
	return append(problems, more...)
}

// nodes are the names of a list "pve1:2,pve2", without priorities.
func nodes(list string) []string {
	var names []string
	for _, n := range pve.List(list) {
		name, _, _ := strings.Cut(n, ":")
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func short(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

package lint

import (
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// Options are what a check has to know besides the files.
type Options struct {
	// Now decides about "enable: UNIXTIME"; the zero time is long after it.
	Now time.Time
	// Networks are compiled networks by node, when the caller has them; others are compiled here.
	Networks map[string]*filter.Network
}

// source is one firewall file with what it concerns.
type source struct {
	path     string
	file     *firewall.File
	problems []pve.Problem
	owner    string
	guest    *inventory.Guest
	// nodes are the nodes whose firewall reads the file.
	nodes []string
	// strict are the lines that proxmox-firewall does not accept.
	strict map[int]pve.Problem
	// ruleAt are the lines that are rules, for [source.isRuleLine].
	ruleAt map[int]bool
}

func (s *source) isRuleLine(line int) bool {
	if s.ruleAt == nil {
		s.ruleAt = ruleLines(s.file)
	}
	return s.ruleAt[line]
}

type checker struct {
	c       *inventory.Cluster
	o       Options
	report  *Report
	sources []*source
	cluster *source
	// onNFT and onIPT are the nodes that use each firewall.
	onNFT, onIPT []string
	networks     map[string]*filter.Network
}

// Check looks at all firewall files of a cluster.
func Check(c *inventory.Cluster, o Options) Report {
	k := &checker{c: c, o: o, report: &Report{Findings: []Finding{}, Bounded: []string{}, Unread: []string{}}, networks: map[string]*filter.Network{}}
	k.gather()
	for _, s := range k.sources {
		k.lines(s)
		k.sections(s)
		k.options(s)
		k.rules(s)
	}
	k.names()
	k.guests()
	k.compiled()
	order(k.report.Findings)
	return *k.report
}

func (k *checker) add(f Finding) { k.report.Findings = append(k.report.Findings, f) }

// at begins a finding about a line of a file.
func (s *source) at(line int, code string, severity Severity) Finding {
	f := Finding{File: s.path, Line: line, Code: code, Severity: severity, Owner: s.owner, Effect: Effect{None, None}}
	if s.guest != nil {
		f.VMID = s.guest.ID
	}
	return f
}

// base is the name of the file for texts.
func (s *source) base() string { return path.Base(s.path) }

func (k *checker) gather() {
	var all []string
	for _, n := range k.c.Nodes {
		all = append(all, n.Name)
		if filter.DefaultBackend(k.c, n.Name) == filter.NFTables {
			k.onNFT = append(k.onNFT, n.Name)
		} else {
			k.onIPT = append(k.onIPT, n.Name)
		}
	}
	k.cluster = k.source(k.c.Firewall, "", all, nil)
	for _, n := range k.c.Nodes {
		k.source(n.Firewall, n.Name, []string{n.Name}, nil)
	}
	for _, g := range k.c.Guests {
		k.source(g.Firewall, g.Title(), []string{g.Node}, g)
	}
	names := make([]string, 0, len(k.c.VNetFirewalls))
	for name := range k.c.VNetFirewalls {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		k.source(k.c.VNetFirewalls[name], "vnet "+name, all, nil)
	}
}

func (k *checker) source(f inventory.File[*firewall.File], owner string, nodes []string, g *inventory.Guest) *source {
	s := &source{path: f.Path, owner: owner, nodes: nodes, guest: g, strict: map[int]pve.Problem{}}
	if !f.Known() || f.Value == nil {
		if f.Err != nil {
			k.report.Unread = append(k.report.Unread, f.Path+": "+f.Err.Error())
		}
		s.file = &firewall.File{}
		return s
	}
	s.file, s.problems = f.Value, f.Problems
	for _, p := range f.Value.Strict {
		if old, ok := s.strict[p.Line]; !ok || old.Effect != pve.Aborted {
			s.strict[p.Line] = p
		}
	}
	if !f.Absent {
		k.sources = append(k.sources, s)
	}
	return s
}

// uses reports whether a node that reads the file uses a firewall.
func (k *checker) uses(s *source, b filter.Backend) bool {
	nodes := k.onIPT
	if b == filter.NFTables {
		nodes = k.onNFT
	}
	return slices.ContainsFunc(s.nodes, func(n string) bool { return slices.Contains(nodes, n) })
}

// ranked is the severity of an outcome: it matters less while no node uses the firewall that it is about.
func (k *checker) ranked(s *source, e Effect) Severity {
	worst := Info
	for _, x := range []struct {
		backend filter.Backend
		outcome Outcome
	}{{filter.IPTables, e.IPTables}, {filter.NFTables, e.NFTables}} {
		sev := map[Outcome]Severity{FailOpen: High, NodeAbort: Critical, FailClosed: Medium, NoEffect: Low, None: Info}[x.outcome]
		if !k.uses(s, x.backend) {
			sev = map[Outcome]Severity{FailOpen: Low, NodeAbort: Low, FailClosed: Low, NoEffect: Info, None: Info}[x.outcome]
		}
		if sev.Rank() < worst.Rank() {
			worst = sev
		}
	}
	return worst
}

// strictOutcome is what proxmox-firewall makes of a line, given what follows when the line alone is skipped.
func (s *source) strictOutcome(line int, skipped Outcome) Outcome {
	p, ok := s.strict[line]
	switch {
	case !ok:
		return None
	case p.Effect == pve.Aborted:
		return NodeAbort
	case p.Effect == pve.Skipped:
		return skipped
	}
	return None
}

func guestFile(id int) string { return "/etc/pve/firewall/" + strconv.Itoa(id) + ".fw" }

package collect

import (
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/firewall"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

// guests fills what concerns guests and their cards.
func (v *fwView) guests(f *posture.FirewallFacts) {
	guests, cards := []posture.FirewallGuest{}, []posture.FirewallCard{}
	var cfgErr error
	for _, g := range v.cl.Guests {
		fg := v.guest(g)
		guests = append(guests, fg)
		cfg, err := g.Config.Get()
		if err != nil {
			cfgErr = err
			continue
		}
		for _, nic := range cfg.NICs() {
			cards = append(cards, v.card(g, fg, nic))
		}
	}
	f.Guests = posture.Known(guests, posture.Configured, "/etc/pve/firewall")
	if cfgErr != nil {
		f.Cards = posture.Unknown[[]posture.FirewallCard](cfgErr, "/etc/pve/nodes")
		return
	}
	f.Cards = posture.Known(cards, posture.Configured, "/etc/pve/nodes")
}

func (v *fwView) guest(g *inventory.Guest) posture.FirewallGuest {
	fw := g.Firewall
	f := posture.FirewallGuest{ID: g.ID, Title: g.Title(), Node: g.Node, NFTables: v.nftables(g.Node), File: fw.Known() && !fw.Absent,
		Enabled: flagOf(fw, "enable", "0"), PolicyIn: textOf(fw, "policy_in", "DROP"), PolicyOut: textOf(fw, "policy_out", "ACCEPT"),
		MACFilter: flagOf(fw, "macfilter", "1"), IPFilter: flagOf(fw, "ipfilter", "0"), DHCP: flagOf(fw, "dhcp", "1"),
		NDP: flagOf(fw, "ndp", "1"), RADV: flagOf(fw, "radv", "0")}
	f.Undocumented = undocumented(fw)
	cfg, err := g.Config.Get()
	if err != nil {
		f.Template = posture.Unknown[bool](err, g.Config.Path)
		return f
	}
	f.Template = posture.Known(cfg.On("template"), posture.Configured, g.Config.Path)
	return f
}

// undocumented are the rules of a guest that nobody can read: with bare addresses and without a comment.
func undocumented(f inventory.File[*firewall.File]) posture.Fact[[]string] {
	file, err := f.Get()
	if err != nil {
		return posture.Unknown[[]string](err, f.Path)
	}
	out := []string{}
	for _, r := range file.Rules {
		if r.Enabled && r.Comment == "" && (literalAddress(r.Source) || literalAddress(r.Dest)) {
			out = append(out, path.Base(f.Path)+":"+strconv.Itoa(r.Line))
		}
	}
	return posture.Known(out, posture.Configured, f.Path)
}

// nftables reports whether nftables is judged for a node.
func (v *fwView) nftables(node string) bool {
	return slices.Contains(v.backends[node].Value, string(filter.NFTables))
}

// card judges a network card by the first of the node's programs, which is the only one unless the scan asked for both.
func (v *fwView) card(g *inventory.Guest, fg posture.FirewallGuest, nic guestcfg.NIC) posture.FirewallCard {
	k := posture.FirewallCard{Guest: g.ID, Name: nic.Key, Title: g.Title() + " " + nic.Key, Node: g.Node, Bridge: nic.Bridge,
		Template: fg.Template.Value, Flag: nic.Firewall}
	k.Filtered, k.Missing = v.filtered(g, nic)
	k.IPFilterSet, k.IPFilter = v.sourceCheck(g, fg, nic)
	return k
}

// filtered says whether a card is filtered, and else the first of the switches that is off.
func (v *fwView) filtered(g *inventory.Guest, nic guestcfg.NIC) (posture.Fact[bool], posture.Fact[string]) {
	unknown := func(err error) (posture.Fact[bool], posture.Fact[string]) {
		return posture.Unknown[bool](err, g.Firewall.Path), posture.Unknown[string](err, g.Firewall.Path)
	}
	backends := v.backends[g.Node]
	if !backends.IsKnown() {
		err := error(backends.Problem)
		if backends.Problem == nil {
			err = posture.Problemf("not-found", "the node %s is no member of the cluster", g.Node)
		}
		return unknown(err)
	}
	for _, b := range backends.Value {
		if _, err := v.network(g.Node, filter.Backend(b)); err != nil {
			return unknown(err)
		}
		if missing := v.networks[fwKey{g.Node, filter.Backend(b)}].missing[fwCard{g.ID, nic.Index}]; missing != "" {
			return posture.Known(false, posture.Configured, g.Firewall.Path), posture.Known(string(missing), posture.Configured, g.Firewall.Path)
		}
	}
	return posture.Known(true, posture.Configured, g.Firewall.Path), posture.Known("", posture.Configured, g.Firewall.Path)
}

// sourceCheck says whether there is an ipset of the addresses of a card, and whether the source addresses of what it sends
// are checked: pve-firewall needs the ipset or, for containers with a fixed address, the option; proxmox-firewall needs the option.
func (v *fwView) sourceCheck(g *inventory.Guest, fg posture.FirewallGuest, nic guestcfg.NIC) (set, checked posture.Fact[bool]) {
	file, err := g.Firewall.Get()
	if err != nil {
		return posture.Unknown[bool](err, g.Firewall.Path), posture.Unknown[bool](err, g.Firewall.Path)
	}
	_, has := file.IPSet("ipfilter-" + nic.Key)
	set = posture.Known(has, posture.Configured, g.Firewall.Path)
	on := fg.IPFilter.Value || has && !fg.NFTables
	return set, posture.Known(on, posture.Configured, g.Firewall.Path)
}

// rules lists the rules of all files but those of guests.
func (v *fwView) rules() posture.Fact[[]posture.FirewallRule] {
	out := []posture.FirewallRule{}
	var firstErr error
	add := func(f inventory.File[*firewall.File], scope, owner string) {
		file, err := f.Get()
		if err != nil {
			firstErr = errors.Join(firstErr, err)
			return
		}
		s := firewall.Scope{Cluster: v.cl.Firewall.Value, Own: scope == "cluster"}
		for i := range file.Rules {
			out = append(out, v.rule(file, &file.Rules[i], f.Path, scope, owner, s))
		}
	}
	add(v.cl.Firewall, "cluster", "")
	called := v.calledByNodes()
	if file, err := v.cl.Firewall.Get(); err == nil {
		for i := range file.Groups {
			g := &file.Groups[i]
			for j := range g.Rules {
				r := v.rule(file, &g.Rules[j], v.cl.Firewall.Path, "group", g.Written, firewall.Scope{Cluster: file, Own: true})
				r.Nodes = called[g.Name]
				out = append(out, r)
			}
		}
	}
	for _, n := range v.members() {
		add(n.Firewall, "host", n.Name)
	}
	for _, name := range sortedNames(v.cl.VNetFirewalls) {
		add(v.cl.VNetFirewalls[name], "vnet", name)
	}
	if firstErr != nil {
		return posture.Unknown[[]posture.FirewallRule](firstErr, "/etc/pve/firewall")
	}
	return posture.Known(out, posture.Configured, "/etc/pve/firewall")
}

func sortedNames[T any](m map[string]T) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// calledByNodes are the groups that rules of the cluster or of nodes call.
func (v *fwView) calledByNodes() map[string]bool {
	called := map[string]bool{}
	files := []inventory.File[*firewall.File]{v.cl.Firewall}
	for _, n := range v.members() {
		files = append(files, n.Firewall)
	}
	for _, f := range files {
		if file, err := f.Get(); err == nil {
			for _, r := range file.Rules {
				if r.Type == "group" && r.Enabled {
					called[r.Action] = true
				}
			}
		}
	}
	return called
}

func (v *fwView) rule(file *firewall.File, r *firewall.Rule, where, scope, owner string, s firewall.Scope) posture.FirewallRule {
	name := path.Base(where)
	if scope == "host" {
		name = owner + "/" + name
	}
	s.SDN = func(string) bool { return true } // what SDN makes of its networks is not checked here
	out := posture.FirewallRule{File: name, Line: r.Line, Where: name + ":" + strconv.Itoa(r.Line), Text: file.Text(r.Line), Scope: scope, Owner: owner,
		Enabled: r.Enabled, Direction: strings.ToUpper(r.Type), Action: r.Action, Macro: r.Macro, Interface: r.Iface, Source: r.Source,
		Dest: r.Dest, Proto: r.Proto, DPort: r.DPort, SPort: r.SPort, ICMPType: r.ICMPType, Log: r.Log, Comment: r.Comment,
		Valid: len(s.Check(r).Errors) == 0, Nodes: scope == "cluster" || scope == "host", AdminPorts: []string{}}
	if r.Type == "group" {
		out.Action, out.Group = "", r.Action
	}
	out.Any = r.Type != "group" && r.Source == "" && r.Dest == "" && r.Proto == "" && r.Macro == "" && r.Iface == ""
	out.Literal = literalAddress(r.Source) || literalAddress(r.Dest)
	if r.Type != "group" {
		out.AdminPorts = adminPorts(r)
	}
	return out
}

func literalAddress(s string) bool { return s != "" && !firewall.IsSet(s) && !firewall.IsAlias(s) }

// adminPorts are those of the ports of administration that a rule speaks of.
func adminPorts(r *firewall.Rule) []string {
	type match struct{ proto, dport string }
	matches := []match{{r.Proto, r.DPort}}
	if m, ok := firewall.MacroByName(r.Macro); ok {
		matches = nil
		for _, t := range m.Rules(4) {
			matches = append(matches, match{t.Proto, t.DPort})
		}
	}
	out := []string{}
	for _, p := range watchedPorts() {
		if p.service != "ssh" && p.service != "web" && p.service != "spice" && p.service != "console" {
			continue
		}
		hit := slices.ContainsFunc(matches, func(m match) bool {
			if m.proto != "" && m.proto != "tcp" && m.proto != "6" {
				return false
			}
			if m.dport == "" {
				return true
			}
			ranges, _, _ := firewall.Ports(m.dport, false)
			return slices.ContainsFunc(ranges, func(g firewall.PortRange) bool { return g.From <= p.to && g.To >= p.from })
		})
		if hit {
			out = append(out, p.text())
		}
	}
	return out
}

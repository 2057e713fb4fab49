package lint

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/pve/firewall"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

// rules reports rules that accept everything or that a firewall ignores, and special ipsets.
func (k *checker) rules(s *source) {
	if s.file.Kind == firewall.VNetFile && len(s.file.Rules) > 0 && k.uses(s, filter.IPTables) {
		f := s.at(s.file.Rules[0].Line, ForwardIgnored, Medium)
		f.Text, f.Effect = "rules of vnets have no effect on nodes with pve-firewall: "+strings.Join(k.onIPT, ", "), Effect{IPTables: FailOpen, NFTables: None}
		k.add(f)
	}
	for _, r := range allRules(s.file) {
		if !r.Enabled || len(r.Errors) > 0 {
			continue
		}
		switch {
		case r.Type == "forward" && s.file.Kind != firewall.VNetFile && k.uses(s, filter.IPTables):
			f := s.at(r.Line, ForwardIgnored, Medium)
			f.Text = fmt.Sprintf("%s has no effect on nodes with pve-firewall", quote(s.file.Text(r.Line)))
			f.Effect.IPTables = s.skippedOutcome(s.file.Text(r.Line))
			if f.Effect.IPTables == FailClosed {
				f.Effect.IPTables, f.Severity = NoEffect, Low // forwarded packets pass anyway
			}
			k.add(f)
		case r.Type == "in" && r.Action == "ACCEPT" && r.Macro == "" && anywhere(r.Source) && anywhere(r.Dest) &&
			r.Proto == "" && r.DPort == "" && r.SPort == "" && r.ICMPType == "":
			f := s.at(r.Line, AnyAny, High)
			f.Text = fmt.Sprintf("%s accepts everything from everywhere", quote(s.file.Text(r.Line)))
			if f.Hint = "name the ports and sources that are needed"; s.guest != nil || r.Iface != "" {
				f.Severity = Medium
			}
			k.add(f)
		}
	}
	if s == k.cluster {
		k.specialSets()
	}
}

func anywhere(ref string) bool { return ref == "" || ref == "0.0.0.0/0" || ref == "::/0" }

// Networks wider than these are wide for management: a /16 is the largest plan of one organisation's private networks, a
// /48 what a site gets in IPv6 (RFC 6177).
const (
	wide4 = 16
	wide6 = 48
)

func (k *checker) specialSets() {
	if set, ok := k.cluster.file.IPSet("blacklist"); ok && len(set.Entries) > 0 {
		f := k.cluster.at(set.Line, BlacklistNFT, Low)
		f.Text = "the ipset blacklist has no effect with proxmox-firewall"
		if len(k.onNFT) > 0 {
			f.Text += ", which is used on " + strings.Join(k.onNFT, ", ")
		}
		f.Effect, f.Hint = Effect{NFTables: FailOpen, IPTables: None}, "use a rule: IN DROP -source +dc/blacklist"
		f.Severity = k.ranked(k.cluster, f.Effect)
		k.add(f)
	}
	set, ok := k.cluster.file.IPSet("management")
	if !ok {
		return
	}
	for _, e := range set.Entries {
		text := e.CIDR
		if _, name := firewall.AliasName(e.CIDR); e.Alias {
			if a, ok := k.cluster.file.Alias(name); ok {
				text = a.CIDR
			}
		}
		p, ok := firewall.CIDR(text)
		if !ok || e.NoMatch || e.Error != "" || p.Addr().Is4() && p.Bits() >= wide4 || p.Addr().Is6() && p.Bits() >= wide6 {
			continue
		}
		f := k.cluster.at(e.Line, ManagementWide, Medium)
		f.Text = fmt.Sprintf("the ipset management holds %s: all of it reaches SSH, the web interface and the consoles of the nodes", p)
		f.Hint = "name the networks that administrators sit in"
		k.add(f)
	}
}

// guests reports the switches of each NIC and the address filters.
func (k *checker) guests() {
	clusterOn := k.clusterOn()
	if !clusterOn && len(k.c.Guests)+len(k.c.Nodes) > 0 && k.c.Firewall.Known() {
		o, _ := k.cluster.file.Option("enable")
		f := k.cluster.at(o.Line, SwitchMissing, High)
		f.Effect = Effect{FailOpen, FailOpen}
		f.Text, f.Hint = "the firewall of the whole cluster is off: no rule of any file has an effect", "enable: 1 in the section [OPTIONS] of cluster.fw"
		k.add(f)
	}
	for _, g := range k.c.Guests {
		if template(g) || !g.Config.Known() || g.Config.Value == nil || !g.Firewall.Known() || g.Firewall.Value == nil {
			continue
		}
		on := g.Firewall.Value.On("enable", false)
		for _, nic := range g.Config.Value.NICs() {
			if nic.Bridge == "" {
				continue
			}
			k.switches(g, nic, on)
			if on && nic.Firewall {
				k.addressFilter(g, nic)
			}
		}
	}
}

// clusterOn is true when cluster.fw switches the firewall on; a time counts for a minute.
func (k *checker) clusterOn() bool {
	n, err := strconv.ParseInt(k.cluster.file.Value("enable", "0"), 10, 64)
	if err != nil || n < 1 {
		return false
	}
	now := k.o.Now.Unix()
	return n == 1 || !k.o.Now.IsZero() && now-n < 60
}

// guestSource is the firewall file of a guest, present or not.
func (k *checker) guestSource(g *inventory.Guest) *source {
	return &source{path: guestFile(g.ID), file: g.Firewall.Value, owner: g.Title(), guest: g, nodes: []string{g.Node}}
}

func (k *checker) switches(g *inventory.Guest, nic guestcfg.NIC, on bool) {
	if on && nic.Firewall {
		return
	}
	s := k.guestSource(g)
	o, _ := s.file.Option("enable")
	f := s.at(o.Line, SwitchMissing, Low)
	f.Effect = Effect{FailOpen, FailOpen}
	name := g.Title() + " " + nic.Key
	switch rules := len(s.file.Rules) > 0; {
	case on:
		f.File, f.Line, f.Severity = g.Config.Path, nic.Line, High
		f.Text = name + " is not filtered: firewall=1 is missing on the NIC, although the firewall of the guest is on"
		f.Hint = "add firewall=1 to " + nic.Key
	case nic.Firewall && g.Firewall.Absent:
		f.Severity = Medium
		f.Text, f.Hint = name+" is not filtered: it has firewall=1, and there is no "+strconv.Itoa(g.ID)+".fw that switches the firewall on", "enable: 1 in the file"
	case nic.Firewall || rules:
		f.Severity = Medium
		if rules {
			f.Severity = High
		}
		f.Text, f.Hint = name+" is not filtered: enable is not 1 in "+strconv.Itoa(g.ID)+".fw; without it the firewall of a guest is off", "enable: 1"
		if !nic.Firewall {
			f.Text += ", and firewall=1 is missing on the NIC"
		}
	default:
		f.Text = name + " is not filtered: neither the guest nor the NIC switches the firewall on"
	}
	k.add(f)
}

// addressFilter reports an ipfilter that drops everything, and one that only one of the firewalls knows.
func (k *checker) addressFilter(g *inventory.Guest, nic guestcfg.NIC) {
	s := k.guestSource(g)
	set, exists := s.file.IPSet("ipfilter-" + nic.Key)
	o, _ := s.file.Option("ipfilter")
	on := s.file.On("ipfilter", false)
	good := 0
	if exists {
		for _, e := range set.Entries {
			if e.Error == "" && !e.NoMatch {
				good++
			}
		}
	}
	switch {
	case g.Kind == inventory.QEMU && good == 0 && (on || exists):
		f := s.at(o.Line, IPFilterEmpty, High)
		f.Text = fmt.Sprintf("%s %s: ipfilter knows no address, so all IPv4 packets that it sends are dropped", g.Title(), nic.Key)
		f.Hint = "name its addresses in [IPSET ipfilter-" + nic.Key + "]"
		if f.Effect.IPTables = FailClosed; !on {
			f.Line = set.Line
		}
		if !k.uses(s, filter.IPTables) {
			f.Severity = Low
		}
		k.add(f)
	case exists && !on:
		f := s.at(set.Line, IPFilterNFT, Low)
		f.Text = fmt.Sprintf("%s %s: [IPSET %s] has no effect with proxmox-firewall without the option ipfilter", g.Title(), nic.Key, set.Name)
		f.Effect, f.Hint = Effect{IPTables: None, NFTables: FailOpen}, "ipfilter: 1"
		f.Severity = k.ranked(s, f.Effect)
		k.add(f)
	}
}
